#include "proxy/static_view.h"

#include <algorithm>
#include <set>
#include <utility>

#include <absl/strings/str_cat.h>

#include "common/app/values.h"
#include "common/net/socket_address.h"
#include "k8s/credentials.h"

namespace rouse::proxy {
namespace {

using app::ConfigNode;

absl::Status Take(const ConfigNode& node, Duration* into) {
  const absl::StatusOr<Duration> value = app::ParseDuration(node.text);
  if (!value.ok() || *value < Duration::zero())
    return node.Error("expected a duration such as 60s");
  *into = *value;
  return absl::OkStatus();
}

absl::Status Take(const ConfigNode& node, uint32_t* into) {
  const absl::StatusOr<int64_t> value = app::ParseInteger(node.text);
  if (!value.ok() || *value < 0 || *value > 1'000'000)
    return node.Error("expected a number from 0 to 1000000");
  *into = static_cast<uint32_t>(*value);
  return absl::OkStatus();
}

absl::Status Take(const ConfigNode& node, bool* into) {
  const absl::StatusOr<bool> value = app::ParseBoolean(node.text);
  if (!value.ok()) return node.Error("expected true or false");
  *into = *value;
  return absl::OkStatus();
}

absl::Status TakeKey(const ConfigNode& node, ObjectKey* into) {
  const std::optional<ObjectKey> key = ObjectKey::Parse(node.text);
  if (!key) return node.Error("expected NAMESPACE/NAME");
  *into = *key;
  return absl::OkStatus();
}

absl::Status TakeEndpoints(const ConfigNode& node, std::vector<std::string>* into) {
  if (!node.is_list()) return node.Error("expected a list of ADDRESS:PORT");
  std::set<std::string> seen;
  for (const ConfigNode& item : node.items) {
    const auto address = net::SocketAddress::Parse(item.text);
    if (!item.is_scalar() || !address || address->port() == 0)
      return item.Error("'" + item.text + "' is no ADDRESS:PORT of numbers");
    if (!seen.insert(item.text).second) return item.Error("this endpoint is listed twice");
    into->push_back(item.text);
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status TakeOptional(const ConfigNode& node, std::string_view key, T* into) {
  const ConfigNode* const value = node.Find(key);
  return value == nullptr ? absl::OkStatus() : Take(*value, into);
}

absl::Status TakePolicy(const ConfigNode& node, WorkloadPolicy* policy) {
  for (const absl::Status& status :
       {TakeOptional(node, "concurrency_limit", &policy->concurrency_limit),
        TakeOptional(node, "parked_max", &policy->parked_max),
        TakeOptional(node, "hold_timeout", &policy->hold_timeout),
        TakeOptional(node, "request_timeout", &policy->request_timeout),
        TakeOptional(node, "response_start_timeout", &policy->response_start_timeout),
        TakeOptional(node, "tunnel_idle_timeout", &policy->tunnel_idle_timeout),
        TakeOptional(node, "server_timing", &policy->server_timing)})
    if (!status.ok()) return status;
  return absl::OkStatus();
}

absl::Status TakeFile(const ConfigNode& node, std::string_view key, std::string* into) {
  const ConfigNode* const file = node.Find(key);
  if (file == nullptr) return absl::OkStatus();
  absl::StatusOr<std::string> text = k8s::ReadSmallFile(file->text);
  if (!text.ok()) return file->Error(std::string(text.status().message()));
  *into = *std::move(text);
  return absl::OkStatus();
}

/// `tls: {ca, server_name, names, cert, key, verify}`: how we speak with the endpoints.
absl::Status TakeTls(const ConfigNode& node, net::TlsClientPtr* into) {
  if (!node.is_map()) return node.Error("expected {ca: FILE, server_name: NAME}");
  absl::Status keys = node.CheckKeys({"ca", "server_name", "names", "cert", "key", "verify"});
  if (!keys.ok()) return keys;
  net::TlsClientPolicy policy;
  for (const absl::Status& status :
       {TakeFile(node, "ca", &policy.ca_pem), TakeFile(node, "cert", &policy.certificate_pem),
        TakeFile(node, "key", &policy.key_pem), TakeOptional(node, "verify", &policy.verify)})
    if (!status.ok()) return status;
  if (const ConfigNode* const name = node.Find("server_name"); name != nullptr)
    policy.server_name = name->text;
  if (const ConfigNode* const names = node.Find("names"); names != nullptr) {
    if (!names->is_list()) return names->Error("expected a list of names");
    for (const ConfigNode& name : names->items) policy.names.push_back(name.text);
  }
  auto made = net::TlsClientContext::Make(policy);
  if (!made.ok()) return node.Error(std::string(made.status().message()));
  *into = *std::move(made);
  return absl::OkStatus();
}

absl::Status TakeWorkload(const ConfigNode& node, StaticWorkload* workload) {
  if (!node.is_map()) return node.Error("expected a workload with name and endpoints");
  absl::Status keys = node.CheckKeys({"name", "endpoints", "protocol", "concurrency_limit",
                                      "hold_timeout", "request_timeout", "response_start_timeout",
                                      "tunnel_idle_timeout", "parked_max", "server_timing", "tls"});
  if (!keys.ok()) return keys;
  const ConfigNode* const name = node.Find("name");
  if (name == nullptr) return node.Error("a workload needs a name");
  if (const absl::Status status = TakeKey(*name, &workload->key); !status.ok()) return status;
  if (const ConfigNode* const endpoints = node.Find("endpoints"); endpoints != nullptr) {
    const absl::Status status = TakeEndpoints(*endpoints, &workload->endpoints);
    if (!status.ok()) return status;
  }
  if (const ConfigNode* const tls = node.Find("tls"); tls != nullptr)
    if (const absl::Status status = TakeTls(*tls, &workload->tls); !status.ok()) return status;
  if (const ConfigNode* const protocol = node.Find("protocol"); protocol != nullptr) {
    const bool http2 = protocol->text == (workload->tls ? "h2" : "h2c");
    if (protocol->text != "http1" && !http2)
      return protocol->Error(workload->tls ? "a protocol with tls is http1 or h2"
                                           : "a protocol is http1 or h2c");
    workload->protocol = http2 ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1;
  } else if (workload->tls) {
    workload->protocol = UpstreamProtocol::kAgreed;
  }
  return TakePolicy(node, &workload->policy);
}

absl::Status TakeRoute(const ConfigNode& node, StaticRoute* route) {
  if (!node.is_map()) return node.Error("expected a route with host, path and workload");
  if (const absl::Status keys = node.CheckKeys({"host", "path", "workload"}); !keys.ok())
    return keys;
  const ConfigNode* const workload = node.Find("workload");
  if (workload == nullptr) return node.Error("a route needs a workload");
  if (const absl::Status status = TakeKey(*workload, &route->workload); !status.ok()) return status;
  if (const ConfigNode* const host = node.Find("host"); host != nullptr) {
    if (host->text.empty()) return host->Error("a host is a name, `*.suffix` or `*`");
    route->host = host->text;
    std::transform(route->host.begin(), route->host.end(), route->host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  }
  if (const ConfigNode* const path = node.Find("path"); path != nullptr) {
    if (!path->text.starts_with('/')) return path->Error("a path begins with /");
    route->path = path->text;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StaticView::TakeWorkloads(const ConfigNode& node) {
  if (!node.is_list()) return node.Error("expected a list of workloads");
  std::set<ObjectKey> seen;
  for (const ConfigNode& item : node.items) {
    StaticWorkload workload;
    if (const absl::Status status = TakeWorkload(item, &workload); !status.ok()) return status;
    if (!seen.insert(workload.key).second) return item.Error("this workload is listed twice");
    workloads.push_back(std::move(workload));
  }
  return absl::OkStatus();
}

absl::Status StaticView::TakeRoutes(const ConfigNode& node) {
  if (!node.is_list()) return node.Error("expected a list of routes");
  for (const ConfigNode& item : node.items) {
    StaticRoute route;
    if (const absl::Status status = TakeRoute(item, &route); !status.ok()) return status;
    routes.push_back(std::move(route));
  }
  return absl::OkStatus();
}

absl::Status StaticView::Check() const {
  std::vector<std::string> names;
  names.reserve(workloads.size());
  for (const StaticWorkload& workload : workloads) names.push_back(workload.key.text());
  std::sort(names.begin(), names.end());
  for (const StaticRoute& route : routes) {
    const std::string wanted = route.workload.text();
    if (std::binary_search(names.begin(), names.end(), wanted)) continue;
    const std::string nearest = app::Nearest(wanted, names);
    return absl::InvalidArgumentError(
        absl::StrCat("route ", route.host, route.path, ": no workload ", wanted,
                     nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
  }
  return absl::OkStatus();
}

EndpointSetPtr StaticSnapshots::BuildSet(const StaticWorkload& workload) {
  auto set = std::make_shared<EndpointSet>();
  set->workload = workload.key;
  set->policy = workload.policy;
  set->slots = handles_.workload(workload.key);
  for (const std::string& text : workload.endpoints) {
    const net::SocketAddress address = *net::SocketAddress::Parse(text);
    char ip[net::SocketAddress::kTextMax];
    Endpoint endpoint;
    endpoint.key = {.pod_uid = text, .port = address.port()};
    endpoint.addresses = {std::string(address.Ip(ip))};
    endpoint.pod_name = text;
    endpoint.tls = workload.tls;
    endpoint.protocol = workload.protocol;
    endpoint.slots = handles_.endpoint(endpoint.key);
    set->endpoints.push_back(std::move(endpoint));
  }
  return set;
}

SnapshotPtr StaticSnapshots::Build(const StaticView& view, TimePoint now) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = ++version_;
  snapshot->made = now;
  std::map<ObjectKey, uint32_t> places;
  std::set<uint32_t> taken;
  for (const StaticWorkload& workload : view.workloads) {
    const auto old = places_.find(workload.key);
    if (old != places_.end()) taken.insert(places[workload.key] = old->second);
  }
  uint32_t place = 0;  // all before it are taken
  for (const StaticWorkload& workload : view.workloads) {
    if (places.contains(workload.key)) continue;
    while (taken.contains(place)) ++place;
    taken.insert(places[workload.key] = place);
  }
  snapshot->workloads.resize(taken.empty() ? 0 : *taken.rbegin() + 1);
  for (const StaticWorkload& workload : view.workloads)
    snapshot->workloads[places[workload.key]] = BuildSet(workload);
  std::vector<Route> routes;
  routes.reserve(view.routes.size());
  for (const StaticRoute& route : view.routes)
    routes.push_back(
        {.host = route.host, .path_prefix = route.path, .workload = places[route.workload]});
  snapshot->routes = std::make_shared<const RouteTable>(std::move(routes));
  places_ = std::move(places);
  return snapshot;
}

}  // namespace rouse::proxy
