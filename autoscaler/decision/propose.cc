#include "autoscaler/decision/propose.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rouse::autoscaler {
namespace {

/// The buckets of the delay window: one per tick.
constexpr Duration kDelayGranularity = std::chrono::seconds(2);

constexpr double kPodsMax = std::numeric_limits<int>::max();

int ToPods(double pods) { return static_cast<int>(std::min(pods, kPodsMax)); }

struct Limited {
  int wanted;
  Reason reason;
};

/// Between ready / down rate and ready * up rate; activation_scale may exceed the latter.
Limited LimitRate(const Policy& policy, double demanded, double ready, Reason source) {
  const double most = std::ceil(policy.scale_up_rate * ready);
  const double least = policy.reachable ? std::floor(ready / policy.scale_down_rate) : 0;
  Limited limited{ToPods(std::min(std::max(demanded, least), most)), source};
  if (demanded > most) limited.reason = Reason::kRateUp;
  if (demanded < least) limited.reason = Reason::kRateDown;
  if (policy.activation_scale > 1 && demanded > 0 && limited.wanted < policy.activation_scale) {
    return {policy.activation_scale, Reason::kActivationScale};
  }
  return limited;
}

/// Panic begins, goes on or ends. `share` is unlimited demand of the panic window over ready pods.
void UpdatePanic(const Policy& policy, double share, State& state, TimePoint now) {
  if (share >= policy.panic_threshold) {
    state.panicking = true;
    state.panic_since = now;
  } else if (state.panicking && state.panic_since + policy.stable_window < now) {
    state.panicking = false;
    state.panic_most = 0;
  }
}

Limited HoldPanic(Limited stable, Limited panic, State& state) {
  if (!state.panicking) return stable;
  const Limited higher = panic.wanted >= stable.wanted ? panic : stable;
  if (higher.wanted < state.panic_most) return {state.panic_most, Reason::kPanic};
  state.panic_most = higher.wanted;
  return higher;
}

Limited DelayScaleDown(const Policy& policy, Limited wanted, State& state, TimePoint now) {
  if (policy.scale_down_delay <= Duration::zero() || !policy.reachable) return wanted;
  if (state.delay.span() != policy.scale_down_delay) {
    state.delay = MaxWindow(policy.scale_down_delay, kDelayGranularity);
  }
  const int most = state.delay.Record(now, wanted.wanted);
  return most > wanted.wanted ? Limited{most, Reason::kScaleDownDelay} : wanted;
}

double ExcessBurstCapacity(const Policy& policy, const Observed& observed) {
  if (policy.burst_capacity == 0) return 0;
  if (policy.burst_capacity < 0) return -1;
  return std::floor(observed.ready * policy.target.total - policy.burst_capacity - observed.panic);
}

}  // namespace

Proposal Propose(const Policy& policy, const Observed& observed, State& state, TimePoint now) {
  const double ready = std::max(1, observed.ready);
  const double by_stable = std::ceil(observed.stable / policy.target.target);
  const double by_panic = std::ceil(observed.panic / policy.target.target);

  const Limited stable = LimitRate(policy, by_stable, ready, Reason::kStable);
  const Limited panic = LimitRate(policy, by_panic, ready, Reason::kPanic);
  UpdatePanic(policy, by_panic / ready, state, now);
  const Limited held = HoldPanic(stable, panic, state);
  const Limited delayed = DelayScaleDown(policy, held, state, now);
  return {delayed.wanted, delayed.reason, ExcessBurstCapacity(policy, observed)};
}

}  // namespace rouse::autoscaler
