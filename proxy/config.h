#pragma once
// What:  Config, everything rouse-proxy can be told, one small struct per part; AddOptions, its
//        table of rows.
// Owner: main; outlives App.
// Never: read on the data path other than through the part's own struct.

#include <optional>
#include <string>
#include <vector>

#include "common/app/options.h"
#include "common/net/listener.h"
#include "proxy/data_plane.h"
#include "proxy/listener_config.h"
#include "proxy/static_view.h"

namespace rouse::proxy {

struct ServingConfig {
  ListenerOptions listeners;
  std::string health = "0.0.0.0:8081";
  std::string admin = "127.0.0.1:9901";
  std::string log_level = "info";
  std::string log_format = "text";
  std::string access_log = "off";  ///< off, text, json
  Duration drain_delay = std::chrono::seconds(0);
  Duration drain_timeout = std::chrono::seconds(30);
};

struct ClusterConfig {
  std::string kubeconfig;
  std::string context;
  std::string ns;  ///< empty: every namespace
  std::string cluster_domain;
  std::vector<std::string> allowed_hosts;  ///< NAMESPACE=PATTERN
  std::vector<std::string> allow_endpoint_cidrs;
  std::string autoscaler_service;        ///< NAMESPACE/NAME
  std::vector<std::string> autoscalers;  ///< HOST:PORT
  std::string autoscaler_token_file;
  std::string autoscaler_ca;           ///< file; empty: reports go in plain text
  std::string autoscaler_certificate;  ///< file, with autoscaler_key
  std::string autoscaler_key;
  std::string autoscaler_server_name;  ///< empty: of the Service, or the host
  std::string upstream_ca;             ///< file
  std::string upstream_certificate;    ///< file, with upstream_key
  std::string upstream_key;
  std::vector<std::string> tls_namespaces;
  std::string proxy_name;  ///< in reports; empty: host name and a random part
};

/// Other proxies, over which limits hold (15.6).
struct PeersConfig {
  std::string service;  ///< NAMESPACE/NAME whose endpoints are the proxies; empty: there are none
  std::string address;  ///< ours among them
  std::string internal_listen = "0.0.0.0:8082";
  std::string hand_over_listen = "0.0.0.0:8083";
  Duration limit_fence = std::chrono::seconds(5);

  [[nodiscard]] bool any() const { return !service.empty(); }
};

struct Config {
  uint32_t shards = 1;
  size_t buffer_bytes_max = 256u << 20;
  net::ListenOptions sockets = {.defer_accept = true};
  ServingConfig serving;
  DataPlaneOptions data_plane;
  ClusterConfig cluster;
  PeersConfig peers;
  /// Set where the file has workloads or routes: no cluster is looked for then.
  std::optional<StaticView> fixed;
};

/// The rows; the fields of `config` are their defaults, and are filled by Options::Parse.
void AddOptions(app::Options& options, Config& config);

}  // namespace rouse::proxy
