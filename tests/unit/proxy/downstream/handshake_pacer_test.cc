#include "proxy/downstream/handshake_pacer.h"

#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/net/sim_shards.h"

namespace rouse::proxy {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Step final : HandshakePacer::Waiter {
  Step(HandshakePacer& p, std::vector<int>& o, int n, int t)
      : pacer(p), order(o), number(n), times(t) {}
  void OnTurn() override {
    order.push_back(number);
    if (--times > 0) pacer.Add(*this);
  }
  HandshakePacer& pacer;
  std::vector<int>& order;
  int number;
  int times;
};

struct Room {
  SimClock clock;
  net::testing::SimShards shards{clock, 1, 1};
  ShardStats stats;
  HandshakePacer pacer{shards.shard(), stats};
  std::vector<int> order;
};

TEST_CASE("handshakes go on in their order, each step behind those that wait") {
  Room room;
  Step a(room.pacer, room.order, 1, 2);
  Step b(room.pacer, room.order, 2, 1);
  Step c(room.pacer, room.order, 3, 1);
  for (Step* each : {&a, &b, &c}) room.pacer.Add(*each);
  room.pacer.Add(a);  // once only
  room.pacer.Remove(c);
  room.pacer.Remove(c);
  room.shards.RunUntilIdle();
  CHECK(room.order == std::vector<int>{1, 2, 1});
  CHECK(room.pacer.waiting() == 0);
}

TEST_CASE("a turn that nobody waits for any more is no turn") {
  Room room;
  Step gone(room.pacer, room.order, 1, 1);
  room.pacer.Add(gone);
  room.pacer.Remove(gone);
  room.shards.RunUntilIdle();
  CHECK(room.order.empty());
}

TEST_CASE("a step runs in the turn that brings it, not at the next tick of the clock") {
  Room room;
  Step one(room.pacer, room.order, 1, 2);
  room.pacer.Add(one);
  (void)room.shards.shard().Turn(Duration::zero());
  CHECK(room.order.size() == 1);
  (void)room.shards.shard().Turn(Duration::zero());
  CHECK(room.order.size() == 2);
}

TEST_CASE("an idle shard gives handshakes all it has") {
  Room room;
  TimePoint now = room.clock.now();
  for (int i = 0; i < 1000; ++i) {
    CHECK(room.pacer.MayRun(now, false));
    now += milliseconds(1);
  }
  CHECK(room.pacer.MayRun(now, true));  // and what that cost is not owed
}

TEST_CASE("a busy shard gives them a quarter, however long each one takes") {
  for (const Duration cost : {Duration(microseconds(80)), Duration(milliseconds(2))}) {
    Room room;
    TimePoint now = room.clock.now();
    const TimePoint begin = now;
    Duration handshakes{};
    while (now - begin < std::chrono::seconds(2)) {
      now += microseconds(100);
      if (!room.pacer.MayRun(now, true)) continue;
      room.pacer.Spend(cost);
      now += cost;
      handshakes += cost;
    }
    const double share =
        static_cast<double>(handshakes.count()) / static_cast<double>((now - begin).count());
    CHECK(share <= 0.26);
    CHECK(share > 0.2);
  }
}

TEST_CASE("a busy shard's handshakes wait for their share, an idle one's do not") {
  Room room;
  Step one(room.pacer, room.order, 1, 1);
  room.clock.Advance(milliseconds(10));
  CHECK(room.pacer.MayRun(room.clock.now(), true));
  room.pacer.Spend(HandshakePacer::kCreditMost + milliseconds(3));  // twelve to be waited
  const bool busy = GENERATE(true, false);
  if (busy) room.stats.pool_reuses.Add();
  room.pacer.Add(one);
  (void)room.shards.shard().Turn(Duration::zero());
  CHECK(room.order.empty() == busy);
  room.shards.Advance(milliseconds(11));
  CHECK(room.order.empty() == busy);
  room.shards.Advance(milliseconds(3));
  CHECK(room.order.size() == 1);
}

TEST_CASE("what was saved up or is owed stays bounded") {
  Room room;
  TimePoint now = room.clock.now() + std::chrono::hours(1);
  CHECK(room.pacer.MayRun(now, true));
  room.pacer.Spend(HandshakePacer::kCreditMost + microseconds(30));
  CHECK_FALSE(room.pacer.MayRun(now + microseconds(119), true));
  CHECK(room.pacer.MayRun(now + microseconds(122), true));
  // A process that was stopped in the middle of a step has not worked all that time.
  now += milliseconds(1);
  room.pacer.Spend(std::chrono::hours(1));
  CHECK_FALSE(room.pacer.MayRun(now, true));
  CHECK(room.pacer.MayRun(now + milliseconds(101), true));
}

}  // namespace
}  // namespace rouse::proxy
