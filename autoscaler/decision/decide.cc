#include "autoscaler/decision/decide.h"

#include <utility>

#include "autoscaler/decision/propose.h"
#include "autoscaler/decision/settle.h"

namespace rouse::autoscaler {

Decided Decide(const Policy& policy, const Observed& observed, State state, TimePoint now) {
  Decision decision;
  decision.observed = observed;
  if (observed.has_data) {
    const Proposal proposal = Propose(policy, observed, state, now);
    decision.proposed = proposal.wanted;
    decision.reason = proposal.reason;
    decision.excess_burst_capacity = proposal.excess_burst_capacity;
  }
  const Settled settled =
      Settle(policy, observed, {decision.proposed, decision.reason}, state, now);
  decision.wanted = settled.wanted;
  decision.reason = settled.reason;
  decision.panicking = state.panicking;

  const bool by_demand = decision.reason == Reason::kStable || decision.reason == Reason::kPanic;
  if (observed.replicas == 0 && decision.wanted > 0 && by_demand) {
    decision.reason = Reason::kFromZero;
  }
  return {decision, std::move(state)};
}

}  // namespace rouse::autoscaler
