#pragma once
// What:      StatReporter tells every autoscaler replica, each second, what demand each workload
//            has; and at once when a workload wakes. Knative's WireStatMessages over WebSocket
//            (15.7).
// Owner:     app. Control thread.
// Limits:    ReporterLimits; one channel per autoscaler replica.
// Invariant: a wake counts (1, 1) at once and is subtracted from the workload's next Stat, as
//            Knative does. A report goes out each period also when idle, so that silence means
//            trouble, not zero.
// Never:     queues reports for a replica that is away: it gets the next one.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/base/backoff.h"
#include "common/base/object_key.h"
#include "common/base/random.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::proxy {

struct ReporterLimits {
  Duration period = std::chrono::seconds(1);
  Duration reconnect_first = std::chrono::milliseconds(50);
  Duration reconnect_most = std::chrono::seconds(2);
  size_t replicas_max = 16;
};

/// Demand of one workload at this proxy since it was gathered last, over all shards.
struct WorkloadDemand {
  ObjectKey workload;
  double average_concurrency = 0;
  double request_count = 0;
  double parked = 0;  ///< at its end
};

struct ReporterCounters {
  uint64_t reports_sent = 0;
  uint64_t wakes_sent = 0;
  uint64_t send_failures = 0;
  uint64_t connects = 0;
  uint64_t disconnects = 0;
};

class StatReporter {
 public:
  using Gathered = absl::AnyInvocable<void(std::vector<WorkloadDemand>)>;
  /// Asks the shards for their samples; calls `done` on the control thread.
  using Gather = absl::AnyInvocable<void(Gathered done)>;
  using TokenSource = absl::AnyInvocable<std::string()>;
  using TlsSource = absl::AnyInvocable<absl::StatusOr<control::ClientTls>()>;

  /// `proxy` names this proxy in each report.
  StatReporter(control::Network& network, obs::Log& log, std::string proxy, uint64_t seed,
               Gather gather, ReporterLimits limits = {});
  ~StatReporter();

  void Start();
  /// The replicas to report to, from now on. Channels to those that stay are kept.
  void SetAutoscalers(std::vector<control::Origin> origins);
  /// Asked at each dial, since tokens are renewed under us; empty: none is shown.
  void SetToken(TokenSource source) { token_ = std::move(source); }
  /// Asked at each dial; without it reports go in plain text.
  void SetTls(TlsSource source) { tls_ = std::move(source); }

  /// The workload has nothing and is wanted. Sent at once, and again to each replica that
  /// (re)connects, until EndpointsKnown.
  void Wake(const ObjectKey& workload);
  void EndpointsKnown(const ObjectKey& workload) { waking_.erase(workload); }

  /// Replicas that a wake reaches now.
  [[nodiscard]] size_t connected() const;
  [[nodiscard]] bool configured() const { return !replicas_.empty(); }
  /// Told when connected() goes from none to some, or back.
  void OnConnected(absl::AnyInvocable<void(bool)> told) { on_connected_ = std::move(told); }
  [[nodiscard]] const ReporterCounters& counters() const { return counters_; }

 private:
  struct Replica;
  void Dial(Replica& replica);
  void OnOpen(Replica& replica);
  void OnClosed(Replica& replica, const absl::Status& why);
  void Tick();
  void Report(const std::vector<WorkloadDemand>& demand, Duration span);
  void SendTo(Replica& replica, const std::string& message);

  control::Network& network_;
  obs::Log& log_;
  std::string proxy_;
  TokenSource token_;
  TlsSource tls_;
  Random random_;
  Gather gather_;
  ReporterLimits limits_;
  std::map<std::string, std::unique_ptr<Replica>> replicas_;  ///< by host:port
  std::set<ObjectKey> waking_;
  std::map<ObjectKey, uint32_t> woken_;  ///< wakes sent since the last report, to be subtracted
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  control::TimerId timer_ = 0;
  TimePoint next_tick_{};
  TimePoint started_{};
  TimePoint gathered_at_{};
  absl::AnyInvocable<void(bool)> on_connected_;
  ReporterCounters counters_;
};

}  // namespace rouse::proxy
