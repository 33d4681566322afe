#pragma once
// What:      ClusterSide, rouse-proxy in a cluster: API client and KubernetesSide, tied to App.
//            Reports: StatReporter tied to App, in every mode that has autoscalers.
// Owner:     the program; App, network and config outlive them. Control thread.

#include <memory>
#include <set>

#include <absl/status/statusor.h>

#include "common/control/real_network.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "k8s/api_client.h"
#include "k8s/credentials.h"
#include "proxy/app.h"
#include "proxy/control/homes.h"
#include "proxy/control/kubernetes_side.h"
#include "proxy/control/stat_reporter.h"

namespace rouse::proxy {

class Reports {
 public:
  Reports(control::Network& network, obs::Log& log, App& app, const ClusterConfig& config,
          uint64_t seed);
  void Start();
  /// Without a cluster: tells the autoscalers at once.
  void Wake(const ObjectKey& workload) {
    reporter_.Wake(workload);
    Woken(workload);
  }
  /// The reporter has been told of a wake: is it on its way?
  void Woken(const ObjectKey& workload);
  [[nodiscard]] StatReporter& reporter() { return reporter_; }

 private:
  App& app_;
  const ClusterConfig& config_;
  std::set<ObjectKey> unsent_;  ///< wakes that no autoscaler could be told
  StatReporter reporter_;
};

class ClusterSide {
 public:
  /// For Make.
  ClusterSide(const Clock& clock, k8s::ClusterAccess access)
      : credentials_(clock, std::move(access)) {}
  /// kFailedPrecondition or kInvalidArgument where no cluster can be found.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ClusterSide>> Make(
      control::RealNetwork& network, obs::Log& log, App& app, Reports& reports,
      const Config& config, TlsSecrets::Adopt on_tls_secret, uint64_t seed);

  /// kFailedPrecondition names the address that cannot be listened on.
  [[nodiscard]] absl::Status Start();
  /// Nothing is in flight here that another proxy waits for.
  [[nodiscard]] bool HandedOver() const { return !homes_ || homes_->HandedOver(); }
  [[nodiscard]] KubernetesSide& side() { return *side_; }

 private:
  k8s::Credentials credentials_;
  std::unique_ptr<k8s::ApiClient> client_;
  std::unique_ptr<Homes> homes_;
  std::unique_ptr<KubernetesSide> side_;
};

}  // namespace rouse::proxy
