#include "k8s/objects/workload_policy.h"

#include <array>
#include <cmath>
#include <variant>

#include <absl/strings/str_cat.h>

namespace rouse::k8s {
namespace {

using Policy = WorkloadPolicy;

constexpr std::string_view kOwnPrefix = "rouse.dev/";
constexpr std::string_view kKnativePrefix = "autoscaling.knative.dev/";
constexpr double kMostCount = 2147483647;
constexpr double kHour = 3600;

/// Sizes are bytes in the policy and units of 1024 in text.
struct Bytes {
  int64_t Policy::* member;
};
/// The class is checked and not kept: there is one.
struct ClassName {};

using Field = std::variant<int64_t Policy::*, std::optional<int64_t> Policy::*, double Policy::*,
                           std::optional<double> Policy::*, Duration Policy::*, bool Policy::*,
                           std::string Policy::*, std::optional<ScaleTarget> Policy::*,
                           std::vector<HostRule> Policy::*, ScalingMetric Policy::*,
                           Aggregation Policy::*, Bytes, ClassName>;

struct Row {
  std::string_view prefix;
  std::string_view name;
  std::string_view alias;  ///< Knative's other spelling; may be empty
  Field field;
  double least = 0;  ///< durations in seconds
  double most = 0;
  bool whole_seconds = false;
  std::string_view otherwise;  ///< the default, where the field's own value does not say it
  std::string_view help;
};

constexpr std::array kTable{
    Row{kOwnPrefix, "scale-target", "", &Policy::scale_target, 0, 0, false,
        "deployment/NAME of the Service's name",
        "What to scale: `deployment/NAME`, `statefulset/NAME` or `GROUP/VERSION/RESOURCE/NAME`."},
    Row{kOwnPrefix, "port", "", &Policy::port, 0, 0, false, "the only port, else `http`",
        "Name or number of the Service port that requests go to."},
    Row{kOwnPrefix, "hosts", "", &Policy::hosts, 0, 0, false,
        "NAME.NAMESPACE, NAME.NAMESPACE.svc[.DOMAIN]",
        "Hosts, each with an optional path prefix, separated by commas."},
    Row{kOwnPrefix, "concurrency-limit", "", &Policy::concurrency_limit, 0, 65535, false, "",
        "Requests in flight at one pod; 0: no limit."},
    Row{kOwnPrefix, "hold-timeout", "", &Policy::hold_timeout, 0.001, kHour, false, "",
        "How long a request is held while the workload has no ready pod."},
    Row{kOwnPrefix, "request-timeout", "", &Policy::request_timeout, 0, 24 * kHour, false, "",
        "Longest life of a whole request; 0: none."},
    Row{kOwnPrefix, "response-start-timeout", "", &Policy::response_start_timeout, 0, 24 * kHour,
        false, "", "Longest wait for the response head; 0: the proxy's option."},
    Row{kOwnPrefix, "parked-max", "", &Policy::parked_max, 0, 10'000'000, false, "",
        "Requests held at most; 0: the proxy's option."},
    Row{kOwnPrefix, "parked-bytes-max", "", Bytes{&Policy::parked_bytes_max}, 0,
        1024.0 * 1024 * 1024 * 1024, false, "",
        "Bytes of held requests at most, such as `8MiB`; 0: the proxy's option."},
    Row{kOwnPrefix, "tunnel-idle-timeout", "", &Policy::tunnel_idle_timeout, 0, 168 * kHour, false,
        "", "Ends a tunnel after this much silence; 0: never."},
    Row{kOwnPrefix, "server-timing", "", &Policy::server_timing, 0, 0, false, "",
        "Whether a cold-started response carries `Server-Timing`."},
    Row{kOwnPrefix, "upstream-tls", "", &Policy::upstream_tls, 0, 0, false,
        "`verify` where the port says https",
        "TLS towards pods: `verify`, `insecure` (any certificate), or `off`."},
    Row{kOwnPrefix, "upstream-server-name", "", &Policy::upstream_server_name, 0, 0, false,
        "NAME.NAMESPACE.svc", "Name sent to pods by TLS, and what their certificate must be for."},
    Row{kOwnPrefix, "tls-secret", "", &Policy::tls_secret, 0, 0, false, "none",
        "A `kubernetes.io/tls` Secret of the same namespace: the certificate for these hosts."},
    Row{kKnativePrefix, "class", "", ClassName{}, 0, 0, false, "kpa.autoscaling.knative.dev",
        "Accepted for Knative's sake; no other class is served."},
    Row{kKnativePrefix, "metric", "", &Policy::metric, 0, 0, false, "",
        "What is scaled on: `concurrency` or `rps`."},
    Row{kKnativePrefix, "target", "", &Policy::target, 0.01, 1e9, false,
        "concurrency: the limit or 100; rps: 200", "Wanted value of the metric per pod."},
    Row{kKnativePrefix, "target-utilization-percentage", "targetUtilizationPercentage",
        &Policy::target_utilization_percentage, 1, 100, false, "",
        "Share of the target that is aimed at."},
    Row{kKnativePrefix, "target-burst-capacity", "targetBurstCapacity",
        &Policy::target_burst_capacity, -1, 1e9, false, "",
        "Spare capacity to keep, in requests; -1: unlimited."},
    Row{kKnativePrefix, "window", "", &Policy::window, 6, kHour, true, "",
        "The stable window over which demand is averaged."},
    Row{kKnativePrefix, "panic-window-percentage", "panicWindowPercentage",
        &Policy::panic_window_percentage, 1, 100, false, "",
        "The panic window as a share of the stable one."},
    Row{kKnativePrefix, "panic-threshold-percentage", "panicThresholdPercentage",
        &Policy::panic_threshold_percentage, 110, 1000, false, "",
        "Wanted over ready pods at which panic begins."},
    Row{kKnativePrefix, "min-scale", "minScale", &Policy::min_scale, 0, kMostCount, false, "",
        "Fewest pods."},
    Row{kKnativePrefix, "max-scale", "maxScale", &Policy::max_scale, 0, kMostCount, false, "",
        "Most pods; 0: no bound."},
    Row{kKnativePrefix, "initial-scale", "initialScale", &Policy::initial_scale, 0, kMostCount,
        false, "what the target has", "Pods to begin with."},
    Row{kKnativePrefix, "activation-scale", "", &Policy::activation_scale, 2, kMostCount, false, "",
        "Fewest pods whenever there are any."},
    Row{kKnativePrefix, "scale-down-delay", "scaleDownDelay", &Policy::scale_down_delay, 0, kHour,
        true, "", "How long demand must have been lower before pods go."},
    Row{kKnativePrefix, "scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod",
        &Policy::pod_retention, 0, kHour, false, "",
        "How long the last pod stays at the least after demand has ended."},
    Row{kKnativePrefix, "metric-aggregation-algorithm", "metricAggregationAlgorithm",
        &Policy::aggregation, 0, 0, false, "",
        "How a window is averaged: `linear` or `weighted-exponential`."},
};

std::string NameOf(const Row& row) { return std::string(row.prefix) + std::string(row.name); }

// ---- one value --------------------------------------------------------------------------------

/// Reads a value into the policy; returns why not, or an empty text. The policy is untouched then.
struct Assign {
  const Row& row;
  const std::string& value;
  Policy& policy;

