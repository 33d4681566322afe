#include "proxy/config.h"

#include <algorithm>

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "common/app/admin_server.h"
#include "common/app/values.h"
#include "common/base/object_key.h"

namespace rouse::proxy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;

void AddServing(app::Options& options, Config& config) {
  ServingConfig& serving = config.serving;
  options.Group("Serving");
  AddListenerOptions(options, serving.listeners);
  options.AddText("health", &serving.health, "Address of /livez, /readyz and /metrics.");
  options.AddText("admin", &serving.admin, "Address of /config and /workloads.");
  options.AddInteger("shards", &config.shards, 1, 64, "Threads that carry traffic.");
  options.AddChoice("log-level", &serving.log_level, {"debug", "info", "warn", "error"},
                    "Least level of log lines.");
  options.AddChoice("log-format", &serving.log_format, {"text", "json"}, "Form of log lines.");
  options.AddChoice("access-log", &serving.access_log, {"off", "text", "json"},
                    "One line per exchange on standard output.");
  options.AddDuration("drain-delay", &serving.drain_delay, seconds(0), minutes(10),
                      "From not ready to taking no new connection: load balancers take a while.");
  options.AddDuration("drain-timeout", &serving.drain_timeout, seconds(0), hours(24),
                      "Longest wait for running, parked and tunnelled exchanges.");
}

void AddDownstream(app::Options& options, Config& config) {
  SessionOptions& sessions = config.data_plane.sessions;
  http::H1Options& http1 = sessions.http1;
  options.Group("Clients");
  options.AddInteger("connections-max", &sessions.connections_max, 16, 1 << 20,
                     "Client connections per shard.");
  options.AddInteger("connections-per-client-max", &sessions.per_client_max, 0, 1 << 20,
                     "Connections of one address (IPv6: its /64) per shard; 0: no limit.");
  options.AddInteger("client-receive-buffer", &config.sockets.client_receive_buffer, 0, 64 << 20,
                     "Bytes that a client may send ahead of our reading; 0: the kernel's choice.");
  options.AddBoolean("defer-accept", &config.sockets.defer_accept,
                     "Connections are taken with their first bytes, or after a second without.");
  options.AddDuration("first-byte-timeout", &http1.first_byte_timeout, milliseconds(10), hours(1),
                      "From accepting to the first byte.");
  options.AddDuration("head-timeout", &http1.head_timeout, milliseconds(10), hours(1),
                      "For a request's head, from its first byte.");
  options.AddDuration("keep-alive-timeout", &http1.keep_alive_timeout, milliseconds(10), hours(24),
                      "Between two requests of a connection.");
  options.AddInteger("requests-per-connection-max", &http1.requests_max, 1, int64_t{1} << 40,
                     "Requests of one connection.");
  options.AddDuration("body-idle-timeout", &http1.body.read_idle_timeout, milliseconds(10),
                      hours(24), "Silence inside a request body.");
  options.AddInteger("body-rate-least", &http1.body.rate_least, 0, 1 << 30,
                     "Bytes per second of a sized request body on average, after 10 s; 0: any.");
  options.AddDuration("write-timeout", &http1.body.write_idle_timeout, milliseconds(10), hours(24),
                      "A client that takes nothing for so long is cut.");
  options.AddSize("body-bytes-max", &http1.body.body_bytes_max, 0, UINT64_MAX,
                  "Longest request body.");
  options.AddSize("head-bytes-max", &http1.head.head_bytes_max, kKiB, 64 * kKiB,
                  "Longest request head.");
  options.AddBoolean("half-close-parked-keeps", &http1.half_close_parked_keeps,
                     "A client that half-closes while its request waits has not gone.");
}

