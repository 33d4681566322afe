#pragma once
// What:      the first three steps of a decision: demand -> wanted pods, limited in rate, held up
//            by panic, delayed on the way down. Knative's autoscaler.go with its arithmetic, to the
//            last rounding.
// Owner:     pure functions. Any thread.
// Never:     looks at bounds, at zero's conditions or at the present replica count.

#include "autoscaler/decision/state.h"
#include "autoscaler/model/decision.h"
#include "autoscaler/model/policy.h"

namespace rouse::autoscaler {

struct Proposal {
  int wanted = 0;
  Reason reason = Reason::kStable;
  double excess_burst_capacity = 0;
};

/// Requires observed.has_data. Updates the panic and delay parts of `state`.
[[nodiscard]] Proposal Propose(const Policy& policy, const Observed& observed, State& state,
                               TimePoint now);

}  // namespace rouse::autoscaler
