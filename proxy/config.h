#pragma once
// What:      Config, what rouse-proxy is told: one small struct per part, the option rows that fill them, and
//            the static file's workloads and routes (design 15.12).
// Owner:     main; each part gets its own struct at construction.
// Never:     read by a part that it was not given to.

#include <cstdint>
#include <string>
#include <vector>

#include "common/app/admin_server.h"
#include "common/app/options.h"
#include "common/http/h1_client.h"
#include "common/http/h1_server.h"
#include "common/net/shard.h"
#include "proxy/admission/admission.h"
#include "proxy/exchange/forward_headers.h"
#include "proxy/model/route.h"
#include "proxy/model/workload_policy.h"

namespace rouse::proxy {

struct ListenConfig {
  std::vector<std::string> addresses = {"0.0.0.0:8080"};
  uint32_t shards = 0;           ///< 0: as many as cores that we may use
  uint32_t connections_max = 0;  ///< over all shards; 0: from the limit of open files
  uint32_t connections_per_client_max = 0;
  uint64_t client_receive_buffer = 256 * 1024;
  net::ShardLimits shard;
};

struct UpstreamConfig {
  http::H1ClientOptions http;
  Duration connect_timeout = std::chrono::seconds(1);
  Duration response_start_timeout = std::chrono::minutes(5);
  Duration idle_timeout = std::chrono::seconds(60);
  uint32_t idle_per_endpoint_max = 256;
};

struct LogConfig {
  std::string level = "info";
  std::string format = "text";
  bool access = false;
};

struct DrainConfig {
  Duration delay = std::chrono::seconds(0);
  Duration timeout = std::chrono::seconds(30);
};

struct KubernetesConfig {
  std::string kubeconfig;
  std::string context;
  std::string ns;
  std::string cluster_domain = "cluster.local";
  std::vector<std::string> allow_endpoint_cidrs;
  std::vector<std::string> allowed_hosts;  ///< NAMESPACE=PATTERN
};

struct ReportConfig {
  std::string name;  ///< of this proxy; empty: host name and process id
  std::string autoscaler_service;
  std::vector<std::string> autoscalers;
  std::string token_file;
};

/// A workload of the static file.
struct StaticWorkload {
  std::string name;
  std::vector<std::string> endpoints;
  WorkloadPolicy policy;
  int line = 0;
};
struct StaticRoute {
  std::string host = "*";
  std::string path = "/";
  std::string workload;
  int line = 0;
};
struct StaticConfig {
  std::vector<StaticWorkload> workloads;
  std::vector<StaticRoute> routes;
};

struct Config {
  ListenConfig listen;
  app::AdminOptions admin;
  http::H1Options downstream;
  UpstreamConfig upstream;
  AdmissionLimits admission;
  Duration hold_timeout = std::chrono::seconds(60);
  ForwardPolicy forward;
  LogConfig log;
  DrainConfig drain;
  KubernetesConfig kubernetes;
  ReportConfig report;
  StaticConfig fixed;

  /// Routes come from the file alone.
  [[nodiscard]] bool is_static() const { return !fixed.workloads.empty(); }
};

/// Adds a row for every field, the keys of the static file, and the checks of fields together.
void AddOptions(app::Options& options, Config& config);

/// Reads the static file's workloads and routes again, for SIGHUP; `config` is not touched on an error.
[[nodiscard]] absl::Status ReadStatic(const std::string& file, Config& config);

}  // namespace rouse::proxy