void AddHttp2(app::Options& options, Config& config) {
  http::H2Limits& http2 = config.data_plane.sessions.http2;
  options.Group("HTTP/2");
  options.AddInteger("h2-streams-max", &http2.streams_max, 1, 1 << 20,
                     "Requests of a connection at a time, those it has reset and that still run "
                     "included.");
  options.AddInteger("h2-window-parked", &http2.window_parked, 0, 1 << 30,
                     "Body bytes that a request may send while it waits for a pod.");
  options.AddInteger("h2-window", &http2.window, 1024, 1 << 30,
                     "Body bytes that a request may send ahead of its pod.");
  options.AddInteger("h2-window-connection", &http2.window_connection, 65535, 1 << 30,
                     "Body bytes under way of all requests of a connection.");
  options.AddSize("h2-unsent-bytes-max", &http2.unsent_bytes_max, kKiB, kGiB,
                  "Response bytes of a connection that wait for the client's window; a quarter of "
                  "it while buffers are short.");
  options.AddInteger("h2-continuations-max", &http2.continuations_max, 1, 1024,
                     "CONTINUATION frames of a head.");
  options.AddInteger("h2-resets-max", &http2.resets_max, 1, 1 << 30,
                     "Resets by a client at once; a thirtieth of it per second.");
  options.AddInteger("h2-pings-max", &http2.pings_max, 1, 1 << 30,
                     "PINGs at once, beyond one per DATA frame; a thirtieth of it per second.");
  options.AddInteger("h2-settings-max", &http2.settings_max, 1, 1 << 30,
                     "SETTINGS at once; a thirtieth of it per second.");
  options.AddInteger("h2-window-updates-max", &http2.window_updates_max, 1, 1 << 30,
                     "WINDOW_UPDATEs at once, beyond ten per DATA frame; a thirtieth of it per "
                     "second.");
  options.AddInteger("h2-empty-frames-max", &http2.empty_frames_max, 1, 1 << 30,
                     "DATA frames of at most a byte at once; a thirtieth of it per second.");
  options.AddInteger("h2-glitches-max", &http2.glitches_max, 1, 1 << 30,
                     "Frames and heads that make no sense at once; a thirtieth of it per second.");
  options.AddDuration("h2-settings-timeout", &http2.settings_timeout, milliseconds(10), hours(1),
                      "For a client to acknowledge our settings.");
}

void AddForwardFields(app::Options& options, ForwardPolicy& forward) {
  std::vector<std::string> names;
  names.reserve(kForwardFields.size());
  for (const http::HeaderId id : kForwardFields) names.emplace_back(http::NameOf(id));
  app::Options::Row row;
  row.name = "forward-fields";
  row.unit = "list";
  row.bounds = absl::StrJoin(names, ", ");
  row.help =
      "Fields that say where a message came from: these are added, the others removed. Without via "
      "no loop of requests is found.";
  row.list = true;
  row.set = [&forward, names](std::string_view text) -> absl::Status {
    forward.adds = 0;
    for (const std::string& name : app::ParseList(text)) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", name, "\" is no forwarding field", app::DidYouMean(name, names)));
      }
      forward.adds |= http::BitOf(http::IdOf(name));
    }
    return absl::OkStatus();
  };
  row.show = [&forward, names] {
    std::vector<std::string> added;
    added.reserve(names.size());
    for (const std::string& name : names)
      if (forward.Adds(http::IdOf(name))) added.push_back(name);
    return absl::StrJoin(added, ",");
  };
  options.Add(std::move(row));
}

void AddForwarding(app::Options& options, Config& config) {
  ForwardPolicy& forward = config.data_plane.exchange.forward;
  options.Group("Forwarding");
  options.AddInteger("trusted-hops", &forward.trusted_hops, 0, 16,
                     "Proxies in front whose X-Forwarded-* are believed; 0: none.");
  app::Options::Row row;
  row.name = "underscores";
  row.unit = "text";
  row.bounds = "drop, pass or reject";
  row.help = "What becomes of field names with an underscore.";
  row.set = [&forward,
             &head = config.data_plane.sessions.http1.head](std::string_view text) -> absl::Status {
    if (text == "drop")
      forward.underscores = Underscores::kDrop;
    else if (text == "pass")
      forward.underscores = Underscores::kPass;
    else if (text == "reject")
      forward.underscores = Underscores::kReject;
    else
      return absl::InvalidArgumentError("must be drop, pass or reject");
    head.underscores_pass = forward.underscores != Underscores::kDrop;
    return absl::OkStatus();
  };
  row.show = [&forward]() -> std::string {
    if (forward.underscores == Underscores::kDrop) return "drop";
    return forward.underscores == Underscores::kPass ? "pass" : "reject";
  };
  options.Add(std::move(row));
  options.AddText("via", &forward.via, "Our name in Via.");
  AddForwardFields(options, forward);
}

void AddUpstream(app::Options& options, Config& config) {
  ExchangeOptions& exchange = config.data_plane.exchange;
  PoolLimits& pool = config.data_plane.pool;
  options.Group("Pods");
  options.AddDuration("connect-timeout", &exchange.dial.connect_timeout, milliseconds(1),
                      minutes(1), "For opening a connection to a pod, all tries together.");
  options.AddDuration("connect-first-try", &exchange.dial.first_try, milliseconds(1), seconds(10),
                      "When the first try is given up and repeated; each one waits twice as long.");
  options.AddDuration("response-start-timeout", &exchange.response_start_timeout, milliseconds(1),
                      hours(24), "From the request's last byte to the response head.");
  options.AddDuration("response-idle-timeout", &exchange.dial.http.body.read_idle_timeout,
                      milliseconds(1), hours(24), "Silence inside a response body.");
  options.AddDuration("upstream-write-timeout", &exchange.dial.http.body.write_idle_timeout,
                      milliseconds(1), hours(24), "A pod that takes nothing for so long is cut.");
  options.AddDuration("upstream-idle-timeout", &pool.idle_timeout, milliseconds(1), hours(1),
                      "How long an idle connection to a pod is kept.");
  options.AddInteger(
      "upstream-streams-max", &exchange.dial.http2.streams_max, 1, 1 << 20,
      "Requests at a time on an HTTP/2 connection to a pod; the pod may allow less.");
  options.AddInteger("upstream-idle-per-endpoint-max", &pool.idle_per_endpoint_max, 0, 65536,
                     "Idle connections kept per pod and shard.");
  options.AddInteger("upstream-idle-max", &pool.idle_max, 0, 1 << 20,
                     "Idle connections kept per shard.");
}

