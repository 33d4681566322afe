#pragma once
// What:      PolicySource turns enabled Services into workloads: annotations over the program's
//            defaults, and Services on one target into one workload under the oldest of them
//            (architecture 15.1).
// Owner:     app, which feeds it from a Watcher<Service>. Control thread.
// Limits:    what the watcher's selector lets through.
// Invariant: an invalid annotation keeps the last valid value, and is told once per value: in the
//            log, a counter and an Event on the Service.
// Never:     reads anything but Services.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include "autoscaler/model/policy.h"
#include "autoscaler/model/workload_spec.h"
#include "common/obs/log.h"
#include "k8s/objects/service.h"
#include "k8s/objects/workload_policy.h"
#include "k8s/watcher.h"

namespace rouse::autoscaler {

/// What a Service's annotations do not say.
struct PolicyDefaults {
  TargetDefaults target;
  Duration stable_window = std::chrono::seconds(60);
  double scale_up_rate = 1000;
  double scale_down_rate = 2;
  bool scale_to_zero = true;
  Duration zero_grace = Duration::zero();
  Duration activation_timeout = std::chrono::seconds(630);
};

/// The policy of a Service from its parsed annotations and the defaults. Pure.
[[nodiscard]] Policy MakePolicy(const k8s::WorkloadPolicy& annotated,
                                const std::map<std::string, std::string>& annotations,
                                const PolicyDefaults& defaults);

struct PolicyCounters {
  uint64_t invalid = 0;  ///< annotations told as invalid
};

class PolicySource final : public k8s::WatchListener<k8s::Service> {
 public:
  struct Handlers {
    absl::AnyInvocable<void(WorkloadSpec)> on_workload;
    absl::AnyInvocable<void(const ObjectKey&)> on_gone;
    /// For an Event on the Service.
    absl::AnyInvocable<void(const k8s::Service&, const std::string& message)> on_invalid;
    absl::AnyInvocable<void()> on_synced;
  };
  PolicySource(PolicyDefaults defaults, obs::Log& log, Handlers handlers);

  void OnUpsert(k8s::Service service) override;
  void OnDelete(const ObjectKey& key, const std::string& uid) override;
  void OnSynced() override;

  [[nodiscard]] const PolicyCounters& counters() const { return counters_; }

 private:
  using TargetKey = std::pair<std::string, k8s::ScaleTarget>;  ///< namespace and target
  using Age = std::pair<WallTime, std::string>;                ///< creation and name: who is older
  struct Known {
    k8s::WorkloadPolicy annotated;
    Policy policy;
    k8s::ScaleTarget target;
    std::string uid;
    WallTime created_at{};
    bool created = false;
    std::set<std::pair<std::string, std::string>> told;  ///< invalid annotations and values
  };
  struct Group {
    std::map<Age, ObjectKey> services;  ///< oldest first
    ObjectKey declared;                 ///< under whose name the workload is known; empty: not yet
  };

  void Tell(Known& known, const k8s::Service& service,
            const std::vector<k8s::InvalidAnnotation>& invalid);
  void Join(const ObjectKey& key, const Known& known);
  void Leave(const ObjectKey& key, const Known& known);
  void Declare(Group& group);

  PolicyDefaults defaults_;
  obs::Log& log_;
  Handlers handlers_;
  bool synced_ = false;
  absl::flat_hash_map<ObjectKey, Known> known_;
  std::map<TargetKey, Group> groups_;
  PolicyCounters counters_;
};

}  // namespace rouse::autoscaler
