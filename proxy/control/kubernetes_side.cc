#include "proxy/control/kubernetes_side.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {

KubernetesSide::KubernetesSide(control::Network& network, k8s::ApiClient& client, obs::Log& log,
                               KubernetesOptions options, EndpointGuard guard, SlotHandles handles,
                               StatReporter& reporter, Publish publish)
    : network_(network),
      client_(client),
      log_(log),
      options_(std::move(options)),
      reporter_(reporter),
      publish_(std::move(publish)),
      view_(network.loop().clock(), log, [this] { OnDirty(); }),
      builder_(options_.snapshot, std::move(guard), std::move(handles)),
      targets_(client,
               [this](const ObjectKey& workload, k8s::Deployment target) {
                 view_.SetTarget(workload, std::move(target));
               }),
      events_(client, options_.seed + 1),
      services_(client, log, options_.seed + 2, view_.services(), options_.ns,
                k8s::kEnabledSelector),
      slices_(client, log, options_.seed + 3, view_.slices(), options_.ns, k8s::kEnabledSelector),
      secrets_(network.loop().clock(), log, options_.on_tls_secret) {
  for (const std::string& ns : options_.tls_namespaces)
    secret_watchers_.push_back(std::make_unique<k8s::Watcher<k8s::Secret>>(
        client, log, options_.seed + 5 + secret_watchers_.size(), secrets_, ns, std::string(),
        k8s::Secret::kTlsSelector));
  view_.OnService([this](const ObjectKey& workload) { ReadTarget(workload, false); });
  if (!options_.autoscaler_service) return;
  const std::string selector =
      std::string(k8s::kServiceNameLabel) + "=" + options_.autoscaler_service->name;
  autoscalers_ = std::make_unique<k8s::Watcher<k8s::EndpointSlice>>(
      client, log, options_.seed + 4, autoscaler_slices_, options_.autoscaler_service->ns,
      selector);
}

void KubernetesSide::Follow(Homes& homes) {
  homes_ = &homes;
  proxies_ = std::make_unique<k8s::Watcher<k8s::EndpointSlice>>(
      client_, log_, options_.seed + 6, homes.slices(), options_.proxy_service->ns,
      std::string(k8s::kServiceNameLabel) + "=" + options_.proxy_service->name);
}

void KubernetesSide::Start() {
  if (proxies_) proxies_->Start();
  services_.Start();
  slices_.Start();
  if (autoscalers_) autoscalers_->Start();
  for (const auto& watcher : secret_watchers_) watcher->Start();
}

void KubernetesSide::Wake(const ObjectKey& workload) {
  reporter_.Wake(workload);
  ReadTarget(workload, true);
}

void KubernetesSide::ReadTarget(const ObjectKey& workload, bool urgent) {
  const WorkloadView* view = view_.Find(workload);
  if (view == nullptr || !view->service) return targets_.Forget(workload);
  targets_.Read(workload, k8s::ResolveScaleTarget(view->policy, *view->service), urgent);
}

void KubernetesSide::OnDirty() {
  if (build_posted_) return;
  build_posted_ = true;
  network_.loop().Post([this] { BuildNow(); });
}

void KubernetesSide::BuildNow() {
  build_posted_ = false;
  if (!view_.synced() || (homes_ != nullptr && !homes_->synced())) return;
  const std::set<ObjectKey> dirty = view_.TakeDirty();
  SnapshotPtr snapshot = builder_.Build(view_, dirty, network_.loop().now());
  ++snapshots_;
  for (const EndpointSetPtr& set : snapshot->workloads) {
    if (set && !set->endpoints.empty() && dirty.count(set->workload) != 0) {
      reporter_.EndpointsKnown(set->workload);
    }
  }
  publish_(std::move(snapshot));
  TellSecrets();
  TellConflicts();
  TellInvalid(dirty);
}

/// Which Secret each Service wants, for the hosts that are its own.
void KubernetesSide::TellSecrets() {
  if (secret_watchers_.empty()) return;
  std::map<ObjectKey, TlsSecrets::Want> wants;
  for (const auto& [key, hosts] : builder_.owned()) {
    const WorkloadView* const view = view_.Find(key);
    if (view == nullptr || view->policy.tls_secret.empty()) continue;
    wants[key] = {.secret = view->policy.tls_secret, .hosts = hosts};
  }
  secrets_.SetWants(std::move(wants));
}

void KubernetesSide::TellConflicts() {
  for (const RouteConflict& conflict : builder_.conflicts()) {
    if (told_.count(conflict) != 0) continue;
    const WorkloadView* view = view_.Find(conflict.loser);
    if (view == nullptr || !view->service) continue;
    const std::string why = conflict.owner.name.empty()
                                ? "this namespace may not claim it"
                                : "it belongs to the older Service " + conflict.owner.text();
    log_.Warn("route_conflict", {{"workload", conflict.loser.text()},
                                 {"host", conflict.host},
                                 {"path", conflict.path},
                                 {"why", why}});
    const k8s::ObjectMeta& meta = view->service->meta;
    events_.Warning({"v1", "Service", meta.ns, meta.name, meta.uid, meta.resource_version},
                    "RouteConflict", "no route for " + conflict.host + conflict.path + ": " + why);
  }
  told_ = builder_.conflicts();
}