void AddParking(app::Options& options, Config& config) {
  AdmissionLimits& limits = config.data_plane.admission;
  options.Group("Waiting for pods");
  options.AddInteger("parked-max", &limits.parked_max, 1, 1 << 24, "Requests waiting, in total.");
  options.AddSize("parked-bytes-max", &limits.parked_bytes_max, kMiB, 64 * kGiB,
                  "Bytes held for waiting requests, in total.");
  options.AddInteger("parked-guarantee", &limits.guarantee_requests, 0, 1 << 20,
                     "Waiting requests that each workload is sure of.");
  options.AddSize("parked-guarantee-bytes", &limits.guarantee_bytes, 0, kGiB,
                  "Bytes held that each workload is sure of.");
  options.AddSize("buffer-bytes-max", &config.buffer_bytes_max, kMiB, 64 * kGiB,
                  "Bytes of buffers per shard.");
}

void AddCluster(app::Options& options, Config& config) {
  ClusterConfig& cluster = config.cluster;
  options.Group("Cluster");
  options.AddText("kubeconfig", &cluster.kubeconfig,
                  "Kubeconfig file; without it the pod's service account, then the default files.");
  options.AddText("context", &cluster.context,
                  "Context of the kubeconfig; default the current one.");
  options.AddText("namespace", &cluster.ns, "Namespace to watch; empty: all.");
  options.AddText("cluster-domain", &cluster.cluster_domain, "Suffix of Service host names.");
  options.AddList("allowed-hosts", &cluster.allowed_hosts,
                  "NAMESPACE=PATTERN each: who may claim which hosts; empty: everyone everything.");
  options.AddList("allow-endpoint-cidr", &cluster.allow_endpoint_cidrs,
                  "Ranges of pod addresses that are dialled although they would be refused.");
  options.AddText("autoscaler-service", &cluster.autoscaler_service,
                  "NAMESPACE/NAME of the Service whose pods take reports.");
  options.AddList("autoscalers", &cluster.autoscalers, "HOST:PORT each: where to report.");
  options.AddText("autoscaler-token-file", &cluster.autoscaler_token_file,
                  "File with the bearer token for reports; read at each dial.");
  options.AddText(
      "autoscaler-ca", &cluster.autoscaler_ca,
      "File of the authorities that sign the autoscalers' certificate; empty: reports go "
      "in plain text. Read at each dial, as the next two.");
  options.AddText("autoscaler-certificate", &cluster.autoscaler_certificate,
                  "File of our own certificate towards autoscalers.");
  options.AddText("autoscaler-key", &cluster.autoscaler_key, "File of its key.");
  options.AddText("autoscaler-server-name", &cluster.autoscaler_server_name,
                  "Name in the autoscalers' certificate; empty: NAME.NAMESPACE.svc of "
                  "autoscaler-service, else the host that is dialled.");
  options.AddText("upstream-ca", &cluster.upstream_ca,
                  "File of the authorities that sign pods' certificates; empty: the system's.");
  options.AddText("upstream-certificate", &cluster.upstream_certificate,
                  "File of our own certificate towards pods.");
  options.AddText("upstream-key", &cluster.upstream_key, "File of its key.");
  options.AddList("tls-namespaces", &cluster.tls_namespaces,
                  "Namespaces whose Secrets may be read for rouse.dev/tls-secret.");
  options.AddText("proxy-name", &cluster.proxy_name,
                  "Our name in reports; empty: the host name and a random part.");
}

void AddPeers(app::Options& options, Config& config) {
  PeersConfig& peers = config.peers;
  options.Group("Other proxies");
  options.AddText(
      "proxy-service", &peers.service,
      "NAMESPACE/NAME of the Service whose pods are the proxies: limits hold over all of "
      "them. Empty: each proxy has its own.");
  options.AddText("proxy-address", &peers.address,
                  "Our address among those pods'; needed with proxy-service.");
  options.AddText("internal-listen", &peers.internal_listen,
                  "Address on which other proxies' requests are taken.");
  options.AddText("hand-over-listen", &peers.hand_over_listen,
                  "Address on which other proxies ask what we hold.");
  options.AddDuration("limit-fence", &peers.limit_fence, milliseconds(100), minutes(10),
                      "A proxy that has been silent for so long holds no slots any more.");
}

