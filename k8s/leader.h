#pragma once
// What:      Leader holds or follows a Lease, so that of several replicas one acts.
// Owner:     app. Control thread.
// Limits:    LeaderOptions: call_timeout < renew_deadline < lease_duration.
// Invariant: IsLeader(now) is true only within renew_deadline of the moment a successful renewal
//            was *sent*, by our own monotonic clock; another's lease is judged by when we saw it
//            change, never by the times written in it.
// Never:     acts late: a write is made only if IsLeader(now) immediately before it.

#include <cstdint>
#include <memory>
#include <string>

#include <absl/functional/any_invocable.h>

#include "common/base/random.h"
#include "common/obs/log.h"
#include "k8s/api_client.h"

namespace rouse::k8s {

struct LeaderOptions {
  ObjectKey lease;
  std::string identity;  ///< unique per process
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
  Duration call_timeout = std::chrono::seconds(3);
  double retry_jitter = 1.2;  ///< a retry waits retry_period x [1, this]
};

class Leader {
 public:
  /// `on_change(leading)` runs from the loop at each change.
  Leader(ApiClient& client, obs::Log& log, uint64_t seed, LeaderOptions options,
         absl::AnyInvocable<void(bool leading)> on_change);
  ~Leader();

  void Start();
  /// Stops acting at once and gives the lease back; `done` runs when that is written or has failed.
  void Release(absl::AnyInvocable<void()> done);

  /// To be asked immediately before every write.
  [[nodiscard]] bool IsLeader(TimePoint now) const { return now < leads_until_; }
  /// Who holds the lease as last seen; empty where nobody.
  [[nodiscard]] const std::string& holder() const { return seen_.holder; }
  /// The lease's transitions as last seen: the epoch of a leadership.
  [[nodiscard]] int32_t transitions() const { return seen_.transitions; }

 private:
  void Try();
  void OnRead(absl::StatusOr<Lease> lease);
  void Write(Lease lease);
  void OnWritten(TimePoint sent, absl::StatusOr<Lease> lease);
  void Observe(const Lease& lease);
  void Fail(const absl::Status& why);
  void Again();
  void Tell();
  void Released();

  ApiClient& client_;
  obs::Log& log_;
  Random random_;
  LeaderOptions options_;
  absl::AnyInvocable<void(bool)> on_change_;
  absl::AnyInvocable<void()> on_released_;
  Lease seen_;
  TimePoint seen_at_{};  ///< when `seen_` last changed, by our clock
  bool have_seen_ = false;
  TimePoint leads_until_{};
  bool told_ = false;
  bool must_read_ = false;  ///< the last write conflicted
  std::unique_ptr<ApiCall> call_;
  control::TimerId try_timer_ = 0;
  control::TimerId expire_timer_ = 0;
};

}  // namespace rouse::k8s
