// The rows are those of Knative's scale-to-zero machine (reference/knative.md 5.4) that do not
// concern its mode flip, with its test constants: grace 60 s, stable window 300 s, activation
// deadline 121 s + 30 s.
#include "autoscaler/decision/settle.h"

#include <catch2/catch.hpp>

#include "autoscaler/decision/state.h"
#include "autoscaler/model/decision.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::seconds;

constexpr TimePoint kNow{seconds(100'000)};
constexpr Duration kGrace = seconds(60);
constexpr Duration kWindow = seconds(300);
constexpr Duration kDeadline = seconds(151);

Policy TestPolicy() {
  Policy policy;
  policy.stable_window = kWindow;
  policy.zero_grace = kGrace;
  policy.activation_timeout = kDeadline;
  return policy;
}

struct Row {
  const char* what;
  Phase phase;
  Duration since;
  int replicas;
  int proposed;
  int wanted;
  Reason reason;
  int min = 0;
  int max = 0;
  int initial = 0;
  Duration retention = Duration::zero();
  bool reachable = true;
  bool initialized = true;
};

TEST_CASE("bounds and the way to zero follow Knative's table") {
  using enum Phase;
  constexpr Duration s = seconds(1);
  const Row rows[] = {
      {"active for a window less a second", kActive, kWindow - s, 1, 0, 1, Reason::kRecentlyActive},
      {"active for less than a window, at ten", kActive, kWindow - s, 10, 0, 1,
       Reason::kRecentlyActive},
      {"active for a window: idle begins", kActive, kWindow, 1, 0, 1, Reason::kZeroGrace},
      {"idle for the grace, retention zero", kInactive, kGrace, 1, 0, 0, Reason::kIdle},
      {"idle for the grace, retention longer", kInactive, kGrace, 1, 0, 1, Reason::kZeroGrace, 0, 0,
       0, 2 * kGrace},
      {"idle for the grace, retention as long", kInactive, kGrace, 1, 0, 0, Reason::kIdle, 0, 0, 0,
       kGrace},
      {"idle for the grace less a second", kInactive, kGrace - s, 1, 0, 1, Reason::kZeroGrace},
      {"activating for half of the deadline", kActivating, kDeadline / 2, 1, 0, 1,
       Reason::kActivating},
      {"activating for longer than the deadline", kActivating, kDeadline + s, 1, 0, 0,
       Reason::kActivationTimedOut},
      {"idle at ten, least two", kInactive, kGrace / 2, 10, 0, 2, Reason::kMinScale, 2},
      {"idle at ten for the grace, least two", kInactive, kGrace, 10, 0, 2, Reason::kMinScale, 2},
      {"idle at ten, least two, unreachable", kInactive, kGrace, 10, 0, 0, Reason::kIdle, 2, 0, 0,
       Duration::zero(), false},
      {"idle for the grace, unreachable, long retention", kInactive, kGrace, 1, 0, 0, Reason::kIdle,
       0, 0, 0, 10 * kGrace, false},
      {"idle for the grace less a second, unreachable", kInactive, kGrace - s, 1, 0, 1,
       Reason::kZeroGrace, 0, 0, 0, Duration::zero(), false},
      {"ten wanted, most eight", kActive, kWindow, 1, 10, 8, Reason::kMaxScale, 0, 8},
      {"ten wanted while idle", kInactive, kGrace / 2, 1, 10, 10, Reason::kStable},
      {"nothing known, asleep", kInactive, kGrace, 0, kHold, 0, Reason::kNoData},
      {"nothing known, twelve", kActive, kWindow, 12, kHold, 12, Reason::kNoData},
      {"initial two reached, recently active", kActive, seconds(120), 2, 0, 1,
       Reason::kRecentlyActive, 0, 0, 2},
      {"initial two not reached", kActivating, s, 0, 1, 2, Reason::kInitialScale, 0, 0, 2,
       Duration::zero(), true, false},
      {"initial five, at five, not ready", kActivating, s, 5, 1, 5, Reason::kInitialScale, 0, 0, 5,
       Duration::zero(), true, false},
      {"initial zero, asleep", kInactive, s, 0, 0, 0, Reason::kIdle},
      {"initial two, unreachable, recently active", kActive, seconds(120), 2, 0, 1,
       Reason::kRecentlyActive, 0, 0, 2, Duration::zero(), false, false},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Policy policy = TestPolicy();
    policy.min_scale = row.min;
    policy.max_scale = row.max;
    policy.initial_scale = row.initial;
    policy.zero_retention = row.retention;
    policy.reachable = row.reachable;
    State state;
    state.phase = row.phase;
    state.phase_since = kNow - row.since;
    state.initialized = row.initialized;
    const bool ready = row.phase != kActivating;
    const Observed observed{.has_data = row.proposed != kHold,
                            .ready = ready ? row.replicas : 0,
                            .replicas = row.replicas,
                            .zero_proven = true};
    const Settled settled = Settle(
        policy, observed, {row.proposed, row.proposed == kHold ? Reason::kNoData : Reason::kStable},
        state, kNow);
    CHECK(settled.wanted == row.wanted);
    CHECK(NameOf(settled.reason) == NameOf(row.reason));
  }
}

/// Idle long enough for everything.
State LongIdle() {
  State state;
  state.phase = Phase::kInactive;
  state.phase_since = kNow - 10 * kWindow;
  return state;
}

TEST_CASE("the last pod stays until every live proxy has said zero") {
  State state = LongIdle();
  Observed observed{.has_data = true, .ready = 1, .replicas = 1, .zero_proven = false};
  CHECK(Settle(TestPolicy(), observed, {0, Reason::kStable}, state, kNow).reason ==
        Reason::kZeroUnproven);
  observed.zero_proven = true;
  observed.parked = 1;
  CHECK(Settle(TestPolicy(), observed, {0, Reason::kStable}, state, kNow).wanted == 1);
  observed.parked = 0;
  CHECK(Settle(TestPolicy(), observed, {0, Reason::kStable}, state, kNow).wanted == 0);
}

TEST_CASE("silence holds the count, but not outside the bounds") {
  Policy policy = TestPolicy();
  policy.min_scale = 2;
  policy.max_scale = 4;
  for (const auto& [replicas, wanted] : {std::pair{0, 2}, {3, 3}, {9, 4}, {kHold, kHold}}) {
    State state = LongIdle();
    const Observed observed{.replicas = replicas};
    CHECK(Settle(policy, observed, {kHold, Reason::kNoData}, state, kNow).wanted == wanted);
  }
}

TEST_CASE("an unknown replica count is never taken for a reason to write a small one") {
  State state = LongIdle();
  const Observed observed{.has_data = true, .replicas = kHold, .zero_proven = true};
  CHECK(Settle(TestPolicy(), observed, {0, Reason::kStable}, state, kNow).wanted == kHold);
}

TEST_CASE("with scale to zero off, one pod stays") {
  Policy policy = TestPolicy();
  policy.scale_to_zero = false;
  State state = LongIdle();
  const Observed observed{.has_data = true, .ready = 1, .replicas = 1, .zero_proven = true};
  const Settled settled = Settle(policy, observed, {0, Reason::kStable}, state, kNow);
  CHECK(settled.wanted == 1);
  CHECK(settled.reason == Reason::kZeroDisabled);
}

TEST_CASE("a workload lives through its phases") {
  const Policy policy = TestPolicy();
  State state;
  state.phase_since = kNow;
  const auto step = [&](Duration after, int proposed, int replicas, int ready) {
    const Observed observed{
        .has_data = true, .ready = ready, .replicas = replicas, .zero_proven = true};
    return Settle(policy, observed, {proposed, Reason::kStable}, state, kNow + after);
  };
  CHECK(step(seconds(0), 1, 0, 0).wanted == 1);
  CHECK(state.phase == Phase::kActivating);
  CHECK(step(seconds(5), 0, 1, 0).reason == Reason::kActivating);
  CHECK(step(seconds(10), 0, 1, 1).reason == Reason::kRecentlyActive);
  CHECK(state.phase == Phase::kActive);
  CHECK(state.phase_since == kNow + seconds(10));
  CHECK(step(seconds(309), 0, 1, 1).reason == Reason::kRecentlyActive);
  CHECK(step(seconds(310), 0, 1, 1).reason == Reason::kZeroGrace);
  CHECK(state.phase == Phase::kInactive);
  CHECK(step(seconds(330), 1, 1, 1).wanted == 1);
  CHECK(state.phase == Phase::kActive);
  CHECK(step(seconds(630), 0, 1, 1).reason == Reason::kZeroGrace);
  CHECK(step(seconds(690), 0, 1, 1).wanted == 0);
  CHECK(step(seconds(692), 0, 0, 0).wanted == 0);
  CHECK(state.phase == Phase::kInactive);
}

TEST_CASE("a fresh process starts in panic where more than one pod is ready") {
  const Policy policy = TestPolicy();
  for (const int ready : {0, 1, 2}) {
    const Observed observed{.has_data = true, .ready = ready, .replicas = 2};
    const State state = InitialState(policy, observed, false, kNow);
    CHECK(state.panicking == (ready > 1));
    CHECK(state.panic_most == ready);
    CHECK(state.initialized);
    CHECK((state.phase == Phase::kActive) == (ready > 0));
  }
  const Observed asleep{.has_data = true, .replicas = 0};
  CHECK(InitialState(policy, asleep, false, kNow).phase == Phase::kInactive);
}

TEST_CASE(
    "initial scale counts for a new workload once, never for one that a restart finds asleep") {
  Policy policy = TestPolicy();
  policy.initial_scale = 3;
  const Observed asleep{.has_data = true, .replicas = 0, .zero_proven = true};
  State found = InitialState(policy, asleep, false, kNow);
  CHECK(Settle(policy, asleep, {0, Reason::kStable}, found, kNow).wanted == 0);

  State created = InitialState(policy, asleep, true, kNow);
  CHECK(Settle(policy, asleep, {0, Reason::kStable}, created, kNow).wanted == 3);
  const Observed two{.has_data = true, .ready = 2, .replicas = 3};
  CHECK(Settle(policy, two, {1, Reason::kStable}, created, kNow).wanted == 3);
  const Observed three{.has_data = true, .ready = 3, .replicas = 3};
  (void)Settle(policy, three, {1, Reason::kStable}, created, kNow);
  CHECK(Settle(policy, three, {1, Reason::kStable}, created, kNow).wanted == 1);
}

}  // namespace
}  // namespace rouse::autoscaler