  [[nodiscard]] std::string OutOfBounds(double number, const std::string& least,
                                        const std::string& most) const {
    if (number < row.least) return "must be at least " + least;
    if (number > row.most) return "must be at most " + most;
    return {};
  }

  template <typename To>
  [[nodiscard]] std::string Number(To& to, const std::optional<double>& number) const {
    if (!number) return "not a number";
    std::string why = OutOfBounds(*number, FormatDecimal(row.least), FormatDecimal(row.most));
    if (why.empty()) to = static_cast<double>(*number);
    return why;
  }

  template <typename To>
  [[nodiscard]] std::string Whole(To& to, const std::optional<int64_t>& number,
                                  std::string_view unread) const {
    if (!number) return std::string(unread);
    const int64_t whole = *number;
    std::string why =
        OutOfBounds(static_cast<double>(whole), std::to_string(std::llround(row.least)),
                    std::to_string(std::llround(row.most)));
    if (why.empty()) to = whole;
    return why;
  }

  std::string operator()(int64_t Policy::* field) const {
    return Whole(policy.*field, ParseWholeNumber(value), "not a whole number");
  }
  std::string operator()(std::optional<int64_t> Policy::* field) const {
    return Whole(policy.*field, ParseWholeNumber(value), "not a whole number");
  }
  std::string operator()(Bytes bytes) const {
    return Whole(policy.*bytes.member, ParseSize(value), "not a size such as `8MiB`");
  }
  std::string operator()(double Policy::* field) const {
    const std::optional<double> number = ParseDecimal(value);
    if (number && row.least == -1 && *number < 0 && *number != -1) {
      return "must be -1 or at least 0";
    }
    return Number(policy.*field, number);
  }
  std::string operator()(std::optional<double> Policy::* field) const {
    return Number(policy.*field, ParseDecimal(value));
  }
  std::string operator()(Duration Policy::* field) const {
    const std::optional<Duration> duration = ParseDurationText(value);
    if (!duration) return "not a duration such as `90s` or `1m30s`";
    const auto text = [](double seconds) {
      return FormatDurationText(Duration(std::llround(seconds * 1e9)));
    };
    std::string why =
        OutOfBounds(static_cast<double>(duration->count()) / 1e9, text(row.least), text(row.most));
    if (!why.empty()) return why;
    if (row.whole_seconds && *duration % std::chrono::seconds(1) != Duration()) {
      return "must be whole seconds";
    }
    policy.*field = *duration;
    return {};
  }
  std::string operator()(bool Policy::* field) const {
    if (value != "true" && value != "false") return "must be `true` or `false`";
    policy.*field = value == "true";
    return {};
  }
  std::string operator()(std::string Policy::* field) const {
    if (value.empty() || value.size() > 63) return "not the name or number of a port";
    policy.*field = value;
    return {};
  }
  std::string operator()(std::optional<ScaleTarget> Policy::* field) const {
    std::optional<ScaleTarget> target = ParseScaleTarget(value);
    if (!target) {
      return "not `deployment/NAME`, `statefulset/NAME` or `GROUP/VERSION/RESOURCE/NAME`";
    }
    policy.*field = std::move(target);
    return {};
  }
  std::string operator()(std::vector<HostRule> Policy::* field) const {
    std::string why;
    std::optional<std::vector<HostRule>> hosts = ParseHosts(value, why);
    if (hosts) policy.*field = *std::move(hosts);
    return why;
  }
  std::string operator()(ScalingMetric Policy::* field) const {
    if (value != "concurrency" && value != "rps") return "must be `concurrency` or `rps`";
    policy.*field = value == "rps" ? ScalingMetric::kRps : ScalingMetric::kConcurrency;
    return {};
  }
  std::string operator()(Aggregation Policy::* field) const {
    const bool weighted = value == "weighted-exponential" || value == "weightedExponential";
    if (!weighted && value != "linear") return "must be `linear` or `weighted-exponential`";
    policy.*field = weighted ? Aggregation::kWeightedExponential : Aggregation::kLinear;
    return {};
  }
  std::string operator()(ClassName) const {
    if (value != "kpa.autoscaling.knative.dev") return "must be `kpa.autoscaling.knative.dev`";
    return {};
  }
};

/// Keeps what the previous policy had in one field.
struct Keep {
  const Policy& previous;
  Policy& policy;

