#include "proxy/cluster_side.h"

#include <cstdio>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include "common/app/admin_server.h"
#include "k8s/exec_process.h"
#include "k8s/kubeconfig.h"

namespace rouse::proxy {
namespace {

std::string NameOfProxy(const ClusterConfig& config, uint64_t seed) {
  if (!config.proxy_name.empty()) return config.proxy_name;
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) return absl::StrCat("rouse-proxy-", seed % 100000);
  return absl::StrCat(static_cast<const char*>(host), "-", seed % 100000);
}

std::vector<WorkloadDemand> DemandOf(const std::vector<DemandRow>& rows) {
  std::vector<WorkloadDemand> demand;
  demand.reserve(rows.size());
  for (const DemandRow& row : rows)
    demand.push_back({.workload = row.workload,
                      .average_concurrency = row.demand.average_concurrency,
                      .request_count = static_cast<double>(row.demand.request_count),
                      .parked = static_cast<double>(row.parked)});
  return demand;
}

std::vector<AllowedHost> AllowedHosts(const std::vector<std::string>& texts) {
  std::vector<AllowedHost> hosts;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      hosts.push_back({.ns = "*", .pattern = text});
    else
      hosts.push_back({.ns = text.substr(0, equals), .pattern = text.substr(equals + 1)});
  }
  return hosts;
}

/// Read anew, since certificates are renewed under us.
absl::StatusOr<control::ClientTls> ReportTls(const ClusterConfig& config) {
  control::ClientTls tls;
  absl::Status read = k8s::ReadSmallFiles({{config.autoscaler_ca, tls.ca_pem},
                                           {config.autoscaler_certificate, tls.certificate_pem},
                                           {config.autoscaler_key, tls.key_pem}});
  if (!read.ok()) return read;
  tls.server_name = config.autoscaler_server_name;
  const std::optional<ObjectKey> service = ObjectKey::Parse(config.autoscaler_service);
  if (tls.server_name.empty() && service) {
    tls.server_name = absl::StrCat(service->name, ".", service->ns, ".svc");
  }
  return tls;
}

}  // namespace

Reports::Reports(control::Network& network, obs::Log& log, App& app, const ClusterConfig& config,
                 uint64_t seed)
    : app_(app),
      config_(config),
      reporter_(network, log, NameOfProxy(config, seed), seed, [&app](StatReporter::Gathered done) {
        app.GatherDemand([done = std::move(done)](const std::vector<DemandRow>& rows) mutable {
          done(DemandOf(rows));
        });
      }) {
  reporter_.OnConnected([this](bool some) {
    if (!some) return;
    for (const ObjectKey& workload : std::exchange(unsent_, {})) app_.MarkReported(workload);
  });
}

void Reports::Start() {
  std::vector<control::Origin> origins;
  for (const std::string& text : config_.autoscalers) {
    const absl::StatusOr<app::HostPort> at = app::ParseHostPort(text);
    if (at.ok()) origins.push_back({.host = at->host, .port = at->port, .tls = std::nullopt});
  }
  if (!config_.autoscaler_token_file.empty()) {
    reporter_.SetToken([file = config_.autoscaler_token_file] {
      const absl::StatusOr<std::string> text = k8s::ReadSmallFile(file);
      return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : std::string();
    });
  }
  if (!config_.autoscaler_ca.empty()) {
    reporter_.SetTls([&config = config_] { return ReportTls(config); });
  }
  if (!origins.empty()) reporter_.SetAutoscalers(std::move(origins));
  reporter_.Start();
}

void Reports::Woken(const ObjectKey& workload) {
  if (reporter_.connected() > 0)
    app_.MarkReported(workload);
  else
    unsent_.insert(workload);
}

