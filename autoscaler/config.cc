#include "autoscaler/config.h"

#include <absl/status/status.h>

#include "common/app/admin_server.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

void AddClusterOptions(app::Options& options, ClusterConfig& cluster) {
  options.Group("Cluster");
  options.AddText("kubeconfig", &cluster.kubeconfig,
                  "Kubeconfig file; without it the pod's service account, then the default files.");
  options.AddText("context", &cluster.context,
                  "Context of the kubeconfig; default the current one.");
  options.AddText("namespace", &cluster.ns, "Namespace to watch; empty: all.");
  options.AddText("proxy-service", &cluster.proxy_service,
                  "NAMESPACE/NAME of the proxies' Service: its pods are the live proxies. Empty: a "
                  "proxy is live until proxy-forget-after has passed.");
}

void AddIntakeOptions(app::Options& options, IntakeConfig& intake) {
  options.Group("Intake");
  options.AddText("listen", &intake.listen, "Address on which proxies report.");
  options.AddChoice("intake-auth", &intake.auth, {"none", "token", "token-review"},
                    "Who may report: anybody, whoever shows the token of intake-token-file, or "
                    "intake-service-account by a token that the API server reviews.");
  options.AddText("intake-token-file", &intake.token_file,
                  "File with the bearer token of the proxies; read again every 10 s.");
  options.AddText("intake-audience", &intake.audience,
                  "Audience for which reviewed tokens must be issued.");
  options.AddText("intake-service-account", &intake.service_account,
                  "NAMESPACE/NAME of the proxies' service account; for token-review.");
  options.AddText("intake-tls-certificate", &intake.tls_certificate,
                  "Certificate chain (PEM); empty: plain text. Read again as proxies connect, "
                  "every 10 s at most.");
  options.AddText("intake-tls-key", &intake.tls_key, "Key of the certificate (PEM).");
  options.AddText("intake-tls-client-ca", &intake.tls_client_ca,
                  "Authorities (PEM), of whom each proxy must show a certificate; empty: none is "
                  "asked for.");
  options.AddInteger("intake-connections-max", &intake.limits.connections_max, 1, 65536,
                     "Connections of proxies at once.");
}

void AddLeaseOptions(app::Options& options, LeaseConfig& lease) {
  options.Group("Leader");
  options.AddBoolean(
      "leader-elect", &lease.elect,
      "Hold a Lease before lowering anything. Only a single replica may do without.");
  options.AddText("lease-namespace", &lease.ns, "Namespace of the Lease; empty: our own.");
  options.AddText("lease-name", &lease.name, "Name of the Lease.");
  options.AddText("identity", &lease.identity,
                  "Name of this replica in the Lease; empty: host name and a random part.");
  options.AddDuration("lease-duration", &lease.duration, seconds(2), hours(1),
                      "Others wait this long after the last renewal that they saw.");
  options.AddDuration("renew-deadline", &lease.renew_deadline, seconds(1), hours(1),
                      "We stop acting this long after our last renewal.");
  options.AddDuration("retry-period", &lease.retry_period, milliseconds(100), minutes(10),
                      "Between two attempts to take or renew the Lease.");
}

void AddPolicyOptions(app::Options& options, PolicyDefaults& policy) {
  options.Group("Policy where annotations say nothing");
  options.AddDuration("stable-window", &policy.stable_window, seconds(6), hours(1),
                      "Span over which demand is averaged; whole seconds.");
  options.AddNumber("concurrency-target", &policy.target.concurrency, 0.01, 1e6,
                    "Requests at once per pod.");
  options.AddNumber("concurrency-utilization", &policy.target.concurrency_utilization, 0.01, 1,
                    "Share of the concurrency target that is aimed at.");
  options.AddNumber("rps-target", &policy.target.rps, 0.01, 1e6, "Requests per second per pod.");
  options.AddNumber("rps-utilization", &policy.target.rps_utilization, 0.01, 1,
                    "Share of the request rate target that is aimed at.");
  options.AddNumber("scale-up-rate", &policy.scale_up_rate, 1.01, 1e6,
                    "Most growth per decision, as a factor of ready pods.");
  options.AddNumber("scale-down-rate", &policy.scale_down_rate, 1.01, 1e6,
                    "Most shrinking per decision, as a divisor of ready pods.");
  options.AddBoolean("scale-to-zero", &policy.scale_to_zero, "Whether the last pod may go.");
  options.AddDuration("scale-to-zero-grace", &policy.zero_grace, seconds(0), hours(1),
                      "How long the last pod stays once its workload is idle.");
  options.AddDuration(
      "activation-timeout", &policy.activation_timeout, seconds(1), hours(24),
      "A workload that is not ready after this long, and has no demand, is given up.");
}

