#pragma once
// What:      Policy, how one workload is to be scaled: metric, target, windows, rates, bounds. All
//            resolved: annotations over the program's defaults.
// Owner:     a value; observe/policy_source makes it, decision reads it. Control thread.
// Invariant: target >= kTargetMin; min_scale <= max_scale where max_scale > 0; windows are whole
//            seconds.
// Never:     knows of Kubernetes.

#include <cstdint>
#include <optional>

#include "common/base/clock.h"

namespace rouse::autoscaler {

enum class Metric : uint8_t { kConcurrency, kRps };
enum class Averaging : uint8_t { kLinear, kWeightedExponential };

/// What one pod is to carry: decisions divide demand by `target`; spare capacity is counted with
/// `total`.
struct Target {
  double target = 0;
  double total = 0;

  bool operator==(const Target&) const = default;
};

inline constexpr double kTargetMin = 0.01;

/// Defaults of the targets, program-wide; names and values as in Knative's config-autoscaler.
struct TargetDefaults {
  double concurrency = 100;
  double concurrency_utilization = 0.7;  ///< fraction of the total
  double rps = 200;
  double rps_utilization = 0.7;  ///< fraction of the total
};

/// What a workload says about its target.
struct TargetSpec {
  Metric metric = Metric::kConcurrency;
  std::optional<double> target = {};       ///< annotation `target`
  std::optional<double> utilization = {};  ///< annotation `target-utilization-percentage` / 100
  double concurrency_limit = 0;            ///< requests per pod at once; 0: unlimited
};

[[nodiscard]] Target ResolveTarget(const TargetSpec& spec, const TargetDefaults& defaults);

struct Policy {
  Metric metric = Metric::kConcurrency;
  Averaging averaging = Averaging::kLinear;
  Target target = {70, 100};
  Duration stable_window = std::chrono::seconds(60);
  double panic_window_share = 0.1;  ///< of the stable window; annotation in percent
  double panic_threshold = 2.0;     ///< wanted by the panic window / ready; annotation in percent
  double scale_up_rate = 1000;      ///< most growth per decision, as a factor of ready pods
  double scale_down_rate = 2;       ///< most shrinking per decision, as a divisor of ready pods
  double burst_capacity = 211;      ///< requests; -1: unlimited, 0: none
  int min_scale = 0;
  int max_scale = 0;         ///< 0: unlimited
  int initial_scale = 0;     ///< least replicas of a workload seen for the first time
  int activation_scale = 1;  ///< least replicas when waking
  Duration scale_down_delay = Duration::zero();
  bool scale_to_zero = true;
  Duration zero_grace = Duration::zero();  ///< idle, before the last pod goes
  Duration zero_retention =
      Duration::zero();  ///< as zero_grace, per workload; the longer one counts
  Duration activation_timeout = std::chrono::seconds(630);  ///< to become ready, before giving up
  bool reachable = true;  ///< false: nothing routes here; may shrink at once

  /// round(stable_window * share) in whole seconds, at least one.
  [[nodiscard]] Duration panic_window() const;

  bool operator==(const Policy&) const = default;
};

}  // namespace rouse::autoscaler
