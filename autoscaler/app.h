#pragma once
// What:      App, one rouse-autoscaler on a given network and API client: builds the parts in layer
//            order and ties them. Programs, simulations and integration tests run the same App.
// Owner:     main (or a test); network, client and log must outlive it. Control thread.
// Invariant: Start before anything else; Drain at most once. After Drain nothing is lowered.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "autoscaler/config.h"
#include "autoscaler/observe/cluster_view.h"
#include "autoscaler/observe/rivals.h"
#include "common/control/channel.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "k8s/api_client.h"
#include "k8s/event_recorder.h"
#include "k8s/leader.h"
#include "k8s/watcher.h"

namespace rouse::autoscaler {

class App {
 public:
  /// `seed` feeds jitter and the replica's identity.
  App(control::Network& network, k8s::ApiClient& client, obs::Log& log, const Config& config,
      uint64_t seed);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// Listens, watches, asks for the lease, ticks. kFailedPrecondition where the address cannot be
  /// had.
  [[nodiscard]] absl::Status Start();
  /// Gives the lease back and sends the proxies elsewhere; `done` runs when the lease is written or
  /// has failed.
  void Drain(absl::AnyInvocable<void()> done);

  /// Services and endpoints have been listed once. Never false again because the API is away.
  [[nodiscard]] bool ready() const;
  [[nodiscard]] bool leading() const;
  /// The control loop has turned within `most`.
  [[nodiscard]] bool alive(Duration most) const;
  [[nodiscard]] uint16_t intake_port() const;

  // The pages.
  void AddMetrics(obs::MetricPage& page) const;
  [[nodiscard]] std::string WorkloadsJson() const { return loop_.Json(); }
  /// Of one workload where `only` names one (`namespace/name`), else of all.
  [[nodiscard]] std::string DecisionsJson(std::string_view only = {}) const;

  [[nodiscard]] const ScaleLoop& scale_loop() const { return loop_; }
  [[nodiscard]] const ScaleWriter& writer() const { return writer_; }
  [[nodiscard]] const DemandStore& demand() const { return demand_; }

 private:
  [[nodiscard]] PolicySource::Handlers PolicyHandlers();
  [[nodiscard]] absl::Status Listen();
  void StartLeader();
  void StartProxyWatch();
  void OnEndpoints(const ObjectKey& service);
  void OnProxies();
  void OnLeadership(bool leads);
  void OnRival(const ObjectKey& workload, const std::string& rival);
  void TellRival(const ObjectKey& workload, const std::string& rival);
  void OnListed();

  control::Network& network_;
  k8s::ApiClient& client_;
  obs::Log& log_;
  const Config config_;
  const uint64_t seed_;

  ClientScaleApi scale_api_;
  DemandStore demand_;
  ScaleWriter writer_;
  Journal journal_;
  ScaleLoop loop_;
  TokenReviews reviews_;
  IntakeServer intake_;
  k8s::EventRecorder events_;
  Rivals rivals_;
  std::map<ObjectKey, std::string> uids_;  ///< of the workloads' Services
  PolicySource policies_;
  ClusterView endpoints_;
  ClusterView proxies_;
  k8s::Watcher<k8s::Service> service_watcher_;
  k8s::Watcher<k8s::EndpointSlice> slice_watcher_;
  k8s::Watcher<k8s::HorizontalPodAutoscaler> rival_watcher_;
  std::optional<k8s::Watcher<k8s::EndpointSlice>> proxy_watcher_;
  std::unique_ptr<k8s::Leader> leader_;
  std::unique_ptr<control::HttpListener> listener_;
  bool draining_ = false;
};

}  // namespace rouse::autoscaler
