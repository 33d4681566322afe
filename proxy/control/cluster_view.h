#pragma once
// What:      ClusterView, the watched objects as the proxy needs them: per enabled Service its
//            policy, its endpoint slices and what its target declares as readiness probe.
// Owner:     app (KubernetesSide). Control thread.
// Limits:    objects are those that carry the label `rouse.dev/enabled: "true"`; sizes are bounded
//            by k8s.
// Invariant: a workload is dirty from its first change until TakeDirty; `on_dirty` is told once per
//            batch, so that a storm of events makes one snapshot.
// Never:     clears anything because the API is away.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/base/object_key.h"
#include "common/obs/log.h"
#include "k8s/objects/deployment.h"
#include "k8s/objects/endpoint_slice.h"
#include "k8s/objects/service.h"
#include "k8s/objects/workload_policy.h"
#include "k8s/watcher.h"

namespace rouse::proxy {

struct WorkloadView {
  std::optional<k8s::Service> service;  ///< absent while only its slices are known
  k8s::WorkloadPolicy policy;
  std::vector<k8s::InvalidAnnotation> invalid;
  std::map<std::string, k8s::EndpointSlice> slices;  ///< by name
  std::optional<k8s::Deployment> target;             ///< what scales, for its probes
  /// When each pod was first seen, and whether it has been ready: only a first start is probed
  /// early.
  struct PodSeen {
    TimePoint first;
    bool was_ready = false;
  };
  std::map<std::string, PodSeen> pods;  ///< by uid
};

class ClusterView {
 public:
  /// `on_dirty` runs on the control thread, inline with the event that made the first workload
  /// dirty.
  ClusterView(const Clock& clock, obs::Log& log, absl::AnyInvocable<void()> on_dirty);

  [[nodiscard]] k8s::WatchListener<k8s::Service>& services() { return services_; }
  [[nodiscard]] k8s::WatchListener<k8s::EndpointSlice>& slices() { return slices_; }
  void SetTarget(const ObjectKey& key, k8s::Deployment target);
  /// Told of each Service that is new or has changed: its target may have to be read.
  void OnService(absl::AnyInvocable<void(const ObjectKey&)> told) { on_service_ = std::move(told); }

  [[nodiscard]] const std::map<ObjectKey, WorkloadView>& workloads() const { return workloads_; }
  [[nodiscard]] const WorkloadView* Find(const ObjectKey& key) const;
  [[nodiscard]] std::set<ObjectKey> TakeDirty();
  /// Every workload with a limit is dirty: its home may have moved.
  void MarkLimited();
  /// Both first lists are complete.
  [[nodiscard]] bool synced() const { return services_.synced && slices_.synced; }

 private:
  struct Services final : k8s::WatchListener<k8s::Service> {
    explicit Services(ClusterView& v) : view(v) {}
    void OnUpsert(k8s::Service service) override { view.UpsertService(std::move(service)); }
    void OnDelete(const ObjectKey& key, const std::string&) override { view.DeleteService(key); }
    void OnSynced() override;
    ClusterView& view;
    bool synced = false;
  };
  struct Slices final : k8s::WatchListener<k8s::EndpointSlice> {
    explicit Slices(ClusterView& v) : view(v) {}
    void OnUpsert(k8s::EndpointSlice slice) override { view.UpsertSlice(std::move(slice)); }
    void OnDelete(const ObjectKey& key, const std::string&) override { view.DeleteSlice(key); }
    void OnSynced() override;
    ClusterView& view;
    bool synced = false;
  };

  void UpsertService(k8s::Service service);
  void DeleteService(const ObjectKey& key);
  void UpsertSlice(k8s::EndpointSlice slice);
  void DeleteSlice(const ObjectKey& key);
  void MarkDirty(const ObjectKey& key);
  void NotePods(WorkloadView& workload);

  const Clock& clock_;
  obs::Log& log_;
  absl::AnyInvocable<void()> on_dirty_;
  absl::AnyInvocable<void(const ObjectKey&)> on_service_;
  Services services_{*this};
  Slices slices_{*this};
  std::map<ObjectKey, WorkloadView> workloads_;
  std::map<ObjectKey, ObjectKey> slice_owner_;  ///< slice -> its workload
  std::set<ObjectKey> dirty_;
};

}  // namespace rouse::proxy
