#include "proxy/control/snapshot_builder.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace rouse::proxy {
namespace {

/// Of two versions the one that is newer: longer, or greater digit by digit (KEP-5504).
bool NewerVersion(const std::string& a, const std::string& b) {
  return std::pair(a.size(), a) > std::pair(b.size(), b);
}

WorkloadPolicy DataPathPolicy(const k8s::WorkloadPolicy& policy) {
  WorkloadPolicy out;
  out.concurrency_limit = static_cast<uint32_t>(policy.concurrency_limit);
  out.hold_timeout = policy.hold_timeout;
  out.request_timeout = policy.request_timeout;
  out.response_start_timeout = policy.response_start_timeout;
  out.tunnel_idle_timeout = policy.tunnel_idle_timeout;
  if (policy.parked_max > 0) out.parked_max = static_cast<uint32_t>(policy.parked_max);
  out.server_timing = policy.server_timing;
  return out;
}

/// The port a slice carries for a Service port; 0 where it carries none.
uint16_t SlicePortOf(const k8s::EndpointSlice& slice, const k8s::ServicePort& port,
                     std::string_view& app_protocol) {
  for (const k8s::SlicePort& candidate : slice.ports) {
    if (candidate.protocol != "TCP" || candidate.name != port.name) continue;
    if (!candidate.app_protocol.empty()) app_protocol = candidate.app_protocol;
    return candidate.port.value_or(port.port);
  }
  return 0;
}

EndpointState StateOf(const k8s::SliceEndpoint& endpoint) {
  if (endpoint.terminating) return EndpointState::kDraining;
  return endpoint.ready ? EndpointState::kReady : EndpointState::kStarting;
}

/// An endpoint while slices are being joined: two slices may name the same pod.
struct Joined {
  Endpoint endpoint;
  std::string slice_version;
};

}  // namespace

UpstreamProtocol ProtocolOf(std::string_view port_name, std::string_view app_protocol) {
  constexpr std::string_view kNames[] = {"h2c", "http2", "grpc"};
  const auto says = [&](std::string_view text) {
    return std::any_of(std::begin(kNames), std::end(kNames), [&](std::string_view name) {
      return text == name || (text.starts_with(name) && text[name.size()] == '-');
    });
  };
  if (app_protocol == "kubernetes.io/h2c") return UpstreamProtocol::kHttp2;
  const bool http2 = says(app_protocol.empty() ? port_name : app_protocol);
  return http2 ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1;
}

ProbeSpec EarlyProbeOf(const k8s::Deployment& target, const k8s::ServicePort& service_port,
                       uint16_t pod_port) {
  ProbeSpec none;
  if (!target.readiness_gates.empty()) return none;
  const k8s::Container* probed = nullptr;
  for (const k8s::Container& container : target.containers) {
    if (container.startup_probe) return none;
    if (!container.readiness_probe) continue;
    if (probed != nullptr) return none;
    probed = &container;
  }
  if (probed == nullptr) return none;
  const k8s::ProbeSpec& declared = *probed->readiness_probe;
  if (!declared.host.empty() || declared.success_threshold != 1) return none;
  ProbeSpec probe;
  switch (declared.kind) {
    case k8s::ProbeSpec::Kind::kHttpGet:
      probe.kind = ProbeSpec::Kind::kHttpGet;
      break;
    case k8s::ProbeSpec::Kind::kTcpSocket:
      probe.kind = ProbeSpec::Kind::kTcpSocket;
      break;
    case k8s::ProbeSpec::Kind::kGrpc:
      probe.kind = ProbeSpec::Kind::kGrpc;
      probe.grpc_service = declared.grpc_service;
      break;
    default:
      return none;
  }
  const auto declared_port = probed->PortNumber(declared.port);
  if (!declared_port) return none;
  // The slice says where the Service's target port really listens (15.13); a probe of the same
  // container port asks there.
  const std::string target_text = service_port.target_port.empty()
                                      ? std::to_string(service_port.port)
                                      : service_port.target_port;
  const auto target_port = probed->PortNumber(target_text);
  probe.port = target_port && *target_port == *declared_port ? pod_port : *declared_port;
  probe.path = declared.path;
  probe.headers = declared.headers;
  probe.tls = declared.scheme == "HTTPS";
  probe.timeout = declared.timeout;
  return probe;
}

SnapshotBuilder::SnapshotBuilder(SnapshotOptions options, EndpointGuard guard, SlotHandles handles)
    : options_(std::move(options)),
      guard_(std::move(guard)),
      handles_(std::move(handles)),
      routes_(std::make_shared<RouteTable>(std::vector<Route>{})) {}

