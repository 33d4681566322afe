#pragma once
// What:      the last two steps of a decision: the bounds, and the way to zero. Knative's KPA
//            scaler, without its mode flip: the proxies are always in the path, so no probe and no
//            endpoints rewrite.
// Owner:     pure functions. Any thread.
// Invariant: wanted is 0 only where 0 already, proven idle, or activation timed out; never above
//            max_scale.

#include "autoscaler/decision/state.h"
#include "autoscaler/model/decision.h"
#include "autoscaler/model/policy.h"

namespace rouse::autoscaler {

struct Settled {
  int wanted = kHold;
  Reason reason = Reason::kNoData;
};

/// `proposed` is by demand alone, kHold where nothing is known of demand. Updates the phase in
/// `state`.
[[nodiscard]] Settled Settle(const Policy& policy, const Observed& observed, Settled proposed,
                             State& state, TimePoint now);

}  // namespace rouse::autoscaler