  template <typename T>
  void operator()(T Policy::* field) const {
    policy.*field = previous.*field;
  }
  void operator()(Bytes bytes) const { policy.*bytes.member = previous.*bytes.member; }
  void operator()(ClassName) const {}
};

// ---- the whole ----------------------------------------------------------------------------------

const Row* FindRow(std::string_view annotation) {
  for (const Row& row : kTable) {
    if (annotation.substr(0, row.prefix.size()) != row.prefix) continue;
    const std::string_view name = annotation.substr(row.prefix.size());
    if (name == row.name || (!row.alias.empty() && name == row.alias)) return &row;
  }
  return nullptr;
}

/// The known annotation of the same prefix that is most like an unknown one; empty where none is
/// like it.
std::string NearestName(std::string_view annotation) {
  std::string nearest;
  size_t least = annotation.size() / 3 + 1;
  for (const Row& row : kTable) {
    if (annotation.substr(0, row.prefix.size()) != row.prefix) continue;
    for (const std::string_view name : {row.name, row.alias}) {
      const size_t distance = EditDistance(annotation.substr(row.prefix.size()), name);
      if (name.empty() || distance >= least) continue;
      least = distance;
      nearest = NameOf(row);
    }
  }
  return nearest;
}

/// Bounds that concern two fields: each is valid alone, together they are not.
void CheckTogether(const std::map<std::string, std::string>& annotations, const Policy& previous,
                   PolicyOutcome& outcome) {
  Policy& policy = outcome.policy;
  const auto report = [&](const std::string& name, const std::string& alias, std::string why) {
    const std::string prefix(kKnativePrefix);
    auto found = annotations.find(prefix + name);
    if (found == annotations.end()) found = annotations.find(prefix + alias);
    if (found == annotations.end()) return;
    outcome.invalid.push_back({found->first, found->second, std::move(why), {}});
  };
  if (policy.max_scale > 0 && policy.min_scale > policy.max_scale) {
    report("min-scale", "minScale", "must be at most max-scale");
    report("max-scale", "maxScale", "must be at least min-scale");
    policy.min_scale = previous.min_scale;
    policy.max_scale = previous.max_scale;
  }
  const auto fits = [&] {
    const int64_t count = policy.activation_scale;
    return count <= 1 ||
           (count >= policy.min_scale && (policy.max_scale == 0 || count <= policy.max_scale));
  };
  if (fits()) return;
  report("activation-scale", "", "must be between min-scale and max-scale");
  policy.activation_scale = previous.activation_scale;
  if (!fits()) policy.activation_scale = 1;
}

// ---- the table as text --------------------------------------------------------------------------

/// A field's value in a policy, as it would be written in the annotation.
struct Show {
  const Policy& policy;