SnapshotPtr SnapshotBuilder::Build(const ClusterView& view, const std::set<ObjectKey>& dirty,
                                   TimePoint now) {
  bool routes_changed = false;
  for (const ObjectKey& key : dirty) {
    const WorkloadView* workload = view.Find(key);
    if (workload == nullptr || !workload->service) {
      const auto place = places_.find(key);
      if (place == places_.end()) continue;
      sets_[place->second] = nullptr;
      free_places_.push_back(place->second);
      places_.erase(place);
      hosts_.erase(key);
      problems_.erase(key);
      routes_changed = true;
      continue;
    }
    const uint32_t place = PlaceOf(key);
    sets_[place] = BuildSet(key, *workload);
    std::vector<k8s::HostRule> hosts =
        k8s::ResolveHosts(workload->policy, *workload->service, options_.cluster_domain);
    const auto before = hosts_.find(key);
    if (before == hosts_.end() || before->second != hosts) {
      hosts_[key] = std::move(hosts);
      routes_changed = true;
    }
  }
  if (routes_changed) routes_ = BuildRoutes(view);
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = ++version_;
  snapshot->made = now;
  snapshot->routes = routes_;
  snapshot->workloads = sets_;
  return snapshot;
}

uint32_t SnapshotBuilder::PlaceOf(const ObjectKey& key) {
  const auto known = places_.find(key);
  if (known != places_.end()) return known->second;
  uint32_t place = static_cast<uint32_t>(sets_.size());
  if (free_places_.empty()) {
    sets_.emplace_back();
  } else {
    place = free_places_.back();
    free_places_.pop_back();
  }
  places_[key] = place;
  return place;
}

EndpointSetPtr SnapshotBuilder::BuildSet(const ObjectKey& key, const WorkloadView& workload) {
  auto set = std::make_shared<EndpointSet>();
  set->workload = key;
  set->policy = DataPathPolicy(workload.policy);
  if (handles_.workload) set->slots = handles_.workload(key);
  const auto port = k8s::ResolvePort(workload.policy, *workload.service);
  if (port.ok()) {
    problems_.erase(key);
    AddEndpoints(workload, *port, *set);
    absl::StatusOr<net::TlsClientPtr> tls = TlsOf(key, workload.policy, *port);
    // Rather no endpoint than one spoken to in the clear.
    if (!tls.ok()) {
      problems_[key] = std::string(tls.status().message());
      set->endpoints.clear();
    }
    for (Endpoint& endpoint : set->endpoints) {
      endpoint.tls = *tls;
      if (endpoint.tls && endpoint.protocol == UpstreamProtocol::kHttp1)
        endpoint.protocol = UpstreamProtocol::kAgreed;
    }
  } else {
    problems_[key] = std::string(port.status().message());
  }
  if (!handles_.place) return set;
  // Workloads that share pods share a target, and so a home.
  const std::string target = k8s::ResolveScaleTarget(workload.policy, *workload.service).text();
  return handles_.place(std::move(set), key.ns + "/" + target);
}

absl::StatusOr<net::TlsClientPtr> SnapshotBuilder::TlsOf(const ObjectKey& key,
                                                         const k8s::WorkloadPolicy& policy,
                                                         const k8s::ServicePort& port) {
  const bool declared = port.app_protocol == "https" || port.name == "https";
  const std::string& wanted = policy.upstream_tls;
  if (!wanted.empty() && wanted != "off" && wanted != "verify" && wanted != "insecure")
    return absl::InvalidArgumentError("`rouse.dev/upstream-tls` must be off, verify or insecure");
  if (wanted == "off" || (wanted.empty() && !declared)) return net::TlsClientPtr();
  net::TlsClientPolicy rules = options_.upstream_tls;
  rules.verify = wanted != "insecure";
  rules.server_name = policy.upstream_server_name.empty() ? key.name + "." + key.ns + ".svc"
                                                          : policy.upstream_server_name;
  net::TlsClientPtr& known = upstream_tls_[{rules.server_name, rules.verify}];
  if (known) return known;
  absl::StatusOr<net::TlsClientPtr> made = net::TlsClientContext::Make(rules);
  if (!made.ok()) return made.status();
  known = *std::move(made);
  return known;
}

