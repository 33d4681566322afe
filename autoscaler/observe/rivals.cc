#include "autoscaler/observe/rivals.h"

namespace rouse::autoscaler {

void Rivals::Declare(const ObjectKey& workload, const k8s::ScaleTarget& target) {
  workloads_[workload] = {workload.ns, target.group, target.resource, target.name};
  Settle(workload);
}

void Rivals::Remove(const ObjectKey& workload) {
  workloads_.erase(workload);
  found_.erase(workload);
}

void Rivals::OnUpsert(k8s::HorizontalPodAutoscaler scaler) {
  const ObjectKey key = scaler.meta.key();
  const TargetKey target{key.ns, scaler.target_group, scaler.target_resource, scaler.target_name};
  const auto known = scalers_.find(key);
  if (known != scalers_.end() && known->second == target) return;
  OnDelete(key, scaler.meta.uid);
  scalers_[key] = target;
  of_target_[target].insert(key.name);
  SettleAll(target);
}

void Rivals::OnDelete(const ObjectKey& key, const std::string&) {
  const auto known = scalers_.find(key);
  if (known == scalers_.end()) return;
  const TargetKey target = known->second;
  scalers_.erase(known);
  std::set<std::string>& names = of_target_[target];
  names.erase(key.name);
  if (names.empty()) of_target_.erase(target);
  SettleAll(target);
}

void Rivals::SettleAll(const TargetKey& target) {
  for (const auto& [workload, theirs] : workloads_) {
    if (theirs == target) Settle(workload);
  }
}

void Rivals::Settle(const ObjectKey& workload) {
  const auto scalers = of_target_.find(workloads_.at(workload));
  const std::string now = scalers == of_target_.end() ? std::string() : *scalers->second.begin();
  std::string& before = found_[workload];
  const bool changed = before != now;
  before = now;
  if (now.empty()) found_.erase(workload);
  if (changed) on_change_(workload, now);
}

}  // namespace rouse::autoscaler
