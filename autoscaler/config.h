#pragma once
// What:      Config, what rouse-autoscaler is told: one small struct per part, and the option rows
//            that fill them.
// Owner:     main; each part gets its own struct at construction.
// Never:     read by a part that it was not given to.

#include <string>

#include "autoscaler/demand/demand_store.h"
#include "autoscaler/intake/intake_server.h"
#include "autoscaler/observe/policy_source.h"
#include "autoscaler/scaling/scale_loop.h"
#include "autoscaler/scaling/scale_writer.h"
#include "common/app/options.h"
#include "k8s/leader.h"

namespace rouse::autoscaler {

struct ClusterConfig {
  std::string kubeconfig;
  std::string context;
  std::string ns;  ///< to watch; empty: every namespace
  std::string
      proxy_service;  ///< NAMESPACE/NAME whose endpoints are the proxies; empty: static mode
};

struct IntakeConfig {
  std::string listen = "0.0.0.0:8080";
  std::string auth = "token";  ///< none, token, token-review
  std::string token_file;
  std::string audience = "rouse-autoscaler";
  std::string service_account;  ///< NAMESPACE/NAME of the proxies
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;  ///< empty: proxies show no certificate
  IntakeLimits limits;
};

struct LeaseConfig {
  bool elect = true;  ///< false: this is the only replica, and leads
  std::string ns;     ///< empty: the credentials' namespace
  std::string name = "rouse-autoscaler";
  std::string identity;  ///< empty: host name and a random part
  Duration duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
};

struct ServingConfig {
  std::string health = "0.0.0.0:8081";
  std::string admin = "127.0.0.1:9902";
  std::string log_level = "info";
  std::string log_format = "text";
  Duration drain_timeout = std::chrono::seconds(10);
};

struct Config {
  ClusterConfig cluster;
  IntakeConfig intake;
  LeaseConfig lease;
  ServingConfig serving;
  PolicyDefaults policy;
  DemandLimits demand;
  LoopOptions loop;
  WriterLimits writer;
};

/// Adds a row for every field, and the checks of fields together.
void AddOptions(app::Options& options, Config& config);

}  // namespace rouse::autoscaler
