#include "common/net/task.h"

#include <vector>

#include <catch2/catch.hpp>

#include "common/net/event.h"
#include "common/net/frame_pool.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::net {
namespace {

Task<int> Ready(int value) { co_return value; }

Task<void> AwaitMany(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    const int value = co_await Ready(i);
    sum += value;
  }
}

TEST_CASE("a million awaits of tasks that are ready leave the stack as it was") {
  constexpr int kCount = 1'000'000;
  int64_t sum = 0;
  Detach(AwaitMany(kCount, sum));
  CHECK(sum == int64_t{kCount} * (kCount - 1) / 2);
}

TEST_CASE("a warm coroutine takes its frame from the pool") {
  int64_t sum = 0;
  Detach(AwaitMany(10, sum));
  const size_t before = FramePool::allocations();
  Detach(AwaitMany(1000, sum));
  CHECK(FramePool::allocations() == before);
}

TEST_CASE("a frame too large for the pool comes from the heap and goes back to it") {
  const size_t before = FramePool::allocations();
  void* const frame = FramePool::Take(FramePool::kBytesMax + 1);
  CHECK(FramePool::allocations() == before + 1);
  FramePool::Give(frame, FramePool::kBytesMax + 1);
  FramePool::Give(FramePool::Take(FramePool::kBytesMax + 1), FramePool::kBytesMax + 1);
  CHECK(FramePool::allocations() == before + 2);
}

TEST_CASE("the frame given back last is taken first") {
  void* const first = FramePool::Take(100);
  void* const second = FramePool::Take(100);
  FramePool::Give(first, 100);
  FramePool::Give(second, 100);
  CHECK(FramePool::Take(104) == second);
  CHECK(FramePool::Take(90) == first);
  FramePool::Give(first, 90);
  FramePool::Give(second, 104);
}

Task<void> WaitThenNote(Event& event, TimePoint deadline, std::vector<int>& order, int name) {
  const Wake why = co_await event.Wait(deadline);
  order.push_back(why == Wake::kSignal ? name : -name);
}

Task<void> JoinThenNote(Event& a, Event& b, std::vector<int>& order) {
  co_await Join(WaitThenNote(a, kNever, order, 1), WaitThenNote(b, kNever, order, 2));
  order.push_back(3);
}

TEST_CASE("a join ends with the later of its two tasks, in whichever order they end") {
  const bool first_first = GENERATE(true, false);
  SimClock clock;
  testing::SimShards shards(clock, 1, 1);
  Event a(shards.shard());
  Event b(shards.shard());
  std::vector<int> order;
  Detach(JoinThenNote(a, b, order));
  (first_first ? a : b).Signal();
  shards.RunUntilIdle();
  CHECK(order.size() == 1);
  (first_first ? b : a).Signal();
  shards.RunUntilIdle();
  CHECK(order == (first_first ? std::vector{1, 2, 3} : std::vector{2, 1, 3}));
}

Task<void> RunBeside(Event& beside, Event& own, std::vector<int>& order) {
  Running nothing;
  co_await nothing;
  Running running;
  running.Start(WaitThenNote(beside, kNever, order, 1));
  order.push_back(2);
  co_await own.Wait(kNever);
  order.push_back(3);
  co_await running;
  order.push_back(4);
}

TEST_CASE("a task that runs beside is awaited whether it is over by then or not") {
  const bool over_first = GENERATE(true, false);
  SimClock clock;
  testing::SimShards shards(clock, 1, 1);
  Event beside(shards.shard());
  Event own(shards.shard());
  std::vector<int> order;
  Detach(RunBeside(beside, own, order));
  CHECK(order == std::vector{2});
  (over_first ? beside : own).Signal();
  shards.RunUntilIdle();
  CHECK(order.back() == (over_first ? 1 : 3));
  (over_first ? own : beside).Signal();
  shards.RunUntilIdle();
  CHECK(order == (over_first ? std::vector{2, 1, 3, 4} : std::vector{2, 3, 1, 4}));
}

constexpr Error kLate{ErrorKind::kBodyTimeout, Side::kDownstream, false, "late"};

Task<Result<void>> NothingOrError(bool nothing) {
  if (nothing) co_return Result<void>();
  co_return kLate;
}

Task<void> TakeError(bool good, Error& error) { error = co_await ErrorOf(NothingOrError(good)); }

TEST_CASE("an error is taken out of a result") {
  Error error;
  Detach(TakeError(false, error));
  CHECK(error.kind == ErrorKind::kBodyTimeout);
  Detach(TakeError(true, error));
  CHECK(error.ok());
}

TEST_CASE("a join of two tasks that are ready ends at once") {
  SimClock clock;
  testing::SimShards shards(clock, 1, 1);
  Event a(shards.shard());
  Event b(shards.shard());
  a.Signal();
  b.Signal();
  std::vector<int> order;
  Detach(JoinThenNote(a, b, order));
  CHECK(order == std::vector{1, 2, 3});
}

}  // namespace
}  // namespace rouse::net