void AddLoopOptions(app::Options& options, Config& config) {
  options.Group("Loop");
  options.AddDuration("tick", &config.loop.tick, milliseconds(100), minutes(1),
                      "Between two decisions of an active workload.");
  options.AddDuration("scale-refresh", &config.loop.refresh_every, seconds(1), hours(1),
                      "A count that nobody changed is read again this often.");
  options.AddDuration("proxy-heard-within", &config.demand.heard_within, seconds(1), minutes(10),
                      "A proxy silent for longer is unheard: its last values are held.");
  options.AddDuration("proxy-forget-after", &config.demand.forget_after, seconds(1), hours(24),
                      "An unheard proxy that the cluster does not list is forgotten after this.");
  options.AddInteger("proxies-max", &config.demand.senders_max, 1, 65536, "Proxies known at once.");
  options.AddInteger("wake-tries-max", &config.writer.wake_tries_max, 1, 100,
                     "Attempts at one wake before the next report begins a new one.");
}

void AddServingOptions(app::Options& options, ServingConfig& serving) {
  options.Group("Serving");
  options.AddText("health", &serving.health, "Address of /livez, /readyz and /metrics.");
  options.AddText("admin", &serving.admin, "Address of /config, /workloads and /decisions.");
  options.AddChoice("log-level", &serving.log_level, {"debug", "info", "warn", "error"},
                    "Least level of log lines.");
  options.AddChoice("log-format", &serving.log_format, {"text", "json"}, "Form of log lines.");
  options.AddDuration("drain-timeout", &serving.drain_timeout, seconds(0), minutes(10),
                      "Longest wait at the end for the Lease to be given back.");
}

absl::Status CheckIntake(const IntakeConfig& intake) {
  if (intake.auth == "token" && intake.token_file.empty()) {
    return absl::InvalidArgumentError(
        "intake-auth is token, so intake-token-file is needed (or intake-auth none)");
  }
  if (intake.auth == "token-review" && !ObjectKey::Parse(intake.service_account)) {
    return absl::InvalidArgumentError(
        "intake-auth is token-review, so intake-service-account must be NAMESPACE/NAME");
  }
  if (intake.tls_certificate.empty() != intake.tls_key.empty()) {
    return absl::InvalidArgumentError("intake-tls-certificate and intake-tls-key go together");
  }
  if (!intake.tls_client_ca.empty() && intake.tls_key.empty()) {
    return absl::InvalidArgumentError("intake-tls-client-ca needs intake-tls-certificate");
  }
  return absl::OkStatus();
}

absl::Status CheckLease(const LeaseConfig& lease) {
  if (lease.renew_deadline >= lease.duration) {
    return absl::InvalidArgumentError("renew-deadline must be less than lease-duration");
  }
  if (lease.retry_period >= lease.renew_deadline) {
    return absl::InvalidArgumentError("retry-period must be less than renew-deadline");
  }
  return absl::OkStatus();
}

absl::Status CheckPolicy(const PolicyDefaults& policy) {
  if (policy.stable_window % seconds(1) != Duration::zero()) {
    return absl::InvalidArgumentError("stable-window must be whole seconds");
  }
  return absl::OkStatus();
}

absl::Status CheckAddresses(const Config& config) {
  for (const std::string* text :
       {&config.intake.listen, &config.serving.health, &config.serving.admin}) {
    if (const absl::StatusOr<app::HostPort> address = app::ParseHostPort(*text); !address.ok()) {
      return address.status();
    }
  }
  const std::string& proxies = config.cluster.proxy_service;
  if (!proxies.empty() && !ObjectKey::Parse(proxies)) {
    return absl::InvalidArgumentError("proxy-service must be NAMESPACE/NAME");
  }
  return absl::OkStatus();
}

}  // namespace

void AddOptions(app::Options& options, Config& config) {
  AddClusterOptions(options, config.cluster);
  AddIntakeOptions(options, config.intake);
  AddLeaseOptions(options, config.lease);
  AddPolicyOptions(options, config.policy);
  AddLoopOptions(options, config);
  AddServingOptions(options, config.serving);
  options.AddCheck([&config] { return CheckIntake(config.intake); });
  options.AddCheck([&config] { return CheckLease(config.lease); });
  options.AddCheck([&config] { return CheckPolicy(config.policy); });
  options.AddCheck([&config] { return CheckAddresses(config); });
}

}  // namespace rouse::autoscaler
