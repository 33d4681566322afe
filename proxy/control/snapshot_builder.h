#pragma once
// What:      SnapshotBuilder: ClusterView -> Snapshot n+1, rebuilding only what is dirty and
//            sharing the rest.
// Owner:     app (KubernetesSide). Control thread; pure but for the slot handles that it is given.
// Limits:    none of its own.
// Invariant: a workload keeps its place for as long as it exists; a host and path has one owner,
//            the oldest Service (creation time, then namespace and name).

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/object_key.h"
#include "common/net/tls_context.h"
#include "proxy/control/cluster_view.h"
#include "proxy/control/endpoint_guard.h"
#include "proxy/model/snapshot.h"

namespace rouse::proxy {

/// A host and path that a workload asked for and did not get.
struct RouteConflict {
  ObjectKey loser;
  ObjectKey owner;  ///< empty name: the namespace may not claim this host
  std::string host;
  std::string path;
  auto operator<=>(const RouteConflict&) const = default;
};

/// Who may claim which hosts: `namespace` or `*`, and a host, `*.suffix` or `*`.
struct AllowedHost {
  std::string ns;
  std::string pattern;
};

struct SnapshotOptions {
  std::string cluster_domain;              ///< may be empty
  std::vector<AllowedHost> allowed_hosts;  ///< empty: everyone may claim everything
  /// What pods' certificates are verified with, and ours for them; the name is each workload's.
  net::TlsClientPolicy upstream_tls = {};
};

/// Handles to the shared slot counters, outliving snapshots (15.6).
struct SlotHandles {
  std::function<std::shared_ptr<EndpointSlots>(const EndpointKey&)> endpoint;
  std::function<std::shared_ptr<WorkloadSlots>(const ObjectKey&)> workload;
  /// What this proxy sees of a set once its home is known (Homes::Place); empty: as it is.
  std::function<EndpointSetPtr(std::shared_ptr<EndpointSet> set, const std::string& key)> place =
      {};
};

class SnapshotBuilder {
 public:
  SnapshotBuilder(SnapshotOptions options, EndpointGuard guard, SlotHandles handles);

  /// The next snapshot. `dirty` are the workloads that changed since the last call.
  [[nodiscard]] SnapshotPtr Build(const ClusterView& view, const std::set<ObjectKey>& dirty,
                                  TimePoint now);
  /// Of the last Build.
  [[nodiscard]] const std::set<RouteConflict>& conflicts() const { return conflicts_; }
  /// The hosts that a workload has won, as of the last Build.
  [[nodiscard]] const std::map<ObjectKey, std::vector<std::string>>& owned() const {
    return owned_;
  }
  /// Why a workload has no route or endpoints, as text for an Event and the admin page; by
  /// workload.
  [[nodiscard]] const std::map<ObjectKey, std::string>& problems() const { return problems_; }

 private:
  EndpointSetPtr BuildSet(const ObjectKey& key, const WorkloadView& workload);
  void AddEndpoints(const WorkloadView& workload, const k8s::ServicePort& port, EndpointSet& set);
  std::shared_ptr<const RouteTable> BuildRoutes(const ClusterView& view);
  [[nodiscard]] bool MayClaim(const std::string& ns, const std::string& host) const;
  uint32_t PlaceOf(const ObjectKey& key);
  /// How TLS is spoken with the pods of a workload; null: not at all.
  [[nodiscard]] absl::StatusOr<net::TlsClientPtr> TlsOf(const ObjectKey& key,
                                                        const k8s::WorkloadPolicy& policy,
                                                        const k8s::ServicePort& port);

  SnapshotOptions options_;
  EndpointGuard guard_;
  SlotHandles handles_;
  uint64_t version_ = 0;
  std::map<ObjectKey, uint32_t> places_;
  std::vector<uint32_t> free_places_;
  std::vector<EndpointSetPtr> sets_;
  std::map<ObjectKey, std::vector<k8s::HostRule>> hosts_;  ///< as routed by the last Build
  std::shared_ptr<const RouteTable> routes_;
  /// By name and verification, so that connections survive a snapshot that changes nothing here.
  std::map<std::pair<std::string, bool>, net::TlsClientPtr> upstream_tls_;
  std::map<ObjectKey, std::vector<std::string>> owned_;
  std::set<RouteConflict> conflicts_;
  std::map<ObjectKey, std::string> problems_;
};

/// What the pods behind a port speak: its appProtocol says so, else its name (Istio's and Knative's
/// rules: h2c, http2, grpc, and these with a suffix).
[[nodiscard]] UpstreamProtocol ProtocolOf(std::string_view port_name,
                                          std::string_view app_protocol);

/// The probe that may be asked early, by the rules of 15.5; kind kNone where there is none.
/// `pod_port` is the port that the slice carries for `service_port`, which a probe of the same
/// container port shares.
[[nodiscard]] ProbeSpec EarlyProbeOf(const k8s::Deployment& target,
                                     const k8s::ServicePort& service_port, uint16_t pod_port);

}  // namespace rouse::proxy
