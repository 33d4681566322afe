#include "k8s/objects/workload_policy.h"

#include <catch2/catch.hpp>

#include "k8s/objects/policy_values.h"

namespace rouse::k8s {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Annotations = std::map<std::string, std::string>;

const std::string kOwn = "rouse.dev/";
const std::string kKnative = "autoscaling.knative.dev/";

WorkloadPolicy Valid(const Annotations& annotations) {
  const PolicyOutcome outcome = ParsePolicy(annotations, {});
  for (const InvalidAnnotation& each : outcome.invalid) UNSCOPED_INFO(each.annotation << each.why);
  CHECK(outcome.invalid.empty());
  return outcome.policy;
}

/// Why the one annotation given is not valid; empty where it is.
std::string Why(const std::string& annotation, const std::string& value) {
  const PolicyOutcome outcome = ParsePolicy({{annotation, value}}, {});
  if (outcome.invalid.empty()) return {};
  CHECK(outcome.policy == WorkloadPolicy());
  CHECK(outcome.invalid.size() == 1);
  CHECK(outcome.invalid[0].annotation == annotation);
  CHECK(outcome.invalid[0].value == value);
  return outcome.invalid[0].why;
}

TEST_CASE("a Service without annotations has the default policy") {
  CHECK(Valid({}) == WorkloadPolicy());
  CHECK(Valid({{"other.io/x", "1"}, {"kubernetes.io/y", ""}}) == WorkloadPolicy());
}

TEST_CASE("every own annotation reaches its field") {
  const WorkloadPolicy policy = Valid({{kOwn + "scale-target", "statefulset/db"},
                                       {kOwn + "port", "web"},
                                       {kOwn + "hosts", "A.example.com/api, *.b.example ,*"},
                                       {kOwn + "concurrency-limit", "10"},
                                       {kOwn + "hold-timeout", "1m30s"},
                                       {kOwn + "request-timeout", "500ms"},
                                       {kOwn + "response-start-timeout", "2s"},
                                       {kOwn + "parked-max", "77"},
                                       {kOwn + "parked-bytes-max", "8MiB"},
                                       {kOwn + "tunnel-idle-timeout", "1h"},
                                       {kOwn + "server-timing", "true"}});
  CHECK(policy.scale_target == ScaleTarget{"apps", "v1", "statefulsets", "db"});
  CHECK(policy.port == "web");
  CHECK(policy.hosts ==
        std::vector<HostRule>{{"a.example.com", "/api"}, {"*.b.example", "/"}, {"*", "/"}});
  CHECK(policy.concurrency_limit == 10);
  CHECK(policy.hold_timeout == seconds(90));
  CHECK(policy.request_timeout == milliseconds(500));
  CHECK(policy.response_start_timeout == seconds(2));
  CHECK(policy.parked_max == 77);
  CHECK(policy.parked_bytes_max == 8 << 20);
  CHECK(policy.tunnel_idle_timeout == hours(1));
  CHECK(policy.server_timing);
}

void CheckKnativeValues(const WorkloadPolicy& policy) {
  CHECK(policy.target_utilization_percentage == 80);
  CHECK(policy.target_burst_capacity == -1);
  CHECK(policy.panic_window_percentage == 12.5);
  CHECK(policy.panic_threshold_percentage == 150);
  CHECK(policy.min_scale == 1);
  CHECK(policy.max_scale == 9);
  CHECK(policy.initial_scale == 3);
  CHECK(policy.scale_down_delay == minutes(15));
  CHECK(policy.pod_retention == seconds(30));
  CHECK(policy.aggregation == Aggregation::kWeightedExponential);
}

TEST_CASE("Knative's annotations are read in both spellings") {
  const WorkloadPolicy dashed =
      Valid({{kKnative + "class", "kpa.autoscaling.knative.dev"},
             {kKnative + "metric", "rps"},
             {kKnative + "target", "150"},
             {kKnative + "target-utilization-percentage", "80"},
             {kKnative + "target-burst-capacity", "-1"},
             {kKnative + "window", "40s"},
             {kKnative + "panic-window-percentage", "12.5"},
             {kKnative + "panic-threshold-percentage", "150"},
             {kKnative + "min-scale", "1"},
             {kKnative + "max-scale", "9"},
             {kKnative + "initial-scale", "3"},
             {kKnative + "activation-scale", "2"},
             {kKnative + "scale-down-delay", "15m"},
             {kKnative + "scale-to-zero-pod-retention-period", "30s"},
             {kKnative + "metric-aggregation-algorithm", "weighted-exponential"}});
  CheckKnativeValues(dashed);
  CHECK(dashed.metric == ScalingMetric::kRps);
  CHECK(dashed.target == 150);
  CHECK(dashed.window == seconds(40));
  CHECK(dashed.activation_scale == 2);
  CheckKnativeValues(Valid({{kKnative + "targetUtilizationPercentage", "80"},
                            {kKnative + "targetBurstCapacity", "-1"},
                            {kKnative + "panicWindowPercentage", "12.5"},
                            {kKnative + "panicThresholdPercentage", "150"},
                            {kKnative + "minScale", "1"},
                            {kKnative + "maxScale", "9"},
                            {kKnative + "initialScale", "3"},
                            {kKnative + "scaleDownDelay", "15m"},
                            {kKnative + "scaleToZeroPodRetentionPeriod", "30s"},
                            {kKnative + "metricAggregationAlgorithm", "weightedExponential"}}));
}

TEST_CASE("where both spellings are given the dashed one counts") {
  CHECK(Valid({{kKnative + "min-scale", "2"}, {kKnative + "minScale", "5"}}).min_scale == 2);
}

TEST_CASE("values outside Knative's bounds are refused with the bound") {
  struct Case {
    const char* name;
    const char* value;
    const char* why;
  };
  const Case cases[] = {
      {"target", "0.009", "must be at least 0.01"},
      {"target", "many", "not a number"},
      {"target", "inf", "not a number"},
      {"target-utilization-percentage", "0.5", "must be at least 1"},
      {"target-utilization-percentage", "101", "must be at most 100"},
      {"target-burst-capacity", "-2", "must be -1 or at least 0"},
      {"target-burst-capacity", "-0.5", "must be -1 or at least 0"},
      {"window", "5s", "must be at least 6s"},
      {"window", "61m", "must be at most 1h"},
      {"window", "6500ms", "must be whole seconds"},
      {"window", "60", "not a duration such as `90s` or `1m30s`"},
      {"panic-window-percentage", "0.9", "must be at least 1"},
      {"panic-threshold-percentage", "109", "must be at least 110"},
      {"panic-threshold-percentage", "1001", "must be at most 1000"},
      {"min-scale", "-1", "must be at least 0"},
      {"min-scale", "1.5", "not a whole number"},
      {"max-scale", "99999999999999999999", "not a whole number"},
      {"max-scale", "2147483648", "must be at most 2147483647"},
      {"activation-scale", "1", "must be at least 2"},
      {"scale-down-delay", "61m", "must be at most 1h"},
      {"scale-down-delay", "-1s", "must be at least 0s"},
      {"scale-to-zero-pod-retention-period", "2h", "must be at most 1h"},
      {"metric", "cpu", "must be `concurrency` or `rps`"},
      {"metric-aggregation-algorithm", "mean", "must be `linear` or `weighted-exponential`"},
      {"class", "hpa.autoscaling.knative.dev", "must be `kpa.autoscaling.knative.dev`"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name, each.value);
    CHECK(Why(kKnative + each.name, each.value) == each.why);
  }
  CHECK(Why(kKnative + "scale-to-zero-pod-retention-period", "0").empty());
  CHECK(Why(kKnative + "window", "1h").empty());
  CHECK(Why(kKnative + "window", "6s").empty());
}

TEST_CASE("bad own values are refused") {
  CHECK(Why(kOwn + "concurrency-limit", "-1") == "must be at least 0");
  CHECK(Why(kOwn + "hold-timeout", "0") == "must be at least 1ms");
  CHECK(Why(kOwn + "parked-bytes-max", "lots") == "not a size such as `8MiB`");
  CHECK(Why(kOwn + "server-timing", "yes") == "must be `true` or `false`");
  CHECK(Why(kOwn + "port", "") == "not the name or number of a port");
  for (const char* target : {"", "fn", "pod/x", "deployment/", "deployment/a/b", "deployment/A_b",
                             "deployment/../../secrets", "a/b/c/d/e", "apps/v1/deployments/x?y"}) {
    CAPTURE(target);
    CHECK_FALSE(Why(kOwn + "scale-target", target).empty());
  }
  for (const char* hosts : {"", "a,,b", "a b", "*.*.x", "x.*", "http://a", "a:80", "a/x y", "a/?q",
                            "-a", "a..b", "a/\x7f"}) {
    CAPTURE(hosts);
    CHECK_FALSE(Why(kOwn + "hosts", hosts).empty());
  }
}

TEST_CASE("an invalid value keeps what the previous policy had, an absent one the default") {
  const WorkloadPolicy previous =
      Valid({{kKnative + "window", "30s"}, {kKnative + "target", "5"}, {kOwn + "port", "a"}});
  const PolicyOutcome outcome =
      ParsePolicy({{kKnative + "window", "1s"}, {kKnative + "target", "7"}}, previous);
  CHECK(outcome.policy.window == seconds(30));
  CHECK(outcome.policy.target == 7);
  CHECK(outcome.policy.port.empty());
  CHECK(outcome.invalid.size() == 1);
}

TEST_CASE("bounds that contradict each other keep the previous pair") {
  const WorkloadPolicy previous =
      Valid({{kKnative + "min-scale", "1"}, {kKnative + "max-scale", "4"}});
  const PolicyOutcome outcome =
      ParsePolicy({{kKnative + "min-scale", "5"}, {kKnative + "maxScale", "2"}}, previous);
  CHECK(outcome.policy.min_scale == 1);
  CHECK(outcome.policy.max_scale == 4);
  REQUIRE(outcome.invalid.size() == 2);
  CHECK(outcome.invalid[1].annotation == kKnative + "maxScale");

  const PolicyOutcome activation =
      ParsePolicy({{kKnative + "activation-scale", "9"}, {kKnative + "max-scale", "4"}}, {});
  CHECK(activation.policy.activation_scale == 1);
  CHECK(activation.policy.max_scale == 4);
  REQUIRE(activation.invalid.size() == 1);
  CHECK(activation.invalid[0].annotation == kKnative + "activation-scale");
}

TEST_CASE("an unknown annotation is reported with the nearest known name") {
  const auto nearest = [](const std::string& name) {
    const PolicyOutcome outcome = ParsePolicy({{name, "1"}}, {});
    REQUIRE(outcome.invalid.size() == 1);
    CHECK(outcome.invalid[0].why == "unknown annotation");
    return outcome.invalid[0].nearest;
  };
  CHECK(nearest(kKnative + "minscale") == kKnative + "min-scale");
  CHECK(nearest(kOwn + "hold-timout") == kOwn + "hold-timeout");
  CHECK(nearest(kOwn + "concurrency") == kOwn + "concurrency-limit");
  CHECK(nearest(kOwn + "zzzzzzzz").empty());
}

TEST_CASE("durations are read as Go writes them") {
  CHECK(ParseDurationText("1h2m3s") == hours(1) + minutes(2) + seconds(3));
  CHECK(ParseDurationText("1.5s") == milliseconds(1500));
  CHECK(ParseDurationText("250ms") == milliseconds(250));
  CHECK(ParseDurationText("7us") == std::chrono::microseconds(7));
  CHECK(ParseDurationText("7\xc2\xb5s") == std::chrono::microseconds(7));
  CHECK(ParseDurationText("-2s") == seconds(-2));
  CHECK(ParseDurationText("0") == Duration());
  for (const char* bad :
       {"", "1", "s", "1 s", "1s ", "1d", "ms", "1..2s", "99999999999h", "--1s"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseDurationText(bad).has_value());
  }
  for (const char* same : {"0s", "1h2m3s", "1ms", "1m30s", "-2s"}) {
    CHECK(FormatDurationText(*ParseDurationText(same)) == same);
  }
}

TEST_CASE("target, port and hosts of a Service follow from policy or default") {
  Service service;
  service.meta.ns = "shop";
  service.meta.name = "fn";
  service.ports = {{"grpc", "TCP", "", 81, ""}};
  WorkloadPolicy policy;
  CHECK(ResolveScaleTarget(policy, service).text() == "deployments/fn");
  CHECK(ResolvePort(policy, service)->port == 81);
  service.ports.push_back({"http", "TCP", "", 80, ""});
  CHECK(ResolvePort(policy, service)->port == 80);
  policy.port = "81";
  CHECK(ResolvePort(policy, service)->name == "grpc");
  policy.port = "none";
  CHECK(absl::IsNotFound(ResolvePort(policy, service).status()));
  policy.port.clear();
  service.ports[1].name = "web";
  CHECK(absl::IsNotFound(ResolvePort(policy, service).status()));
  service.ports.clear();
  CHECK(absl::IsNotFound(ResolvePort(policy, service).status()));
  CHECK(ResolveHosts(policy, service, "cluster.local") ==
        std::vector<HostRule>{
            {"fn.shop", "/"}, {"fn.shop.svc", "/"}, {"fn.shop.svc.cluster.local", "/"}});
  policy.hosts = {{"x", "/"}};
  CHECK(ResolveHosts(policy, service, "").size() == 1);
}

}  // namespace
}  // namespace rouse::k8s
