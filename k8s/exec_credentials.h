#pragma once
// What:      ExecCredentials, when a credential plugin is run: before the first call, before what
//            it gave expires, and after a 401; and who waits for that.
// Owner:     Credentials. Control thread; nobody is told inline.
// Limits:    one run at a time. After a failure, and for a 401, the next one waits 1 s to 60 s.
// Invariant: what was given is handed on at once and used until it expires, whatever fails since.
// Never:     logs what a plugin gave.

#include <cstdint>
#include <memory>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>

#include "common/base/backoff.h"
#include "common/base/random.h"
#include "common/control/channel.h"
#include "common/obs/log.h"
#include "k8s/exec_plugin.h"

namespace rouse::k8s {

/// A run under way; destroying it ends it, and `done` is not called.
class ExecRun {
 public:
  virtual ~ExecRun() = default;
};
using ExecDone = absl::AnyInvocable<void(absl::StatusOr<ExecCredential>)>;
/// `done` is called once, never inline.
using ExecStart = absl::AnyInvocable<std::unique_ptr<ExecRun>(ExecDone done)>;

/// Told once, when the plugin has been run; not told if it is destroyed before.
using CredentialTold = absl::AnyInvocable<void(const absl::Status&)>;
using CredentialWait = std::shared_ptr<CredentialTold>;

class ExecCredentials {
 public:
  using Adopt = absl::AnyInvocable<void(ExecCredential)>;

  /// What is given without an expiry is asked for again after this.
  static constexpr Duration kLifeUnknown = std::chrono::minutes(10);
  /// How long before its expiry a credential is renewed; half of its life where that is shorter.
  static constexpr Duration kAhead = std::chrono::seconds(60);
  static constexpr Duration kAgainFirst = std::chrono::seconds(2);
  static constexpr Duration kAgainMost = std::chrono::seconds(60);
  static constexpr Duration kQuiet = std::chrono::minutes(2);  ///< then the waits begin anew

  ExecCredentials(control::Loop& loop, obs::Log& log, uint64_t seed, ExecStart start);
  ~ExecCredentials();
  ExecCredentials(const ExecCredentials&) = delete;
  ExecCredentials& operator=(const ExecCredentials&) = delete;

  void OnCredential(Adopt adopt) { adopt_ = std::move(adopt); }
  /// There is something that has not expired.
  [[nodiscard]] bool usable() const;
  /// Runs the plugin, or waits for the run under way; an error where it fails, or may not be run
  /// again yet.
  void Renew(const CredentialWait& wait);

 private:
  void Start();
  void OnDone(absl::StatusOr<ExecCredential> outcome);
  [[nodiscard]] Duration Life(const ExecCredential& credential) const;
  void StartAt(TimePoint when);
  void Tell(const absl::Status& status);

  control::Loop& loop_;
  obs::Log& log_;
  Random random_;
  ExecStart start_;
  Adopt adopt_;
  Backoff again_{kAgainFirst, kAgainMost};
  absl::Status outcome_;    ///< of the last run
  TimePoint ended_at_{};    ///< the last run
  TimePoint not_before_{};  ///< the next one, unless it was planned
  bool given_ = false;
  std::optional<WallTime> expires_;
  std::unique_ptr<ExecRun> run_;
  control::TimerId planned_ = 0;
  control::TimerId refusal_ = 0;
  std::vector<std::weak_ptr<CredentialTold>> waiting_;  ///< one for each call that waits
};

}  // namespace rouse::k8s
