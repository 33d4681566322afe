#pragma once
// What:      SimShards, every shard of a ShardSet in the test's thread, on simulated time.
// Owner:     the test or simulation. One thread.
// Limits:    RunUntilIdle crashes after kRoundsMax rounds at one moment: something spins.
// Invariant: the order in which shards take turns, and so the order of messages between them,
//            follows from the seed. Time moves only in Advance, which stops at every timer on its
//            way.

#include "common/base/random.h"
#include "common/net/shard_set.h"
#include "tests/support/control/sim_clock.h"

namespace rouse::net::testing {

class SimShards {
 public:
  static constexpr size_t kRoundsMax = 1'000'000;

  SimShards(SimClock& clock, uint64_t seed, uint32_t count, ShardLimits limits = {});

  [[nodiscard]] ShardSet& set() { return set_; }
  [[nodiscard]] Shard& shard(size_t i = 0) { return set_.shard(i); }
  [[nodiscard]] TimePoint now() const { return clock_.now(); }
  /// When a timer may be due next; early sometimes, never late. kNever without one.
  [[nodiscard]] TimePoint next_due();

  /// One turn of every shard, in an order drawn anew; false where none had anything to do.
  bool Round();
  /// Rounds until nothing is left to do at this moment.
  void RunUntilIdle();
  /// Runs what is due up to `when`, in order, and leaves the time there.
  void AdvanceTo(TimePoint when);
  void Advance(Duration by) { AdvanceTo(clock_.now() + by); }

 private:
  SimClock& clock_;
  Random random_;
  ShardSet set_;
  std::vector<size_t> order_;
};

}  // namespace rouse::net::testing
