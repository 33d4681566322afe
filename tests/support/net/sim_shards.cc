#include "tests/support/net/sim_shards.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace rouse::net::testing {

SimShards::SimShards(SimClock& clock, uint64_t seed, uint32_t count, ShardLimits limits)
    : clock_(clock),
      random_(seed),
      set_(clock, {.count = count, .seed = random_.Next(), .limits = limits}),
      order_(count) {
  std::iota(order_.begin(), order_.end(), size_t{0});
}

TimePoint SimShards::next_due() {
  TimePoint next = kNever;
  for (size_t i = 0; i < set_.size(); ++i) {
    next = std::min(next, set_.shard(i).timers().NextDue());
  }
  return next;
}

bool SimShards::Round() {
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_.Below(i)]);
  bool busy = false;
  for (const size_t i : order_) {
    const bool had_work = set_.shard(i).Turn(Duration::zero());
    busy = busy || had_work;
  }
  return busy;
}

void SimShards::RunUntilIdle() {
  for (size_t rounds = 0; Round(); ++rounds) CHECK(rounds < kRoundsMax);
}

void SimShards::AdvanceTo(TimePoint when) {
  RunUntilIdle();
  for (TimePoint next = next_due(); next <= when && next != kNever; next = next_due()) {
    clock_.AdvanceTo(next);
    RunUntilIdle();
  }
  clock_.AdvanceTo(when);
  RunUntilIdle();
}

}  // namespace rouse::net::testing