/// `health: {address: ...}`, or the address alone.
absl::Status TakeAddress(const app::ConfigNode& node, std::string* into) {
  if (node.is_scalar()) {
    *into = node.text;
    return absl::OkStatus();
  }
  if (!node.is_map()) return node.Error("expected {address: ADDRESS:PORT}");
  if (const absl::Status keys = node.CheckKeys({"address"}); !keys.ok()) return keys;
  const app::ConfigNode* const address = node.Find("address");
  if (address == nullptr || !address->is_scalar()) return node.Error("an address is missing");
  *into = address->text;
  return absl::OkStatus();
}

void AddFileKeys(app::Options& options, Config& config) {
  options.TakeKey("listeners",
                  "[{address: ADDRESS:PORT, tls: {certificates: [{cert, key}], ...}, "
                  "https_redirect, proxy_protocol_from}]: in place of the option listen.",
                  [&config](const app::ConfigNode& node) {
                    return TakeListeners(node, config.serving.listeners);
                  });
  options.TakeKey(
      "health", "{address: ADDRESS:PORT}: as the option health.",
      [&config](const app::ConfigNode& node) { return TakeAddress(node, &config.serving.health); });
  options.TakeKey(
      "admin", "{address: ADDRESS:PORT}: as the option admin.",
      [&config](const app::ConfigNode& node) { return TakeAddress(node, &config.serving.admin); });
  options.TakeKey(
      "workloads",
      "[{name: NS/NAME, endpoints: [ADDRESS:PORT], protocol: http1 or h2c, concurrency_limit, "
      "hold_timeout, ...}]: "
      "fixed workloads; no cluster is looked for.",
      [&config](const app::ConfigNode& node) {
        if (!config.fixed) config.fixed.emplace();
        return config.fixed->TakeWorkloads(node);
      });
  options.TakeKey("routes", "[{host, path, workload: NS/NAME}]: what goes where.",
                  [&config](const app::ConfigNode& node) {
                    if (!config.fixed) config.fixed.emplace();
                    return config.fixed->TakeRoutes(node);
                  });
}

absl::Status CheckPeers(const PeersConfig& peers) {
  if (!peers.any()) return absl::OkStatus();
  if (!ObjectKey::Parse(peers.service))
    return absl::InvalidArgumentError("proxy-service must be NAMESPACE/NAME");
  if (peers.address.empty())
    return absl::InvalidArgumentError("proxy-service needs proxy-address: which of them we are");
  for (const std::string* text : {&peers.internal_listen, &peers.hand_over_listen})
    if (const auto address = app::ParseHostPort(*text); !address.ok()) return address.status();
  return absl::OkStatus();
}

absl::Status Check(const Config& config) {
  absl::Status listeners = CheckListeners(config.serving.listeners);
  if (!listeners.ok()) return listeners;
  for (const std::string* text : {&config.serving.health, &config.serving.admin})
    if (const auto address = app::ParseHostPort(*text); !address.ok()) return address.status();
  const std::string& service = config.cluster.autoscaler_service;
  if (!service.empty() && !ObjectKey::Parse(service))
    return absl::InvalidArgumentError("autoscaler-service must be NAMESPACE/NAME");
  if (config.cluster.autoscaler_certificate.empty() != config.cluster.autoscaler_key.empty())
    return absl::InvalidArgumentError("autoscaler-certificate and autoscaler-key go together");
  if (!config.cluster.autoscaler_key.empty() && config.cluster.autoscaler_ca.empty())
    return absl::InvalidArgumentError("autoscaler-certificate needs autoscaler-ca");
  for (const std::string& text : config.cluster.autoscalers)
    if (const auto address = app::ParseHostPort(text); !address.ok()) return address.status();
  if (const absl::Status peers = CheckPeers(config.peers); !peers.ok()) return peers;
  return config.fixed ? config.fixed->Check() : absl::OkStatus();
}

}  // namespace

void AddOptions(app::Options& options, Config& config) {
  // A pod may think for long between two pieces of its answer.
  config.data_plane.exchange.dial.http.body.read_idle_timeout = minutes(5);
  AddServing(options, config);
  AddDownstream(options, config);
  AddHttp2(options, config);
  AddForwarding(options, config);
  AddUpstream(options, config);
  AddParking(options, config);
  AddCluster(options, config);
  AddPeers(options, config);
  AddFileKeys(options, config);
  options.AddCheck([&config] { return Check(config); });
}

}  // namespace rouse::proxy
