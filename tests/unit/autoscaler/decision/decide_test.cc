#include "autoscaler/decision/decide.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::seconds;

constexpr TimePoint kNow{seconds(100'000)};

Policy TestPolicy() {
  Policy policy;
  policy.target = {.target = 10, .total = 10};
  return policy;
}

TEST_CASE("demand while asleep wakes, and says so") {
  const Observed poke{.has_data = true, .stable = 1, .panic = 1, .replicas = 0, .parked = 1};
  const State asleep = InitialState(TestPolicy(), poke, false, kNow);
  const Decided decided = Decide(TestPolicy(), poke, asleep, kNow);
  CHECK(decided.decision.wanted == 1);
  CHECK(decided.decision.reason == Reason::kFromZero);
  CHECK(decided.state.phase == Phase::kActivating);

  Policy policy = TestPolicy();
  policy.activation_scale = 3;
  CHECK(Decide(policy, poke, asleep, kNow).decision.wanted == 3);
  CHECK(Decide(policy, poke, asleep, kNow).decision.reason == Reason::kActivationScale);
}

TEST_CASE("the first pods of a wake come whatever the rate of growth, and take nothing from it") {
  Policy policy = TestPolicy();
  policy.scale_up_rate = 1.01;
  policy.activation_scale = 5;
  const Observed poke{.has_data = true, .stable = 1, .panic = 1, .replicas = 0, .parked = 1};
  const Decided woken = Decide(policy, poke, InitialState(policy, poke, false, kNow), kNow);
  CHECK(woken.decision.wanted == 5);
  // The first growth after it may be as large as if the pods had always been there.
  policy.scale_up_rate = 3;
  const Observed busy{.has_data = true, .stable = 900, .panic = 900, .ready = 5, .replicas = 5};
  for (const State& state : {woken.state, InitialState(policy, busy, false, kNow)}) {
    CHECK(Decide(policy, busy, state, kNow).decision.wanted == 15);
  }
}

TEST_CASE("without a live proxy the count is held, and panic does not move") {
  Observed observed{.ready = 5, .replicas = 5};
  const Decided decided = Decide(TestPolicy(), observed, State{}, kNow);
  CHECK(decided.decision.wanted == 5);
  CHECK(decided.decision.reason == Reason::kNoData);
  CHECK(decided.decision.proposed == kHold);
}

TEST_CASE(
    "what happens within a decision, by seed: bounds hold, zero is proven, equals decide equally") {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    Policy policy = TestPolicy();
    policy.min_scale = static_cast<int>(random.Below(3));
    policy.max_scale = random.Below(2) == 0 ? 0 : policy.min_scale + 1 + random.Below(5);
    policy.activation_scale = policy.max_scale > 0 ? 1 : 1 + static_cast<int>(random.Below(3));
    policy.scale_down_delay = seconds(random.Below(2) * 20);
    policy.zero_grace = seconds(random.Below(2) * 10);
    Observed observed{.has_data = true, .replicas = policy.min_scale};
    State state = InitialState(policy, observed, false, kNow);
    TimePoint now = kNow;
    for (int step = 0; step < 200; ++step, now += seconds(2)) {
      const bool quiet = random.Below(3) == 0;
      observed.has_data = random.Below(20) != 0;
      observed.stable = quiet ? 0 : static_cast<double>(random.Below(100));
      observed.panic = quiet ? 0 : static_cast<double>(random.Below(300));
      observed.parked = observed.replicas == 0 ? observed.panic : 0;
      observed.zero_proven = quiet && random.Below(2) == 0;
      observed.ready = observed.replicas - static_cast<int>(random.Below(2));
      if (observed.ready < 0) observed.ready = 0;

      const Decided decided = Decide(policy, observed, state, now);
      const Decision& decision = decided.decision;
      REQUIRE(decision.wanted >= policy.min_scale);
      if (policy.max_scale > 0) REQUIRE(decision.wanted <= policy.max_scale);
      if (decision.wanted == 0 && observed.replicas > 0) {
        REQUIRE((observed.zero_proven || decision.reason == Reason::kActivationTimedOut));
        REQUIRE(observed.parked == 0);
      }
      if (observed.has_data && observed.stable > 0) REQUIRE(decision.wanted > 0);
      const Decided again = Decide(policy, observed, state, now);
      REQUIRE_FALSE(again.decision.differs_from(decision));

      state = decided.state;
      observed.replicas = decision.wanted;
    }
  }
}

}  // namespace
}  // namespace rouse::autoscaler
