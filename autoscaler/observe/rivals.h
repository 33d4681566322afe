#pragma once
// What:      Rivals, which workloads a HorizontalPodAutoscaler scales as well. Two writers of one
//            count would fight, so those are left to it.
// Owner:     app, which feeds it from a Watcher<HorizontalPodAutoscaler>. Control thread.
// Limits:    what the watcher lets through.
// Invariant: `on_change` is told each change of a workload's rival, and only changes.

#include <map>
#include <set>
#include <string>
#include <tuple>

#include <absl/functional/any_invocable.h>

#include "common/base/object_key.h"
#include "k8s/objects/horizontal_pod_autoscaler.h"
#include "k8s/objects/scale.h"
#include "k8s/watcher.h"

namespace rouse::autoscaler {

class Rivals final : public k8s::WatchListener<k8s::HorizontalPodAutoscaler> {
 public:
  /// `rival` is the first by name; empty: there is none any more.
  using OnChange = absl::AnyInvocable<void(const ObjectKey& workload, const std::string& rival)>;
  explicit Rivals(OnChange on_change) : on_change_(std::move(on_change)) {}

  void Declare(const ObjectKey& workload, const k8s::ScaleTarget& target);
  void Remove(const ObjectKey& workload);

  void OnUpsert(k8s::HorizontalPodAutoscaler scaler) override;
  void OnDelete(const ObjectKey& key, const std::string& uid) override;
  void OnSynced() override {}

  /// Workloads that have one, with it.
  [[nodiscard]] const std::map<ObjectKey, std::string>& found() const { return found_; }

 private:
  /// Namespace, group, resource and name.
  using TargetKey = std::tuple<std::string, std::string, std::string, std::string>;

  void Settle(const ObjectKey& workload);
  void SettleAll(const TargetKey& target);

  OnChange on_change_;
  std::map<ObjectKey, TargetKey> scalers_;
  std::map<TargetKey, std::set<std::string>> of_target_;  ///< names of scalers
  std::map<ObjectKey, TargetKey> workloads_;
  std::map<ObjectKey, std::string> found_;
};

}  // namespace rouse::autoscaler
