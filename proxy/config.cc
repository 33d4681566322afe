#include "proxy/config.h"

#include <algorithm>
#include <set>
#include <utility>

#include <absl/status/status.h>

#include "common/app/values.h"
#include "common/base/object_key.h"

namespace rouse::proxy {
namespace {

using app::ConfigNode;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kDay = hours(24);

void AddListenOptions(app::Options& options, Config& config) {
  options.Group("Listening");
  ListenConfig& listen = config.listen;
  options.AddList("listen", &listen.addresses, "Addresses for requests.");
  options.AddInteger("shards", &listen.shards, 0, 64,
                     "Event loops, one thread each; 0: one per core that we may use.");
  options.AddInteger("connections-max", &listen.connections_max, 0, 10'000'000,
                     "Client connections in all; 0: half the limit of open files.");
  options.AddInteger("connections-per-client-max", &listen.connections_per_client_max, 0, 1'000'000,
                     "Connections of one client address; 0: no bound.");
  options.AddSize("client-receive-buffer", &listen.client_receive_buffer, 4096, 64 << 20,
                  "Kernel's receive buffer of a client connection: what a held upload may fill.");
  options.AddSize("buffer-bytes-max", &listen.shard.buffer_bytes_max, 1 << 20, uint64_t{64} << 30,
                  "Buffers of one shard; a request beyond it gets 503.");
  options.AddText("health", &config.admin.health_address,
                  "Address of /livez, /readyz and /metrics.");
  options.AddText("admin", &config.admin.admin_address, "Address of the read-only admin pages.");
  options.AddList("admin-hosts", &config.admin.admin_hosts,
                  "Names, beside loopback's, under which the admin port may be asked for.");
}

void AddRequestOptions(app::Options& options, http::H1Options& limits) {
  options.Group("Requests");
  options.AddDuration("first-byte-timeout", &limits.first_byte_timeout, milliseconds(10), kDay,
                      "From accept to a request's first byte.");
  options.AddDuration("head-timeout", &limits.head_timeout, milliseconds(10), kDay,
                      "From a head's first byte to its last.");
  options.AddDuration("keep-alive-timeout", &limits.keep_alive_timeout, milliseconds(10), kDay,
                      "Between two requests of a connection.");
  options.AddDuration("body-idle-timeout", &limits.body.read_idle_timeout, milliseconds(10), kDay,
                      "Longest silence inside a request body.");
  options.AddDuration("write-idle-timeout", &limits.body.write_idle_timeout, milliseconds(10), kDay,
                      "Longest wait for a client that does not read.");
  options.AddSize("body-rate-least", &limits.body.rate_least, 0, 1 << 30,
                  "Bytes per second that a sized body must make on average after 10 s; 0: any.");
  options.AddSize("body-bytes-max", &limits.body.body_bytes_max, 1, UINT64_MAX,
                  "Longest request body; 413 beyond.");
  options.AddSize("head-bytes-max", &limits.head.head_bytes_max, 1024, 64 << 10,
                  "Longest request head; 431 beyond.");
  options.AddSize("target-bytes-max", &limits.head.target_bytes_max, 256, 48 << 10,
                  "Longest request target; 414 beyond.");
  options.AddSize("field-bytes-max", &limits.head.field_bytes_max, 256, 48 << 10,
                  "Longest header field; 431 beyond.");
  options.AddInteger("fields-max", &limits.head.fields_max, 8, http::HeaderMap::kFieldsMax,
                     "Header fields of a request; 431 beyond.");
  options.AddInteger("requests-per-connection-max", &limits.requests_max, 1, INT64_MAX,
                     "Requests after which a connection is closed.");
  options.AddBoolean("half-close-parked-keeps", &limits.half_close_parked_keeps,
                     "A client that half-closes while its request waits for a pod has not gone.");
}

void AddHoldOptions(app::Options& options, Config& config) {
  options.Group("Holding");
  options.AddDuration("hold-timeout", &config.hold_timeout, milliseconds(1), kDay,
                      "How long a request may wait for a pod, where its workload says nothing.");
  options.AddInteger("parked-max", &config.admission.parked_max, 1, 10'000'000,
                     "Requests waiting for pods, over all workloads.");
  options.AddSize("parked-bytes-max", &config.admission.parked_bytes_max, 1 << 20,
                  uint64_t{64} << 30, "Memory of waiting requests, over all workloads.");
  options.AddInteger("parked-guarantee", &config.admission.guarantee_requests, 1, 1'000'000,
                     "Waiting requests that each workload is sure of.");
  options.AddSize("parked-guarantee-bytes", &config.admission.guarantee_bytes, 1024, 1 << 30,
                  "Memory of waiting requests that each workload is sure of.");
}

void AddUpstreamOptions(app::Options& options, UpstreamConfig& upstream) {
  options.Group("Pods");
  options.AddDuration("connect-timeout", &upstream.connect_timeout, milliseconds(1), minutes(10),
                      "To connect to a pod; then another one is tried.");
  options.AddDuration("response-start-timeout", &upstream.response_start_timeout, milliseconds(1),
                      kDay,
                      "From the request to the response head, where the workload says nothing.");
  options.AddDuration("upstream-idle-timeout", &upstream.idle_timeout, milliseconds(1), kDay,
                      "How long an unused connection to a pod is kept.");
  options.AddDuration("upstream-body-idle-timeout", &upstream.http.body.read_idle_timeout,
                      milliseconds(10), kDay, "Longest silence inside a response body.");
  options.AddInteger("upstream-idle-max", &upstream.idle_per_endpoint_max, 0, 65536,
                     "Unused connections kept per pod and shard.");
}

void AddForwardOptions(app::Options& options, ForwardPolicy& forward) {
  options.Group("Forwarding");
  options.AddInteger("trusted-hops", &forward.trusted_hops, 0, 16,
                     "Proxies in front of us whose X-Forwarded-* and request ids are believed.");
  options.AddText("via", &forward.via, "Our name in Via.");
}

void AddClusterOptions(app::Options& options, Config& config) {
  options.Group("Cluster");
  KubernetesConfig& kubernetes = config.kubernetes;
  options.AddText("kubeconfig", &kubernetes.kubeconfig,
                  "Kubeconfig file; without it the pod's service account, then the default files.");
  options.AddText("context", &kubernetes.context,
                  "Context of the kubeconfig; default the current one.");
  options.AddText("namespace", &kubernetes.ns, "Namespace to watch; empty: all.");
  options.AddText("cluster-domain", &kubernetes.cluster_domain,
                  "Domain of the cluster's Services.");
  options.AddList("allow-endpoint-cidr", &kubernetes.allow_endpoint_cidrs,
                  "Address ranges that may be dialled although they are loopback or link-local.");
  options.AddList("allowed-hosts", &kubernetes.allowed_hosts,
                  "NAMESPACE=PATTERN: who may claim which hosts; none: everybody every host.");
  ReportConfig& report = config.report;
  options.AddText("autoscaler-service", &report.autoscaler_service,
                  "NAMESPACE/NAME of the autoscaler's Service, to report to each of its pods.");
  options.AddList("autoscalers", &report.autoscalers,
                  "HOST:PORT of autoscalers, in place of a Service.");
  options.AddText("autoscaler-token-file", &report.token_file,
                  "Bearer token to show to autoscalers.");
  options.AddText("name", &report.name,
                  "Name of this proxy in reports; empty: host name and process id.");
}

void AddLogOptions(app::Options& options, Config& config) {
  options.Group("Logs and stopping");
  options.AddChoice("log-level", &config.log.level, {"debug", "info", "warn", "error"},
                    "Least level.");
  options.AddChoice("log-format", &config.log.format, {"text", "json"}, "Form of log lines.");
  options.AddBoolean("access-log", &config.log.access, "One line per request, on standard output.");
  options.AddDuration("drain-delay", &config.drain.delay, Duration::zero(), hours(1),
                      "From being told to stop (not ready) to taking no more connections.");
  options.AddDuration("drain-timeout", &config.drain.timeout, Duration::zero(), kDay,
                      "How long requests in flight or held may take after that.");
}

// ---- the static file --------------------------------------------------------------------------------

absl::Status ReadTextList(const ConfigNode& node, std::vector<std::string>& out) {
  if (!node.is_list()) return node.Error("want a list");
  for (const ConfigNode& item : node.items) {
    if (!item.is_scalar()) return item.Error("want a text");
    out.push_back(item.text);
  }
  return absl::OkStatus();
}

absl::Status ReadDuration(const ConfigNode& node, Duration& out) {
  const auto value = app::ParseDuration(node.text);
  if (!node.is_scalar() || !value.ok()) return node.Error("want a duration, such as 500ms or 30s");
  out = *value;
  return absl::OkStatus();
}

absl::Status ReadCount(const ConfigNode& node, uint32_t& out) {
  const auto value = app::ParseInteger(node.text);
  if (!node.is_scalar() || !value.ok() || *value < 0 || *value > INT32_MAX) {
    return node.Error("want a whole number");
  }
  out = static_cast<uint32_t>(*value);
  return absl::OkStatus();
}

absl::Status ReadWorkload(const ConfigNode& node, StaticWorkload& workload) {
  const std::vector<std::string> known = {
      "name",         "endpoints",       "concurrency_limit",
      "hold_timeout", "request_timeout", "response_start_timeout",
      "parked_max",   "server_timing"};
  if (const absl::Status keys = node.CheckKeys(known); !keys.ok()) return keys;
  workload.line = node.line;
  for (const ConfigNode::Entry& entry : node.entries) {
    absl::Status status = absl::OkStatus();
    if (entry.key == "name") workload.name = entry.value.text;
    if (entry.key == "endpoints") status = ReadTextList(entry.value, workload.endpoints);
    if (entry.key == "concurrency_limit") {
      status = ReadCount(entry.value, workload.policy.concurrency_limit);
    }
    if (entry.key == "parked_max") status = ReadCount(entry.value, workload.policy.parked_max);
    if (entry.key == "hold_timeout")
      status = ReadDuration(entry.value, workload.policy.hold_timeout);
    if (entry.key == "request_timeout") {
      status = ReadDuration(entry.value, workload.policy.request_timeout);
    }
    if (entry.key == "response_start_timeout") {
      status = ReadDuration(entry.value, workload.policy.response_start_timeout);
    }
    if (entry.key == "server_timing") {
      const auto value = app::ParseBoolean(entry.value.text);
      if (!value.ok()) return entry.value.Error("want true or false");
      workload.policy.server_timing = *value;
    }
    if (!status.ok()) return status;
  }
  if (!ObjectKey::Parse(workload.name)) return node.Error("a workload's name is NAMESPACE/NAME");
  for (const std::string& endpoint : workload.endpoints) {
    const auto address = app::ParseHostPort(endpoint);
    if (!address.ok() || address->host.empty()) {
      return node.Error("endpoint '" + endpoint + "' is no ADDRESS:PORT");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadWorkloads(const ConfigNode& node, StaticConfig& fixed) {
  if (!node.is_list()) return node.Error("workloads is a list");
  std::set<std::string> names;
  for (const ConfigNode& item : node.items) {
    StaticWorkload workload;
    if (const absl::Status status = ReadWorkload(item, workload); !status.ok()) return status;
    if (!names.insert(workload.name).second) return item.Error("a second workload of this name");
    fixed.workloads.push_back(std::move(workload));
  }
  return absl::OkStatus();
}

absl::Status ReadRoutes(const ConfigNode& node, StaticConfig& fixed) {
  if (!node.is_list()) return node.Error("routes is a list");
  for (const ConfigNode& item : node.items) {
    if (const absl::Status keys = item.CheckKeys({"host", "path", "workload"}); !keys.ok())
      return keys;
    StaticRoute route;
    route.line = item.line;
    if (const ConfigNode* host = item.Find("host")) route.host = host->text;
    if (const ConfigNode* path = item.Find("path")) route.path = path->text;
    if (const ConfigNode* workload = item.Find("workload")) route.workload = workload->text;
    if (route.path.empty() || route.path[0] != '/')
      return item.Error("a route's path begins with /");
    std::transform(route.host.begin(), route.host.end(), route.host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    fixed.routes.push_back(std::move(route));
  }
  return absl::OkStatus();
}

/// Every route names a workload of the file.
absl::Status CheckStatic(const StaticConfig& fixed) {
  std::vector<std::string> names;
  for (const StaticWorkload& workload : fixed.workloads) names.push_back(workload.name);
  for (const StaticRoute& route : fixed.routes) {
    if (std::find(names.begin(), names.end(), route.workload) != names.end()) continue;
    const std::string nearest = app::Nearest(route.workload, names);
    return absl::InvalidArgumentError("routes, line " + std::to_string(route.line) +
                                      ": workload '" + route.workload + "' is not in workloads" +
                                      (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
  }
  return absl::OkStatus();
}

/// `listeners: [{address: ...}]`, `health: {address: ...}`, as the design's file has them.
absl::Status ReadAddress(const ConfigNode& node, std::string& out) {
  if (node.is_scalar()) {
    out = node.text;
    return absl::OkStatus();
  }
  if (const absl::Status keys = node.CheckKeys({"address"}); !keys.ok()) return keys;
  const ConfigNode* address = node.Find("address");
  if (address == nullptr || !address->is_scalar()) return node.Error("want address: HOST:PORT");
  out = address->text;
  return absl::OkStatus();
}

}  // namespace

void AddOptions(app::Options& options, Config& config) {
  AddListenOptions(options, config);
  AddRequestOptions(options, config.downstream);
  AddHoldOptions(options, config);
  AddUpstreamOptions(options, config.upstream);
  AddForwardOptions(options, config.forward);
  AddClusterOptions(options, config);
  AddLogOptions(options, config);
  options.TakeKey("listeners", "Addresses for requests: [{address: HOST:PORT}, ...].",
                  [&config](const ConfigNode& node) -> absl::Status {
                    if (!node.is_list()) return node.Error("listeners is a list");
                    config.listen.addresses.clear();
                    for (const ConfigNode& item : node.items) {
                      config.listen.addresses.emplace_back();
                      const absl::Status status = ReadAddress(item, config.listen.addresses.back());
                      if (!status.ok()) return status;
                    }
                    return absl::OkStatus();
                  });
  options.TakeKey(
      "health", "Address of /livez, /readyz and /metrics: {address: HOST:PORT}.",
      [&config](const ConfigNode& node) { return ReadAddress(node, config.admin.health_address); });
  options.TakeKey(
      "admin", "Address of the admin pages: {address: HOST:PORT}.",
      [&config](const ConfigNode& node) { return ReadAddress(node, config.admin.admin_address); });
  options.TakeKey("workloads", "Workloads without Kubernetes: name, endpoints and their policy.",
                  [&config](const ConfigNode& node) { return ReadWorkloads(node, config.fixed); });
  options.TakeKey("routes", "Routes without Kubernetes: host, path, workload.",
                  [&config](const ConfigNode& node) { return ReadRoutes(node, config.fixed); });
  options.AddCheck([&config] { return CheckStatic(config.fixed); });
}

absl::Status ReadStatic(const std::string& file, Config& config) {
  const absl::StatusOr<ConfigNode> root = app::ReadConfig(file);
  if (!root.ok()) return root.status();
  StaticConfig fixed;
  if (const ConfigNode* workloads = root->Find("workloads")) {
    if (const absl::Status status = ReadWorkloads(*workloads, fixed); !status.ok()) return status;
  }
  if (const ConfigNode* routes = root->Find("routes")) {
    if (const absl::Status status = ReadRoutes(*routes, fixed); !status.ok()) return status;
  }
  if (const absl::Status status = CheckStatic(fixed); !status.ok()) return status;
  config.fixed = std::move(fixed);
  return absl::OkStatus();
}

}  // namespace rouse::proxy
