#pragma once
// What:      ClusterView, the endpoints of Services as their slices tell them: how many are ready,
//            and which pods are named.
// Owner:     app, which feeds it from a Watcher<EndpointSlice>. Control thread.
// Limits:    what the watcher's selector lets through.
// Invariant: the slices of a Service are taken together, and an address or pod in two of them
//            counts once; ready means ready and not terminating.
// Never:     forgets an endpoint because the API is away.

#include <map>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include "common/base/object_key.h"
#include "k8s/objects/endpoint_slice.h"
#include "k8s/watcher.h"

namespace rouse::autoscaler {

class ClusterView final : public k8s::WatchListener<k8s::EndpointSlice> {
 public:
  /// A Service's ready count has changed, or its pods have.
  using OnChange = absl::AnyInvocable<void(const ObjectKey& service)>;
  ClusterView(OnChange on_change, absl::AnyInvocable<void()> on_synced)
      : on_change_(std::move(on_change)), on_synced_(std::move(on_synced)) {}

  void OnUpsert(k8s::EndpointSlice slice) override;
  void OnDelete(const ObjectKey& slice, const std::string& uid) override;
  void OnSynced() override { on_synced_(); }

  [[nodiscard]] int ReadyOf(const ObjectKey& service) const;
  /// Names of the pods behind a Service, ready or not, sorted.
  [[nodiscard]] std::vector<std::string> PodsOf(const ObjectKey& service) const;

 private:
  struct Endpoint {
    std::string id;   ///< the pod's uid, else the address
    std::string pod;  ///< empty where no pod is named
    bool ready;
    bool operator==(const Endpoint&) const = default;
  };
  using Slices = std::map<std::string, std::vector<Endpoint>>;  ///< by slice name

  static std::vector<Endpoint> EndpointsOf(const k8s::EndpointSlice& slice);
  void Forget(const ObjectKey& slice);

  OnChange on_change_;
  absl::AnyInvocable<void()> on_synced_;
  absl::flat_hash_map<ObjectKey, Slices> services_;
  absl::flat_hash_map<ObjectKey, ObjectKey> service_of_;  ///< slice -> Service
};

}  // namespace rouse::autoscaler