namespace {

/// What stands in the files of upstream-ca, upstream-certificate and upstream-key.
absl::StatusOr<net::TlsClientPolicy> UpstreamTls(const ClusterConfig& cluster) {
  net::TlsClientPolicy policy;
  absl::Status read = k8s::ReadSmallFiles({{cluster.upstream_ca, policy.ca_pem},
                                           {cluster.upstream_certificate, policy.certificate_pem},
                                           {cluster.upstream_key, policy.key_pem}});
  if (!read.ok()) return read;
  // Once without a workload: what is wrong with the files is said at start.
  policy.names = {"rouse.dev"};
  if (const auto made = net::TlsClientContext::Make(policy); !made.ok()) return made.status();
  policy.names.clear();
  return policy;
}

std::unique_ptr<Homes> MakeHomes(control::Network& network, obs::Log& log, App& app,
                                 const PeersConfig& peers, uint64_t seed, ClusterSide& side) {
  HomesOptions options;
  options.address = peers.address;
  options.listen = peers.hand_over_listen;
  options.fence = peers.limit_fence;
  options.life = seed;
  SlotAccess access{.reserve =
                        [](EndpointSlots& slots, uint32_t before, uint32_t now) {
                          if (now > before) slots.Add(now - before);
                          if (now < before) slots.Release(before - now);
                        },
                    .in_flight = [](const EndpointSlots& slots) { return slots.in_flight(); },
                    .freed = [&app] { app.LookAgain(); }};
  return std::make_unique<Homes>(network, log, std::move(options), std::move(access),
                                 [&side] { side.side().HomesMoved(); });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterSide>> ClusterSide::Make(
    control::RealNetwork& network, obs::Log& log, App& app, Reports& reports, const Config& config,
    TlsSecrets::Adopt on_tls_secret, uint64_t seed) {
  const ClusterConfig& cluster = config.cluster;
  absl::StatusOr<k8s::ClusterAccess> access = k8s::FindAccess(cluster.kubeconfig, cluster.context);
  if (!access.ok()) return access.status();
  absl::StatusOr<EndpointGuard> guard =
      EndpointGuard::Make(cluster.allow_endpoint_cidrs, {access->origin.host});
  if (!guard.ok()) return guard.status();

  absl::StatusOr<net::TlsClientPolicy> upstream_tls = UpstreamTls(cluster);
  if (!upstream_tls.ok()) return upstream_tls.status();

  auto made = std::make_unique<ClusterSide>(network.loop().clock(), *std::move(access));
  k8s::ServePlugin(network, log, seed, made->credentials_);
  k8s::ApiClientOptions client_options;
  client_options.component = "rouse-proxy";
  made->client_ = std::make_unique<k8s::ApiClient>(network, made->credentials_, client_options);
  KubernetesOptions options;
  options.ns = cluster.ns;
  options.autoscaler_service = ObjectKey::Parse(cluster.autoscaler_service);
  options.snapshot = {.cluster_domain = cluster.cluster_domain,
                      .allowed_hosts = AllowedHosts(cluster.allowed_hosts),
                      .upstream_tls = *std::move(upstream_tls)};
  options.tls_namespaces = cluster.tls_namespaces;
  options.on_tls_secret = std::move(on_tls_secret);
  options.seed = seed;
  SlotHandles handles{
      .endpoint = [&app](const EndpointKey& key) { return app.slots().Endpoint(key); },
      .workload = [&app](const ObjectKey& key) { return app.slots().Workload(key); }};
  options.proxy_service = ObjectKey::Parse(config.peers.service);
  if (options.proxy_service) {
    made->homes_ = MakeHomes(network, log, app, config.peers, seed, *made);
    handles.place = [homes = made->homes_.get()](std::shared_ptr<EndpointSet> set,
                                                 const std::string& key) {
      return homes->Place(std::move(set), key);
    };
  }
  made->side_ = std::make_unique<KubernetesSide>(
      network, *made->client_, log, std::move(options), *std::move(guard), std::move(handles),
      reports.reporter(), [&app](SnapshotPtr snapshot) { app.Publish(std::move(snapshot)); });
  if (made->homes_) made->side_->Follow(*made->homes_);
  return made;
}

absl::Status ClusterSide::Start() {
  if (homes_) {
    if (const absl::Status status = homes_->Start(); !status.ok()) return status;
  }
  side_->Start();
  return absl::OkStatus();
}

}  // namespace rouse::proxy
