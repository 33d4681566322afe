#pragma once
// What:      DemandStore, the demand of every workload as its windows tell it, fed by senders
//            (proxies, or Knative's activators); and who of them is live, unheard or forgotten
//            (architecture 15.7).
// Owner:     app. Control thread; pure, takes `now`.
// Limits:    DemandLimits; workloads are those that were declared, a stat for another is counted
//            and dropped.
// Invariant: silence is never zero for a sender of ours: while it is live its last values count on.
//            zero_proven needs a fresh zero from every live sender over a whole window that this
//            process saw.
// Never:     decides.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/functional/function_ref.h>

#include "autoscaler/demand/window.h"
#include "autoscaler/model/policy.h"
#include "common/base/object_key.h"
#include "common/wire/stat_codec.h"

namespace rouse::autoscaler {

struct DemandLimits {
  Duration heard_within = std::chrono::seconds(3);   ///< a sender silent for longer is unheard
  Duration forget_after = std::chrono::seconds(60);  ///< an unheard, unlisted sender is forgotten
  size_t senders_max = 1024;
};

/// What is known of one workload's demand at one moment.
struct Demand {
  bool has_data = false;  ///< some sender is live
  double stable = 0;
  double panic = 0;
  double parked = 0;
  double present = 0;  ///< by the last reports alone
  bool zero_proven = false;
};

struct DemandCounters {
  uint64_t reports = 0;
  uint64_t stats = 0;
  uint64_t unknown_workload = 0;
  uint64_t senders_refused = 0;
  uint64_t seconds_held = 0;  ///< seconds filled with the last value of an unheard sender
};

/// A sender as pages and metrics show it.
struct SenderView {
  std::string name;
  bool knative = false;
  bool listed = false;
  size_t connections = 0;
  Duration unheard_for{};
};

class DemandStore {
 public:
  explicit DemandStore(DemandLimits limits);
  ~DemandStore();

  /// Declares a workload, or changes its windows; a changed metric begins anew.
  void Declare(const ObjectKey& workload, const Policy& policy, TimePoint now);
  void Remove(const ObjectKey& workload);

  /// Senders are named by themselves (Report::proxy, or a Stat's pod_name). A connection counts
  /// from its first report on. `knative` senders say nothing while idle: their silence is zero
  /// while connected. False where there are too many senders; the report is not taken.
  bool Connect(const std::string& sender, bool knative, TimePoint now);
  void Disconnect(const std::string& sender, TimePoint now);

  /// Files a report of a connected sender. Tells of each workload in it that has demand now.
  using OnDemand = absl::FunctionRef<void(const ObjectKey& workload, const wire::Stat& stat)>;
  void Record(const std::string& sender, const wire::Report& report, TimePoint now,
              OnDemand on_demand);

  /// The proxies that the cluster lists: live even if never heard. Unlisted ones are forgotten once
  /// unheard.
  void SetListed(const std::vector<std::string>& proxies, TimePoint now);

  /// Brings the workload's windows up to `now` and reads them.
  [[nodiscard]] Demand Read(const ObjectKey& workload, TimePoint now);

  /// Forgets senders whose time has passed. To be called now and then.
  void Sweep(TimePoint now);

  [[nodiscard]] std::vector<SenderView> Senders(TimePoint now) const;
  [[nodiscard]] const DemandCounters& counters() const { return counters_; }
  void CheckInvariants() const;

 private:
  struct Share;
  struct Workload;
  struct Sender;

  [[nodiscard]] Share& ShareOf(Workload& workload, Sender& sender);
  void Add(Workload& workload, Sender& sender, const wire::Stat& stat, TimePoint now);
  void EndPeriod(Sender& sender, TimePoint now);
  void Hear(Sender& sender, TimePoint now) const;
  void Fill(Workload& workload, TimePoint now);
  void Hold(Workload& workload, Share& share, TimePoint now);
  void Forget(const std::string& name);
  [[nodiscard]] bool IsHeard(const Sender& sender, TimePoint now) const;
  [[nodiscard]] bool IsLive(const Sender& sender, TimePoint now) const;
  [[nodiscard]] bool AnyLive(TimePoint now) const;
  [[nodiscard]] bool IsZeroProven(const Workload& workload, TimePoint now) const;

  DemandLimits limits_;
  absl::flat_hash_map<ObjectKey, std::unique_ptr<Workload>> workloads_;
  absl::flat_hash_map<std::string, std::unique_ptr<Sender>> senders_;
  bool listing_ = false;  ///< SetListed has been called: the cluster knows the proxies
  DemandCounters counters_;
};

}  // namespace rouse::autoscaler
