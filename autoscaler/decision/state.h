#pragma once
// What:      State, what deciding remembers of one workload from one decision to the next.
// Owner:     a value: passed to Decide and returned by it; scale_loop keeps it. Control thread.
// Invariant: phase moves inactive -> activating -> active -> inactive; from activating also back to
//            inactive (given up), from inactive straight to active (pods were there).

#include "autoscaler/demand/window.h"
#include "autoscaler/model/decision.h"
#include "autoscaler/model/policy.h"

namespace rouse::autoscaler {

/// Knative's condition Active: False, Unknown, True.
enum class Phase : uint8_t { kInactive, kActivating, kActive };

struct State {
  bool panicking = false;
  TimePoint panic_since{};  ///< last time the panic window was over its threshold
  int panic_most = 0;       ///< most wanted in this panic; panic never goes below
  MaxWindow delay{};        ///< proposals of the last scale_down_delay
  Phase phase = Phase::kInactive;
  TimePoint phase_since{};
  bool initialized = true;  ///< initial_scale has been reached once, or never mattered
};

/// The state of a workload that is seen for the first time by this process. More than one ready pod
/// starts in panic, which protects a busy workload from our lack of history for one stable window.
/// `created` says that the workload itself is new, so initial_scale counts.
[[nodiscard]] State InitialState(const Policy& policy, const Observed& observed, bool created,
                                 TimePoint now);

}  // namespace rouse::autoscaler