void KubernetesSide::TellInvalid(const std::set<ObjectKey>& dirty) {
  for (const ObjectKey& key : dirty) {
    const auto problem = builder_.problems().find(key);
    if (problem == builder_.problems().end()) continue;
    log_.Warn("workload_problem", {{"workload", key.text()}, {"why", problem->second}});
  }
}

Duration KubernetesSide::staleness() const {
  if (!view_.synced()) return Duration::zero();
  const TimePoint oldest = std::min(services_.last_contact(), slices_.last_contact());
  return network_.loop().now() - oldest;
}

namespace {

constexpr MetricRow kMetrics[] = {
    {"rouse_proxy_snapshot_age_seconds", "gauge", "",
     "Since the Kubernetes API last said anything useful"},
    {"rouse_proxy_snapshots_total", "counter", "", "Snapshots built"},
    {"rouse_proxy_route_conflicts", "gauge", "",
     "Hosts and paths that a workload asked for and did not get"},
    {"rouse_proxy_watch_events_total", "counter", "", "Watch events received"},
    {"rouse_proxy_watch_failures_total", "counter", "", "Lists and watches that ended badly"},
    {"rouse_proxy_reports_sent_total", "counter", "", "Reports sent to autoscaler replicas"},
    {"rouse_proxy_report_wakes_total", "counter", "", "Wakes sent to autoscaler replicas"},
    {"rouse_proxy_report_failures_total", "counter", "",
     "Reports that a replica's full queue refused"},
    {"rouse_proxy_autoscalers_connected", "gauge", "", "Autoscaler replicas that reports reach"},
};

}  // namespace

void KubernetesSide::AddTo(obs::MetricPage& page) const {
  uint64_t events = 0;
  uint64_t failures = 0;
  const auto add = [&](const k8s::WatchCounters& counters) {
    events += counters.events;
    failures += counters.failures;
  };
  add(services_.counters());
  add(slices_.counters());
  if (autoscalers_) add(autoscalers_->counters());
  if (proxies_) add(proxies_->counters());
  for (const auto& watcher : secret_watchers_) add(watcher->counters());
  const ReporterCounters& reports = reporter_.counters();
  const double figures[] = {std::chrono::duration<double>(staleness()).count(),
                            static_cast<double>(snapshots_),
                            static_cast<double>(builder_.conflicts().size()),
                            static_cast<double>(events),
                            static_cast<double>(failures),
                            static_cast<double>(reports.reports_sent),
                            static_cast<double>(reports.wakes_sent),
                            static_cast<double>(reports.send_failures),
                            static_cast<double>(reporter_.connected())};
  static_assert(std::size(figures) == std::size(kMetrics));
  for (size_t i = 0; i < std::size(kMetrics); ++i) {
    const MetricRow& row = kMetrics[i];
    if (row.kind == "gauge") {
      page.Add(row.name, row.help, {}, obs::Gauge{figures[i]});
    } else {
      page.Add(row.name, row.help, {}, obs::Counter{static_cast<uint64_t>(figures[i])});
    }
  }
}

std::string KubernetesSide::MetricTable() {
  std::string table;
  for (const MetricRow& row : kMetrics) table += MetricLine(row);
  return table;
}

void KubernetesSide::AutoscalerSlices::OnUpsert(k8s::EndpointSlice slice) {
  slices[slice.meta.name] = std::move(slice);
  Tell();
}

void KubernetesSide::AutoscalerSlices::OnDelete(const ObjectKey& key, const std::string&) {
  slices.erase(key.name);
  Tell();
}

void KubernetesSide::AutoscalerSlices::Tell() {
  std::map<std::string, control::Origin> origins;
  for (const auto& [name, slice] : slices) {
    uint16_t port = 0;
    for (const k8s::SlicePort& candidate : slice.ports) {
      const bool named = candidate.name == side.options_.autoscaler_port;
      if (candidate.port && (named || slice.ports.size() == 1)) port = *candidate.port;
    }
    if (port == 0) continue;
    for (const k8s::SliceEndpoint& endpoint : slice.endpoints) {
      // A replica that is not ready may still wake: it is told everything from its start on.
      if (endpoint.addresses.empty() || endpoint.terminating) continue;
      const std::string& host = endpoint.addresses.front();
      origins[host] = {host, port, std::nullopt};
    }
  }
  std::vector<control::Origin> list;
  list.reserve(origins.size());
  for (auto& [host, origin] : origins) list.push_back(std::move(origin));
  side.reporter_.SetAutoscalers(std::move(list));
}

}  // namespace rouse::proxy
