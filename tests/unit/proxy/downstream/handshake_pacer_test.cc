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
  HandshakePacer pacer{shards.shard()};
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

TEST_CASE("an idle shard gives handshakes all it has") {
  Room room;
  for (int i = 0; i < 1000; ++i) {
    CHECK(room.pacer.MayRun(microseconds(10)));
    room.pacer.Spend(milliseconds(1));
  }
}

TEST_CASE("a busy shard gives them three tenths, however long each one takes") {
  for (const Duration cost : {Duration(microseconds(80)), Duration(milliseconds(1))}) {
    Room room;
    Duration other{};
    Duration handshakes{};
    for (int turn = 0; turn < 10000; ++turn) {
      constexpr Duration kTurn = microseconds(600);
      other += kTurn;
      if (!room.pacer.MayRun(kTurn)) continue;
      room.pacer.Spend(cost);
      handshakes += cost;
    }
    const double share =
        static_cast<double>(handshakes.count()) / static_cast<double>((other + handshakes).count());
    CHECK(share <= 0.31);
    if (cost > microseconds(300)) CHECK(share > 0.25);
  }
}

TEST_CASE("what was saved up or is owed stays bounded") {
  Room room;
  for (int i = 0; i < 100; ++i) (void)room.pacer.MayRun(milliseconds(100));
  room.pacer.Spend(HandshakePacer::kCreditMost + milliseconds(1));
  CHECK_FALSE(room.pacer.MayRun(microseconds(60)));
  room.pacer.Spend(std::chrono::hours(1));
  CHECK_FALSE(room.pacer.MayRun(microseconds(100)));
  CHECK(room.pacer.MayRun(milliseconds(20)));
}

}  // namespace
}  // namespace rouse::proxy
