#include "proxy/control/cluster_view.h"

#include <utility>

namespace rouse::proxy {

ClusterView::ClusterView(const Clock& clock, obs::Log& log, absl::AnyInvocable<void()> on_dirty)
    : clock_(clock), log_(log), on_dirty_(std::move(on_dirty)) {}

void ClusterView::Services::OnSynced() {
  synced = true;
  if (view.on_dirty_) view.on_dirty_();
}

void ClusterView::Slices::OnSynced() {
  synced = true;
  if (view.on_dirty_) view.on_dirty_();
}

void ClusterView::UpsertService(k8s::Service service) {
  const ObjectKey key = service.meta.key();
  WorkloadView& workload = workloads_[key];
  k8s::PolicyOutcome outcome = k8s::ParsePolicy(service.meta.annotations, workload.policy);
  for (const k8s::InvalidAnnotation& bad : outcome.invalid) {
    log_.Warn("annotation_invalid", {{"workload", key.text()},
                                     {"annotation", bad.annotation},
                                     {"value", bad.value},
                                     {"why", bad.why},
                                     {"nearest", bad.nearest}});
  }
  workload.policy = std::move(outcome.policy);
  workload.invalid = std::move(outcome.invalid);
  workload.service = std::move(service);
  MarkDirty(key);
  if (on_service_) on_service_(key);
}

void ClusterView::DeleteService(const ObjectKey& key) {
  const auto found = workloads_.find(key);
  if (found == workloads_.end()) return;
  found->second.service.reset();
  found->second.target.reset();
  found->second.policy = {};
  if (found->second.slices.empty()) workloads_.erase(found);
  MarkDirty(key);
}

void ClusterView::UpsertSlice(k8s::EndpointSlice slice) {
  const ObjectKey slice_key = slice.meta.key();
  const ObjectKey owner{slice.meta.ns, slice.service_name()};
  const auto before = slice_owner_.find(slice_key);
  if (before != slice_owner_.end() && before->second != owner) DeleteSlice(slice_key);
  if (owner.name.empty()) return;
  slice_owner_[slice_key] = owner;
  WorkloadView& workload = workloads_[owner];
  workload.slices[slice_key.name] = std::move(slice);
  NotePods(workload);
  MarkDirty(owner);
}

void ClusterView::DeleteSlice(const ObjectKey& key) {
  const auto owner = slice_owner_.find(key);
  if (owner == slice_owner_.end()) return;
  const ObjectKey workload_key = owner->second;
  slice_owner_.erase(owner);
  const auto found = workloads_.find(workload_key);
  if (found == workloads_.end()) return;
  found->second.slices.erase(key.name);
  NotePods(found->second);
  if (found->second.slices.empty() && !found->second.service) workloads_.erase(found);
  MarkDirty(workload_key);
}

void ClusterView::NotePods(WorkloadView& workload) {
  std::map<std::string, WorkloadView::PodSeen> seen;
  for (const auto& [name, slice] : workload.slices) {
    for (const k8s::SliceEndpoint& endpoint : slice.endpoints) {
      if (endpoint.target.uid.empty()) continue;
      const auto before = workload.pods.find(endpoint.target.uid);
      WorkloadView::PodSeen& pod = seen[endpoint.target.uid];
      if (before != workload.pods.end()) {
        pod.first = before->second.first;
        pod.was_ready = pod.was_ready || before->second.was_ready;
      } else if (pod.first == TimePoint{}) {
        pod.first = clock_.now();
      }
      pod.was_ready = pod.was_ready || endpoint.ready;
    }
  }
  workload.pods = std::move(seen);
}

void ClusterView::SetTarget(const ObjectKey& key, k8s::Deployment target) {
  const auto found = workloads_.find(key);
  if (found == workloads_.end()) return;
  found->second.target = std::move(target);
  MarkDirty(key);
}

const WorkloadView* ClusterView::Find(const ObjectKey& key) const {
  const auto found = workloads_.find(key);
  return found == workloads_.end() ? nullptr : &found->second;
}

std::set<ObjectKey> ClusterView::TakeDirty() { return std::exchange(dirty_, {}); }

void ClusterView::MarkLimited() {
  for (const auto& [key, workload] : workloads_)
    if (workload.policy.concurrency_limit > 0) MarkDirty(key);
}

void ClusterView::MarkDirty(const ObjectKey& key) {
  const bool first = dirty_.empty();
  dirty_.insert(key);
  if (first && on_dirty_) on_dirty_();
}

}  // namespace rouse::proxy
