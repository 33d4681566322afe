#include "autoscaler/decision/settle.h"

#include <algorithm>

namespace rouse::autoscaler {
namespace {

/// The ready pods from which on a workload counts as active.
int ActiveFrom(const Policy& policy, const State& state) {
  const int first = state.initialized ? 1 : policy.initial_scale;
  return std::max(policy.reachable ? policy.min_scale : 0, first);
}

Settled WithinBounds(const Policy& policy, const State& state, Settled proposed) {
  int least = policy.reachable ? policy.min_scale : 0;
  Reason least_reason = Reason::kMinScale;
  if (!state.initialized && policy.initial_scale > std::max(1, least) && policy.reachable) {
    least = policy.initial_scale;
    least_reason = Reason::kInitialScale;
  }
  Settled settled = proposed;
  if (settled.wanted < least) settled = {least, least_reason};
  if (policy.max_scale > 0 && settled.wanted > policy.max_scale) {
    settled = {policy.max_scale, Reason::kMaxScale};
  }
  return settled;
}

/// Nothing is routed to an unreachable workload, so it needs no retention.
Duration IdleWait(const Policy& policy) {
  return policy.reachable ? std::max(policy.zero_grace, policy.zero_retention) : policy.zero_grace;
}

/// Enters a phase, or stays in it.
void Enter(State& state, Phase phase, TimePoint now) {
  if (state.phase == phase) return;
  state.phase = phase;
  state.phase_since = now;
}

/// Of a workload that is wanted, or has not been given up.
void UpdateReadiness(const Policy& policy, const Observed& observed, State& state, TimePoint now) {
  const bool active = observed.ready >= ActiveFrom(policy, state);
  Enter(state, active ? Phase::kActive : Phase::kActivating, now);
  if (active) state.initialized = true;
}

/// Demand and bounds say zero: what is in the way? `idle` is the reason where nothing is.
Settled ToZero(const Policy& policy, const Observed& observed, Reason idle, State& state,
               TimePoint now) {
  if (observed.replicas == kHold) return {kHold, idle};
  if (observed.replicas == 0) {
    Enter(state, Phase::kInactive, now);
    return {0, idle};
  }
  if (!policy.scale_to_zero) return {1, Reason::kZeroDisabled};
  if (state.phase != Phase::kInactive) UpdateReadiness(policy, observed, state, now);

  const Duration in_phase = now - state.phase_since;
  if (state.phase == Phase::kActivating) {
    if (in_phase <= policy.activation_timeout) return {observed.replicas, Reason::kActivating};
    Enter(state, Phase::kInactive, now);
    return {0, Reason::kActivationTimedOut};
  }
  if (state.phase == Phase::kActive && in_phase < policy.stable_window) {
    return {1, Reason::kRecentlyActive};
  }
  Enter(state, Phase::kInactive, now);
  if (now - state.phase_since < IdleWait(policy)) return {1, Reason::kZeroGrace};
  if (!observed.zero_proven || observed.parked > 0) return {1, Reason::kZeroUnproven};
  return {0, idle};
}

}  // namespace

State InitialState(const Policy& policy, const Observed& observed, bool created, TimePoint now) {
  State state;
  state.initialized = !created || policy.initial_scale <= 1;
  state.phase_since = now;
  state.panic_most = observed.ready;
  if (observed.ready > 1) {
    state.panicking = true;
    state.panic_since = now;
  }
  if (observed.ready >= ActiveFrom(policy, state)) {
    state.phase = Phase::kActive;
    state.initialized = true;
  } else if (observed.replicas != 0) {
    state.phase = Phase::kActivating;
  }
  return state;
}

Settled Settle(const Policy& policy, const Observed& observed, Settled proposed, State& state,
               TimePoint now) {
  // Silence is not zero: without data the present count stands, though not outside the bounds.
  if (proposed.wanted == kHold) {
    if (observed.replicas == kHold) return proposed;
    if (state.phase != Phase::kInactive) UpdateReadiness(policy, observed, state, now);
    return WithinBounds(policy, state, {observed.replicas, proposed.reason});
  }
  const Settled bounded = WithinBounds(policy, state, proposed);
  if (bounded.wanted == 0) return ToZero(policy, observed, Reason::kIdle, state, now);
  UpdateReadiness(policy, observed, state, now);
  return bounded;
}

}  // namespace rouse::autoscaler
