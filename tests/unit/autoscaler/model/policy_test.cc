#include "autoscaler/model/policy.h"

#include <catch2/catch.hpp>

namespace rouse::autoscaler {
namespace {

struct Row {
  const char* what;
  TargetSpec spec;
  TargetDefaults defaults;
  Target expected;
};

TEST_CASE("targets resolve as Knative's do") {
  const auto limit = [](double limit) {
    TargetSpec spec;
    spec.concurrency_limit = limit;
    return spec;
  };
  const auto with = [](TargetSpec spec, std::optional<double> target,
                       std::optional<double> utilization = std::nullopt) {
    spec.target = target;
    spec.utilization = utilization;
    return spec;
  };
  const TargetSpec none;
  const TargetSpec rps{.metric = Metric::kRps};
  const auto fraction = [](double f, double concurrency = 100) {
    return TargetDefaults{.concurrency = concurrency, .concurrency_utilization = f};
  };
  const Row rows[] = {
      {"defaults", none, fraction(1), {100, 100}},
      {"fraction", none, fraction(0.8), {80, 100}},
      {"small default", none, fraction(0.3, 2), {0.6, 2}},
      {"limit, own utilisation", with(limit(12), {}, 0.75), fraction(0.8), {9, 12}},
      {"limit", limit(10), fraction(0.8), {8, 10}},
      {"limit of one, fraction", limit(1), fraction(0.8), {0.8, 1}},
      {"limit of one", limit(1), fraction(1), {1, 1}},
      {"target of one", with(none, 1), fraction(1), {1, 1}},
      {"never below a hundredth", with(none, 1), fraction(0.001), {0.01, 1}},
      {"target of one, fraction", with(none, 1), fraction(0.75), {0.75, 1}},
      {"target of ten, fraction", with(none, 10), fraction(0.75), {7.5, 10}},
      {"target below the limit", with(limit(10), 1), fraction(1), {1, 1}},
      {"large target", with(none, 500), fraction(1), {500, 500}},
      {"target above the limit", with(limit(1), 10), fraction(1), {1, 1}},
      {"rps", rps, fraction(1), {140, 200}},
      {"rps target", with(rps, 1), fraction(1), {0.7, 1}},
      {"rps, own utilisation", with(rps, {}, 0.75), fraction(1), {150, 200}},
      {"large rps target", with(rps, 300), fraction(1), {210, 300}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Target target = ResolveTarget(row.spec, row.defaults);
    CHECK(target.target == Approx(row.expected.target));
    CHECK(target.total == Approx(row.expected.total));
  }
}

TEST_CASE("the panic window is a rounded share of whole seconds, at least one") {
  using std::chrono::seconds;
  for (const auto& [stable, share, expected] :
       {std::tuple{60, 0.1, 6}, {6, 0.1, 1}, {6, 0.01, 1}, {15, 0.1, 2}, {3600, 1.0, 3600}}) {
    Policy policy;
    policy.stable_window = seconds(stable);
    policy.panic_window_share = share;
    CHECK(policy.panic_window() == seconds(expected));
  }
}

}  // namespace
}  // namespace rouse::autoscaler
