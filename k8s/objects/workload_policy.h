#pragma once
// What:      WorkloadPolicy, what a Service's annotations say about holding, limits and scaling;
//            one table of annotations is the source of names, defaults, bounds, help and parsing.
// Owner:     a value. Any thread; pure.
// Invariant: an invalid value keeps what the previous policy had, so a policy is always usable.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "k8s/objects/policy_values.h"
#include "k8s/objects/scale.h"
#include "k8s/objects/service.h"

namespace rouse::k8s {

/// The label that opts a Service in; its value must be "true".
inline constexpr const char* kEnabledLabel = "rouse.dev/enabled";
inline constexpr const char* kEnabledSelector = "rouse.dev/enabled=true";

enum class ScalingMetric : uint8_t { kConcurrency, kRps };
enum class Aggregation : uint8_t { kLinear, kWeightedExponential };

struct WorkloadPolicy {
  // rouse.dev/*
  std::optional<ScaleTarget> scale_target;  ///< absent: the Deployment of the Service's name
  std::string port;               ///< name or number of a Service port; empty: see ResolvePort
  std::vector<HostRule> hosts;    ///< empty: NAME.NAMESPACE and NAME.NAMESPACE.svc[.DOMAIN]
  int64_t concurrency_limit = 0;  ///< exchanges in flight per pod; 0: no limit
  Duration hold_timeout = std::chrono::seconds(60);
  Duration request_timeout{};         ///< 0: none
  Duration response_start_timeout{};  ///< 0: the proxy's option
  int64_t parked_max = 0;             ///< 0: the proxy's option
  int64_t parked_bytes_max = 0;       ///< 0: the proxy's option
  Duration tunnel_idle_timeout{};     ///< 0: never
  bool server_timing = false;
  std::string upstream_tls;          ///< off, verify, insecure; empty: as the port says
  std::string upstream_server_name;  ///< empty: NAME.NAMESPACE.svc
  std::string tls_secret;            ///< name of a kubernetes.io/tls Secret for our hosts

  // autoscaling.knative.dev/*
  ScalingMetric metric = ScalingMetric::kConcurrency;
  std::optional<double> target;  ///< absent: the limit or 100 (concurrency), 200 (rps)
  double target_utilization_percentage = 70;
  double target_burst_capacity = 211;  ///< -1: unlimited
  Duration window = std::chrono::seconds(60);
  double panic_window_percentage = 10;
  double panic_threshold_percentage = 200;
  int64_t min_scale = 0;
  int64_t max_scale = 0;  ///< 0: no bound
  std::optional<int64_t> initial_scale;
  int64_t activation_scale = 1;
  Duration scale_down_delay{};
  Duration pod_retention{};  ///< scale-to-zero-pod-retention-period
  Aggregation aggregation = Aggregation::kLinear;

  bool operator==(const WorkloadPolicy&) const = default;
};

/// One annotation that was not understood.
struct InvalidAnnotation {
  std::string annotation;
  std::string value;
  std::string why;      ///< "must be at least 6s"
  std::string nearest;  ///< for an unknown name: the known one most like it; else empty
};

struct PolicyOutcome {
  WorkloadPolicy policy;
  std::vector<InvalidAnnotation> invalid;
};

/// Reads `rouse.dev/*` and `autoscaling.knative.dev/*` from annotations, all others are ignored.
/// `previous` is the last policy of the same Service, or a default one.
[[nodiscard]] PolicyOutcome ParsePolicy(const std::map<std::string, std::string>& annotations,
                                        const WorkloadPolicy& previous);

/// What scales behind a Service.
[[nodiscard]] ScaleTarget ResolveScaleTarget(const WorkloadPolicy& policy, const Service& service);

/// The Service port that requests go to: the one named, else the only one, else `http`.
[[nodiscard]] absl::StatusOr<ServicePort> ResolvePort(const WorkloadPolicy& policy,
                                                      const Service& service);

/// The policy's hosts, or the default ones of a Service. `cluster_domain` may be empty.
[[nodiscard]] std::vector<HostRule> ResolveHosts(const WorkloadPolicy& policy,
                                                 const Service& service,
                                                 std::string_view cluster_domain);

/// The table as the README shows it.
[[nodiscard]] std::string PolicyTableMarkdown();

}  // namespace rouse::k8s