void SnapshotBuilder::AddEndpoints(const WorkloadView& workload, const k8s::ServicePort& port,
                                   EndpointSet& set) {
  std::map<EndpointKey, Joined> joined;
  for (const auto& [name, slice] : workload.slices) {
    std::string_view app_protocol = port.app_protocol;
    const uint16_t pod_port = SlicePortOf(slice, port, app_protocol);
    if (pod_port == 0 || slice.address_type == k8s::EndpointSlice::AddressType::kFqdn) continue;
    for (const k8s::SliceEndpoint& endpoint : slice.endpoints) {
      const bool own_pod = endpoint.target.kind == "Pod" && endpoint.target.ns == set.workload.ns;
      const std::string address = endpoint.addresses.empty() ? "" : endpoint.addresses.front();
      if (!own_pod || !guard_.Allows(address)) {
        problems_[set.workload] = "endpoint " + address + " refused: " +
                                  (own_pod ? "its address may not be dialled"
                                           : "it is no pod of the workload's namespace");
        continue;
      }
      Joined& one = joined[EndpointKey{endpoint.target.uid, pod_port}];
      one.endpoint.addresses.push_back(address);
      one.endpoint.protocol = ProtocolOf(port.name, app_protocol);
      // A pod that is moved between slices is in two for a moment: the newer one says how it is.
      if (!one.slice_version.empty() &&
          NewerVersion(one.slice_version, slice.meta.resource_version)) {
        continue;
      }
      one.slice_version = slice.meta.resource_version;
      one.endpoint.state = StateOf(endpoint);
      one.endpoint.pod_name = endpoint.target.name;
    }
  }
  for (auto& [key, one] : joined) {
    Endpoint& endpoint = one.endpoint;
    endpoint.key = key;
    std::sort(endpoint.addresses.begin(), endpoint.addresses.end());
    endpoint.addresses.erase(std::unique(endpoint.addresses.begin(), endpoint.addresses.end()),
                             endpoint.addresses.end());
    const auto seen = workload.pods.find(key.pod_uid);
    const bool first_start = seen != workload.pods.end() && !seen->second.was_ready;
    if (endpoint.state == EndpointState::kStarting && first_start && workload.target) {
      endpoint.probe = EarlyProbeOf(*workload.target, port, key.port);
      Duration delay{};
      for (const k8s::Container& container : workload.target->containers) {
        if (container.readiness_probe) delay = container.readiness_probe->initial_delay;
      }
      endpoint.probe_from = seen->second.first + delay;
    }
    if (handles_.endpoint) endpoint.slots = handles_.endpoint(key);
    set.endpoints.push_back(std::move(endpoint));
  }
}

bool SnapshotBuilder::MayClaim(const std::string& ns, const std::string& host) const {
  if (options_.allowed_hosts.empty()) return true;
  for (const AllowedHost& allowed : options_.allowed_hosts) {
    if (allowed.ns != "*" && allowed.ns != ns) continue;
    const std::string& pattern = allowed.pattern;
    if (pattern == "*" || pattern == host) return true;
    if (pattern.rfind("*.", 0) != 0) continue;
    const std::string suffix = pattern.substr(1);
    if (host.size() > suffix.size() &&
        host.compare(host.size() - suffix.size(), suffix.size(), suffix) == 0) {
      return true;
    }
  }
  return false;
}

std::shared_ptr<const RouteTable> SnapshotBuilder::BuildRoutes(const ClusterView& view) {
  std::vector<std::tuple<WallTime, ObjectKey>> by_age;
  for (const auto& [key, hosts] : hosts_) {
    const WorkloadView* workload = view.Find(key);
    if (workload == nullptr || !workload->service) continue;
    by_age.emplace_back(workload->service->meta.creation_time, key);
  }
  std::sort(by_age.begin(), by_age.end());
  std::map<std::pair<std::string, std::string>, ObjectKey> owners;
  std::vector<Route> routes;
  conflicts_.clear();
  owned_.clear();
  for (const auto& [created, key] : by_age) {
    for (const k8s::HostRule& rule : hosts_[key]) {
      if (!MayClaim(key.ns, rule.host)) {
        conflicts_.insert({key, {}, rule.host, rule.path});
        continue;
      }
      const auto [owner, won] = owners.try_emplace({rule.host, rule.path}, key);
      if (!won) {
        if (owner->second != key) conflicts_.insert({key, owner->second, rule.host, rule.path});
        continue;
      }
      routes.push_back({rule.host, rule.path, places_.at(key)});
      std::vector<std::string>& hosts = owned_[key];
      if (hosts.empty() || hosts.back() != rule.host) hosts.push_back(rule.host);
    }
  }
  return std::make_shared<RouteTable>(std::move(routes));
}

}  // namespace rouse::proxy