  std::string operator()(int64_t Policy::* field) const { return std::to_string(policy.*field); }
  std::string operator()(double Policy::* field) const { return FormatDecimal(policy.*field); }
  std::string operator()(bool Policy::* field) const { return policy.*field ? "true" : "false"; }
  std::string operator()(Duration Policy::* field) const {
    return FormatDurationText(policy.*field);
  }
  std::string operator()(ScalingMetric Policy::* field) const {
    return policy.*field == ScalingMetric::kRps ? "rps" : "concurrency";
  }
  std::string operator()(Aggregation Policy::* field) const {
    return policy.*field == Aggregation::kLinear ? "linear" : "weighted-exponential";
  }
  std::string operator()(Bytes bytes) const { return std::to_string(policy.*bytes.member); }
  template <typename Other>
  std::string operator()(Other) const {
    return {};
  }
};

std::string BoundsOf(const Row& row) {
  if (row.most == 0) return {};
  if (std::holds_alternative<Duration Policy::*>(row.field)) {
    const auto text = [](double seconds) {
      return FormatDurationText(Duration(std::llround(seconds * 1e9)));
    };
    return text(row.least) + " to " + text(row.most) + (row.whole_seconds ? ", whole seconds" : "");
  }
  const std::string least = FormatDecimal(row.least);
  if (row.most >= 1e9) return "at least " + least;
  return least + " to " + std::to_string(std::llround(row.most));
}

}  // namespace

PolicyOutcome ParsePolicy(const std::map<std::string, std::string>& annotations,
                          const WorkloadPolicy& previous) {
  PolicyOutcome outcome;
  for (const auto& [annotation, value] : annotations) {
    const std::string_view name = annotation;
    const bool own = name.substr(0, kOwnPrefix.size()) == kOwnPrefix;
    if (!own && name.substr(0, kKnativePrefix.size()) != kKnativePrefix) continue;
    const Row* row = FindRow(annotation);
    if (row == nullptr) {
      outcome.invalid.push_back({annotation, value, "unknown annotation", NearestName(annotation)});
      continue;
    }
    // Written in both spellings, the first one counts.
    if (annotation != NameOf(*row) && annotations.count(NameOf(*row)) > 0) continue;
    std::string why = std::visit(Assign{*row, value, outcome.policy}, row->field);
    if (why.empty()) continue;
    std::visit(Keep{previous, outcome.policy}, row->field);
    outcome.invalid.push_back({annotation, value, std::move(why), {}});
  }
  CheckTogether(annotations, previous, outcome);
  return outcome;
}

ScaleTarget ResolveScaleTarget(const WorkloadPolicy& policy, const Service& service) {
  if (policy.scale_target) return *policy.scale_target;
  ScaleTarget target;
  target.name = service.meta.name;
  return target;
}

absl::StatusOr<ServicePort> ResolvePort(const WorkloadPolicy& policy, const Service& service) {
  const std::string wanted = policy.port.empty() ? "http" : policy.port;
  if (policy.port.empty() && service.ports.size() == 1) return service.ports.front();
  const std::optional<int64_t> number = ParseWholeNumber(wanted);
  for (const ServicePort& port : service.ports) {
    if (port.name == wanted || (number && *number == port.port)) return port;
  }
  if (policy.port.empty()) {
    return absl::NotFoundError("the Service has " + std::to_string(service.ports.size()) +
                               " ports and none is named `http`: set `rouse.dev/port`");
  }
  return absl::NotFoundError("`rouse.dev/port`: the Service has no port `" + wanted + "`");
}

std::vector<HostRule> ResolveHosts(const WorkloadPolicy& policy, const Service& service,
                                   std::string_view cluster_domain) {
  if (!policy.hosts.empty()) return policy.hosts;
  const std::string name = service.meta.name + "." + service.meta.ns;
  std::vector<HostRule> hosts{{name, "/"}, {name + ".svc", "/"}};
  if (!cluster_domain.empty()) hosts.push_back({name + ".svc." + std::string(cluster_domain), "/"});
  return hosts;
}

std::string PolicyTableMarkdown() {
  std::string text = "| Annotation | Also | Default | Bounds | Meaning |\n|---|---|---|---|---|\n";
  const WorkloadPolicy defaults;
  for (const Row& row : kTable) {
    const std::string value =
        row.otherwise.empty() ? std::visit(Show{defaults}, row.field) : std::string(row.otherwise);
    const std::string alias = row.alias.empty() ? "" : "`" + std::string(row.alias) + "`";
    absl::StrAppend(&text, "| `", NameOf(row), "` | ", alias, " | ", value, " | ", BoundsOf(row),
                    " | ", std::string(row.help), " |\n");
  }
  return text;
}

}  // namespace rouse::k8s
