// The vectors are those of Knative's own autoscaler tests (reference/knative.md 5.4).
#include "autoscaler/decision/propose.h"

#include <optional>
#include <vector>

#include <catch2/catch.hpp>

namespace rouse::autoscaler {
namespace {

using std::chrono::seconds;

TimePoint At(double s) {
  return TimePoint(seconds(1000)) +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

/// The test decider of the vectors: utilisation 0.75, threshold 2, rates 10, window 60 s.
Policy TestPolicy(double target, double burst_capacity) {
  Policy policy;
  policy.target = {.target = target, .total = target / 0.75};
  policy.burst_capacity = burst_capacity;
  policy.scale_up_rate = 10;
  policy.scale_down_rate = 10;
  return policy;
}

Observed Seen(double stable, double panic, int ready) {
  return {.has_data = true, .stable = stable, .panic = panic, .ready = ready, .replicas = ready};
}

struct Panic {
  double since;
  int most;
};

struct Row {
  double target;
  double burst_capacity;
  double stable;
  double panic;
  int ready;
  int wanted;
  double excess;
  double up = 10;
  double down = 10;
  bool reachable = true;
  std::optional<Panic> panicking = std::nullopt;
};

TEST_CASE("a single proposal equals Knative's decision table") {
  const Row rows[] = {
      {10, 100, 0, 0, 1, 0, -87},
      {181, -1, 21, 26, 1, 1, -1},
      {10, 0, 50, 49, 1, 5, 0},
      {10, 100, 50, 50, 1, 5, -137},
      {10, 100, 50, 50, 5, 5, -84},
      {1, 100, 50, 30, 5, 50, -124, 10, 10, true, Panic{-5, 5}},
      {1, 100, 20, 30, 5, 30, -124, 10, 10, true, Panic{-5, 5}},
      {1, 1982, 3, 3.1, 2, 3, -1983, 1.1},
      {10, 1982, 1, 1, 100, 90, -650, 10, 1.1},
      {10, 1982, 1, 1, 100, 1, -650, 10, 1.1, false},
      {10, 84, 50, 100, 1, 10, -171},
      {10, 81, 1000, 888, 0, 10, -969},
  };
  for (const Row& row : rows) {
    INFO("stable " << row.stable << ", panic " << row.panic << ", ready " << row.ready);
    Policy policy = TestPolicy(row.target, row.burst_capacity);
    policy.scale_up_rate = row.up;
    policy.scale_down_rate = row.down;
    policy.reachable = row.reachable;
    State state;
    if (row.panicking) {
      state.panicking = true;
      state.panic_since = At(row.panicking->since);
      state.panic_most = row.panicking->most;
    }
    const Proposal proposal = Propose(policy, Seen(row.stable, row.panic, row.ready), state, At(0));
    CHECK(proposal.wanted == row.wanted);
    CHECK(proposal.excess_burst_capacity == Approx(row.excess).margin(1));
  }
}

struct Step {
  double at;
  double stable;
  double panic;
  int ready;
  int wanted;
  std::optional<double> excess = std::nullopt;
};

State Play(const Policy& policy, const std::vector<Step>& steps, State state = {}) {
  for (const Step& step : steps) {
    INFO("at " << step.at << " s: " << step.stable << "/" << step.panic << "@" << step.ready);
    const Proposal proposal =
        Propose(policy, Seen(step.stable, step.panic, step.ready), state, At(step.at));
    CHECK(proposal.wanted == step.wanted);
    if (step.excess) CHECK(proposal.excess_burst_capacity == Approx(*step.excess).margin(1));
  }
  return state;
}

TEST_CASE("panic ends a stable window after demand was last over the threshold") {
  const Policy policy = TestPolicy(1, 98);
  State state = Play(policy, {{0, 11, 25, 10, 25, -110}});
  CHECK(state.panicking);
  CHECK(state.panic_since == At(0));
  state = Play(policy, {{30, 30, 41, 40, 41, -86}}, state);
  CHECK(state.panic_since == At(0));
  state = Play(policy, {{62, 50, 56, 55, 50, -81}}, state);
  CHECK_FALSE(state.panicking);
  CHECK(state.panic_most == 0);
}

TEST_CASE("panic is extended by new demand over the threshold") {
  const State state = Play(TestPolicy(1, 98), {{0, 11, 25, 10, 25}, {30, 30, 80, 40, 80, -125}});
  CHECK(state.panicking);
  CHECK(state.panic_since == At(30));
}

TEST_CASE("sequences of decisions equal Knative's") {
  SECTION("stable decrease") {
    Play(TestPolicy(10, 98), {{0, 100, 100, 8, 10, -92}, {2, 50, 50, 8, 5, -42}});
  }
  SECTION("to zero") { Play(TestPolicy(10, 75), {{0, 1, 0, 1, 1, -62}, {2, 0, 0, 1, 0, -62}}); }
  SECTION("activation scale holds only where something is wanted") {
    Policy policy = TestPolicy(10, 75);
    policy.activation_scale = 2;
    Play(policy, {{0, 0, 0, 1, 0}, {2, 1, 0, 1, 2}});
  }
  SECTION("exponential growth") {
    Play(TestPolicy(1, 101), {{0, 6, 6, 1, 6, -106},
                              {1, 36, 36, 6, 36, -129},
                              {2, 216, 216, 36, 216, -269},
                              {3, 1296, 1296, 216, 1296, -1109},
                              {4, 1296, 1296, 1296, 1296, 331}});
  }
  SECTION("panic, then down once it has ended") {
    Play(TestPolicy(10, 93), {{0, 100, 100, 1, 10, -180},
                              {1, 100, 1000, 10, 100, -960},
                              {31, 1, 1, 10, 100, 39},
                              {62, 1, 1, 10, 1, 39}});
  }
  SECTION("the rate of growth is limited") {
    Play(TestPolicy(10, 61), {{0, 1000, 1001, 1, 10, -1049}, {1, 1000, 1001, 10, 100, -929}});
  }
  SECTION("the rate of shrinking is limited") {
    Play(TestPolicy(10, 61), {{0, 1, 1, 100, 10, 1271}, {1, 1, 1, 10, 1, 71}});
  }
  SECTION("a changed policy counts from the next decision on") {
    const State state = Play(TestPolicy(10, 77), {{0, 100, 101, 1, 10, -165}});
    Policy changed = TestPolicy(1, 71);
    changed.reachable = false;
    Play(changed, {{1, 100, 101, 10, 100, -159}}, state);
  }
  SECTION("stable growth") {
    Play(TestPolicy(10, 101), {{0, 50, 10, 1, 5, -98}, {2, 100, 10, 1, 10, -98}});
  }
}

TEST_CASE("the scale-down delay holds the largest proposal of its span") {
  Policy policy = TestPolicy(10, 0);
  policy.target.total = 0;
  policy.panic_threshold = 100;
  policy.scale_down_delay = std::chrono::minutes(5);
  const std::vector<Step> steps = {
      {2, 40, 40, 0, 4},       {300, 0, 0, 0, 4},     {302, 0, 0, 0, 0},     {9 * 60, 40, 40, 0, 4},
      {10 * 60, 30, 30, 0, 4}, {11 * 60, 0, 0, 0, 4}, {14 * 60, 0, 0, 0, 3}, {15 * 60, 0, 0, 0, 0},
  };
  const State state = Play(policy, steps);

  SECTION("an unreachable workload shrinks at once") {
    const State busy = Play(policy, {{20 * 60, 40, 40, 0, 4}, {20 * 60 + 2, 0, 0, 0, 4}}, state);
    policy.reachable = false;
    Play(policy, {{20 * 60 + 4, 0, 0, 0, 0}}, busy);
  }
  SECTION("without a delay the count falls at once") {
    policy.scale_down_delay = Duration::zero();
    Play(policy, {{0, 40, 40, 0, 4}, {0.5, 20, 20, 0, 2}});
  }
  SECTION("a changed delay counts from the next decision on") {
    const State busy = Play(policy, {{20 * 60, 40, 40, 0, 4}}, state);
    policy.scale_down_delay = seconds(10);
    Play(policy,
         {{20 * 60 + 2, 30, 30, 0, 3}, {20 * 60 + 4, 0, 0, 0, 3}, {20 * 60 + 12, 0, 0, 0, 0}},
         busy);
  }
}

TEST_CASE("the reason names the step that set the number") {
  Policy policy = TestPolicy(10, 0);
  State calm;
  CHECK(Propose(policy, Seen(50, 10, 5), calm, At(0)).reason == Reason::kStable);
  CHECK(Propose(policy, Seen(1000, 10, 1), calm, At(0)).reason == Reason::kRateUp);
  CHECK(Propose(policy, Seen(0, 0, 100), calm, At(0)).reason == Reason::kRateDown);
  CHECK(Propose(policy, Seen(50, 100, 4), calm, At(0)).reason == Reason::kPanic);
  CHECK(Propose(policy, Seen(10, 10, 4), calm, At(1)).reason == Reason::kPanic);
  policy.activation_scale = 3;
  State fresh;
  CHECK(Propose(policy, Seen(1, 1, 1), fresh, At(0)).reason == Reason::kActivationScale);
}

TEST_CASE("absurd demand is cut at the largest count, not wrapped") {
  Policy policy = TestPolicy(0.01, -1);
  policy.scale_up_rate = 1e12;
  State state;
  CHECK(Propose(policy, Seen(1e9, 1e9, 1), state, At(0)).wanted == 2147483647);
}

}  // namespace
}  // namespace rouse::autoscaler
