#pragma once
// What:      KubernetesSide, the control side in a cluster: watches Services and slices, keeps the
//            view, builds snapshots, and keeps the reporter's list of autoscaler replicas.
// Owner:     app. Control thread.
// Limits:    one snapshot per loop turn, however many events came.
// Invariant: `publish` gets snapshots with growing versions, the first once everything has been
//            listed.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/control/channel.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "k8s/api_client.h"
#include "k8s/event_recorder.h"
#include "k8s/watcher.h"
#include "proxy/control/cluster_view.h"
#include "proxy/control/homes.h"
#include "proxy/control/snapshot_builder.h"
#include "proxy/control/stat_reporter.h"
#include "proxy/control/target_reader.h"
#include "proxy/control/tls_secrets.h"

namespace rouse::proxy {

struct KubernetesOptions {
  std::string ns;  ///< empty: every namespace
  std::optional<ObjectKey> autoscaler_service;
  std::optional<ObjectKey> proxy_service;
  std::string autoscaler_port = "reports";  ///< name of the slice's port; else its only one
  SnapshotOptions snapshot;
  std::vector<std::string> tls_namespaces;
  TlsSecrets::Adopt on_tls_secret;
  uint64_t seed = 0;
};

class KubernetesSide {
 public:
  using Publish = std::function<void(SnapshotPtr)>;

  KubernetesSide(control::Network& network, k8s::ApiClient& client, obs::Log& log,
                 KubernetesOptions options, EndpointGuard guard, SlotHandles handles,
                 StatReporter& reporter, Publish publish);

  void Start();
  /// With a proxy_service, before Start: who is home is known from it, and limits hold over all.
  void Follow(Homes& homes);
  /// Who is home may have changed.
  void HomesMoved() {
    view_.MarkLimited();
    OnDirty();
  }
  /// A shard parked for a workload without a usable endpoint: reports it at once, and reads its
  /// target.
  void Wake(const ObjectKey& workload);

  [[nodiscard]] bool synced() const { return view_.synced(); }
  /// Since the API last said anything useful; zero before the first sync.
  [[nodiscard]] Duration staleness() const;
  [[nodiscard]] const ClusterView& view() const { return view_; }
  [[nodiscard]] const SnapshotBuilder& builder() const { return builder_; }
  void AddTo(obs::MetricPage& page) const;
  /// As rows of the documented table, in the order of the page.
  [[nodiscard]] static std::string MetricTable();

 private:
  /// Slices of the autoscaler's Service -> where to report.
  struct AutoscalerSlices final : k8s::WatchListener<k8s::EndpointSlice> {
    explicit AutoscalerSlices(KubernetesSide& s) : side(s) {}
    void OnUpsert(k8s::EndpointSlice slice) override;
    void OnDelete(const ObjectKey& key, const std::string& uid) override;
    void OnSynced() override {}
    void Tell();
    KubernetesSide& side;
    std::map<std::string, k8s::EndpointSlice> slices;
  };

  void OnDirty();
  void BuildNow();
  void ReadTarget(const ObjectKey& workload, bool urgent);
  void TellSecrets();
  void TellConflicts();
  void TellInvalid(const std::set<ObjectKey>& dirty);

  control::Network& network_;
  k8s::ApiClient& client_;
  obs::Log& log_;
  KubernetesOptions options_;
  StatReporter& reporter_;
  Publish publish_;
  ClusterView view_;
  SnapshotBuilder builder_;
  TargetReader targets_;
  k8s::EventRecorder events_;
  k8s::Watcher<k8s::Service> services_;
  k8s::Watcher<k8s::EndpointSlice> slices_;
  AutoscalerSlices autoscaler_slices_{*this};
  std::unique_ptr<k8s::Watcher<k8s::EndpointSlice>> autoscalers_;
  Homes* homes_ = nullptr;
  std::unique_ptr<k8s::Watcher<k8s::EndpointSlice>> proxies_;
  TlsSecrets secrets_;
  std::vector<std::unique_ptr<k8s::Watcher<k8s::Secret>>> secret_watchers_;  ///< by namespace
  std::set<RouteConflict> told_;
  bool build_posted_ = false;
  uint64_t snapshots_ = 0;
};

}  // namespace rouse::proxy
