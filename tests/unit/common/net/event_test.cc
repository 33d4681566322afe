#include "common/net/event.h"

#include <vector>

#include <catch2/catch.hpp>

#include "common/net/task.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::net {
namespace {

using std::chrono::milliseconds;

struct EventRoom {
  SimClock clock;
  testing::SimShards shards{clock, 1, 1};
  Event event{shards.shard()};
  std::vector<Wake> wakes;
  std::vector<TimePoint> times;

  Task<void> Wait(TimePoint deadline) {
    const Wake why = co_await event.Wait(deadline);
    wakes.push_back(why);
    times.push_back(shards.now());
  }
};

TEST_CASE("a signal wakes the waiter once, from the loop and not inline") {
  EventRoom room;
  Detach(room.Wait(kNever));
  CHECK(room.event.waiting());
  room.event.Signal();
  room.event.Signal();
  CHECK(room.wakes.empty());
  room.shards.RunUntilIdle();
  CHECK(room.wakes == std::vector{Wake::kSignal});
  CHECK_FALSE(room.event.waiting());
  CHECK_FALSE(room.event.signalled());
}

TEST_CASE("a signal with nobody waiting is kept for the next wait, and only for that") {
  EventRoom room;
  room.event.Signal();
  Detach(room.Wait(kNever));
  CHECK(room.wakes.size() == 1);
  Detach(room.Wait(kNever));
  room.shards.RunUntilIdle();
  CHECK(room.wakes.size() == 1);
  room.event.Signal();
  room.shards.RunUntilIdle();
  CHECK(room.wakes.size() == 2);
}

TEST_CASE("a signal for a waiter alone wakes it, and is not kept where there is none") {
  EventRoom room;
  room.event.SignalWaiter();
  CHECK_FALSE(room.event.signalled());
  Detach(room.Wait(kNever));
  CHECK(room.wakes.empty());
  room.event.SignalWaiter();
  room.shards.RunUntilIdle();
  CHECK(room.wakes == std::vector{Wake::kSignal});
}

TEST_CASE("clear forgets a kept signal") {
  EventRoom room;
  room.event.Signal();
  room.event.Clear();
  Detach(room.Wait(room.clock.now() + milliseconds(5)));
  CHECK(room.wakes.empty());
  room.shards.Advance(milliseconds(10));
  CHECK(room.wakes == std::vector{Wake::kDeadline});
}

TEST_CASE("a deadline wakes the waiter at its time, within a tick") {
  EventRoom room;
  const TimePoint deadline = room.clock.now() + milliseconds(250);
  Detach(room.Wait(deadline));
  room.shards.Advance(milliseconds(249));
  CHECK(room.wakes.empty());
  room.shards.Advance(milliseconds(10));
  REQUIRE(room.wakes == std::vector{Wake::kDeadline});
  CHECK(room.times[0] >= deadline);
  CHECK(room.times[0] <= deadline + TimerWheel::kTick);
  CHECK(room.shards.shard().timers().armed() == 0);
}

TEST_CASE("a deadline of an earlier wait does not end a later one") {
  EventRoom room;
  const TimePoint start = room.clock.now();
  Detach(room.Wait(start + milliseconds(50)));
  room.event.Signal();
  room.shards.RunUntilIdle();
  Detach(room.Wait(start + milliseconds(100)));
  room.shards.Advance(milliseconds(60));
  CHECK(room.wakes == std::vector{Wake::kSignal});
  room.shards.Advance(milliseconds(60));
  CHECK(room.wakes == std::vector{Wake::kSignal, Wake::kDeadline});
}

TEST_CASE("a signal between the deadline and the waiter's turn counts as the signal") {
  EventRoom room;
  Detach(room.Wait(room.clock.now() + milliseconds(5)));
  // Another timer of the same tick, armed later, signals after the deadline has fired.
  Timer late([](void* event) { static_cast<Event*>(event)->Signal(); }, &room.event);
  late.Arm(room.shards.shard().timers(), room.clock.now() + milliseconds(5));
  room.shards.Advance(milliseconds(10));
  CHECK(room.wakes == std::vector{Wake::kSignal});
  CHECK_FALSE(room.event.signalled());
}

}  // namespace
}  // namespace rouse::net
