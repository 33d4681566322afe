#include "autoscaler/model/policy.h"

#include <algorithm>
#include <cmath>

namespace rouse::autoscaler {

Target ResolveTarget(const TargetSpec& spec, const TargetDefaults& defaults) {
  const bool by_concurrency = spec.metric == Metric::kConcurrency;
  const bool limited = by_concurrency && spec.concurrency_limit > 0;

  double total = by_concurrency ? defaults.concurrency : defaults.rps;
  if (limited) total = spec.concurrency_limit;
  if (spec.target) total = limited ? std::min(*spec.target, spec.concurrency_limit) : *spec.target;

  const double utilization = spec.utilization.value_or(
      by_concurrency ? defaults.concurrency_utilization : defaults.rps_utilization);
  return {.target = std::max(kTargetMin, total * utilization), .total = total};
}

Duration Policy::panic_window() const {
  const double seconds = std::chrono::duration<double>(stable_window).count() * panic_window_share;
  return std::chrono::seconds(std::max<int64_t>(1, std::llround(seconds)));
}

}  // namespace rouse::autoscaler
