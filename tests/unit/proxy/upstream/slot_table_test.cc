#include "proxy/upstream/slot_table.h"

#include <vector>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;

constexpr Duration kGrace = milliseconds(1);

TimePoint At(int64_t ms) { return TimePoint(std::chrono::hours(1)) + milliseconds(ms); }

TEST_CASE("An endpoint's slots end at the limit") {
  EndpointSlots slots;
  CHECK(slots.TryTake(2));
  CHECK(slots.TryTake(2));
  CHECK_FALSE(slots.TryTake(2));
  slots.Release();
  CHECK(slots.TryTake(2));
  slots.Add(3);
  CHECK(slots.in_flight() == 5);
  CHECK_FALSE(slots.TryTake(5));
}

TEST_CASE("Open connections are counted apart from slots") {
  EndpointSlots slots;
  CHECK(slots.TryOpen(1));
  CHECK_FALSE(slots.TryOpen(1));
  slots.SetIdle(3, true);
  CHECK(slots.idle_shards() == 8);
  slots.SetIdle(3, false);
  CHECK(slots.idle_shards() == 0);
  slots.Closed();
  CHECK(slots.TryOpen(1));
  CHECK(slots.in_flight() == 0);
}

TEST_CASE("A queue gives its waiters in order, without those that left") {
  WaiterQueue queue;
  uint64_t ticket = 0;
  CHECK_FALSE(queue.Oldest(ticket));
  const auto first = queue.Publish(At(1));
  const auto second = queue.Publish(At(2));
  const auto third = queue.Publish(At(3));
  CHECK(queue.Withdraw(*second));
  CHECK(queue.Oldest(ticket) == At(1));
  CHECK(queue.Claim(ticket));
  CHECK_FALSE(queue.Claim(ticket));
  CHECK_FALSE(queue.Withdraw(*first));
  CHECK(queue.Oldest(ticket) == At(3));
  CHECK(ticket == *third);
  CHECK(queue.Withdraw(*third));
  CHECK(queue.empty());
  CHECK(queue.Size() == 0);
}

TEST_CASE("A full queue takes no more until somebody is claimed") {
  WaiterQueue queue;
  for (size_t i = 0; i < WaiterQueue::kPublished; ++i) REQUIRE(queue.Publish(At(1)));
  CHECK_FALSE(queue.Publish(At(2)));
  uint64_t ticket = 0;
  (void)queue.Oldest(ticket);
  CHECK(queue.Claim(ticket));
  CHECK(queue.Publish(At(2)));
}

TEST_CASE("The oldest waiter of all shards is claimed; an own one if hardly younger") {
  WorkloadSlots slots(3);
  CHECK_FALSE(slots.ClaimOldest(0, kGrace));
  CHECK_FALSE(slots.AnyWaiting());
  (void)slots.queue(0).Publish(At(10));
  (void)slots.queue(1).Publish(At(5));
  (void)slots.queue(2).Publish(At(4) + std::chrono::microseconds(100));
  CHECK(slots.AnyWaiting());
  // Shard 1's is 0.9 ms younger than shard 2's: that does not pay for the way.
  CHECK(slots.ClaimOldest(1, kGrace)->shard == 1);
  CHECK(slots.ClaimOldest(0, kGrace)->shard == 2);
  CHECK(slots.ClaimOldest(2, kGrace)->shard == 0);
  CHECK_FALSE(slots.AnyWaiting());
}

TEST_CASE("Claims under random arrivals and departures come in order of arrival") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    WorkloadSlots slots(2);
    struct Known {
      TimePoint arrival;
      uint32_t shard;
      uint64_t ticket;
    };
    std::vector<Known> waiting;
    for (int step = 0; step < 500; ++step) {
      const uint64_t dice = random.Below(10);
      if (dice < 5) {
        const auto shard = static_cast<uint32_t>(random.Below(2));
        const auto ticket = slots.queue(shard).Publish(At(step * 2));
        if (ticket) waiting.push_back({At(step * 2), shard, *ticket});
      } else if (dice < 7 && !waiting.empty()) {
        const size_t at = random.Below(waiting.size());
        REQUIRE(slots.queue(waiting[at].shard).Withdraw(waiting[at].ticket));
        waiting.erase(waiting.begin() + static_cast<long>(at));
      } else {
        const auto claimed = slots.ClaimOldest(static_cast<uint32_t>(random.Below(2)), kGrace);
        REQUIRE(claimed.has_value() == !waiting.empty());
        if (!claimed) continue;
        REQUIRE(claimed->shard == waiting.front().shard);
        REQUIRE(claimed->ticket == waiting.front().ticket);
        waiting.erase(waiting.begin());
      }
    }
  }
}

TEST_CASE("Counters outlive snapshots while somebody uses them, and go after that") {
  SlotTable table(2);
  auto slots = table.Endpoint({"pod", 80});
  REQUIRE(slots->TryTake(1));
  std::weak_ptr<EndpointSlots> seen = slots;
  const auto in_a_slot = slots;
  slots.reset();
  table.Sweep();
  CHECK(table.Endpoint({"pod", 80}) == in_a_slot);
  CHECK(table.Endpoint({"pod", 81}) != in_a_slot);
  const auto workload = table.Workload({"ns", "fn"});
  CHECK(table.Workload({"ns", "fn"}) == workload);
  CHECK(workload->shards() == 2);
  table.Sweep();
  CHECK(table.endpoints() == 1);
  CHECK(table.workloads() == 1);
}

TEST_CASE("A shared count refuses what would pass its limit") {
  SharedCount count;
  CHECK(count.TryAdd(3, 5));
  CHECK_FALSE(count.TryAdd(3, 5));
  CHECK(count.value() == 3);
  CHECK(count.TryAdd(2, 5));
}

}  // namespace
}  // namespace rouse::proxy
