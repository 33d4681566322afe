#pragma once
// What:      Decide, the replica count that a workload should have, from its policy, what is
//            observed, and what was decided before: propose (three steps), then settle (two steps).
// Owner:     a pure function: equal arguments give equal decisions on every replica. Any thread.
// Never:     measures, writes, reads a clock.

#include "autoscaler/decision/state.h"
#include "autoscaler/model/decision.h"
#include "autoscaler/model/policy.h"

namespace rouse::autoscaler {

struct Decided {
  Decision decision;
  State state;
};

[[nodiscard]] Decided Decide(const Policy& policy, const Observed& observed, State state,
                             TimePoint now);

}  // namespace rouse::autoscaler
