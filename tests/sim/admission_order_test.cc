// Order and fairness of admission: dispatch in the order of arrival on one and on several shards,
// and no burst that delays another workload.

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AdmissionWorld;
using testing::SimExchange;

/// A waiter of the freeing shard may pass one that is older by less than this (15.6).
constexpr Duration kGrace = milliseconds(1);

/// Who says that the endpoint is ready.
enum class Says : uint8_t { kSnapshot, kProbe };

void ParkThenWake(uint32_t shards, uint32_t limit, uint64_t seed, Says says) {
  INFO("shards " << shards << ", limit " << limit << ", seed " << seed << ", by probe "
                 << (says == Says::kProbe));
  AdmissionWorld world({.seed = seed, .shards = shards});
  Random random(seed);
  world.Edit(0)->policy.concurrency_limit = limit;
  world.Publish();
  world.shards().RunUntilIdle();
  for (int i = 0; i < 1000; ++i) {
    const auto shard = static_cast<uint32_t>(random.Below(shards));
    world.Arrive(shard, 0, seconds(60), microseconds(500 + random.Below(5000)));
    world.shards().Advance(microseconds(random.Below(400)));
  }
  CHECK(world.wakes() == shards);

  const bool probe = says == Says::kProbe;
  const EndpointKey key =
      world.AddEndpoint(0, probe ? EndpointState::kStarting : EndpointState::kReady);
  world.Publish();
  if (probe) {
    world.shards().RunUntilIdle();
    world.admission(0).AnnounceReady(0, key);
  }
  for (int i = 0; i < 200; ++i) {
    world.shards().Advance(milliseconds(20));
    world.Check();
    world.CheckSettled();
  }
  REQUIRE(world.open() == 0);
  size_t inversions = 0;
  TimePoint last_dispatch{};
  TimePoint newest_arrival{};
  // In the order of arrival; nobody is served before somebody older by the grace or more.
  for (const SimExchange& exchange : world.exchanges()) {
    REQUIRE(exchange.end == SimExchange::End::kServed);
    if (exchange.dispatched_at < last_dispatch) {
      ++inversions;
      CHECK(exchange.arrival - newest_arrival < kGrace);
    } else {
      last_dispatch = exchange.dispatched_at;
      newest_arrival = exchange.arrival;
    }
  }
  if (shards == 1) CHECK(inversions == 0);
}

TEST_CASE("A thousand parked requests are served in the order of their arrival", "[sim]") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    for (const uint32_t limit : {1u, 3u, 10u}) {
      for (const Says says : {Says::kSnapshot, Says::kProbe}) {
        for (const uint32_t shards : {1u, 2u, 4u}) ParkThenWake(shards, limit, seed, says);
      }
    }
  }
}

TEST_CASE("Waiters of another shard are served before younger ones of the freeing shard", "[sim]") {
  AdmissionWorld world({.seed = 5, .shards = 2});
  world.Edit(0)->policy.concurrency_limit = 1;
  world.AddEndpoint(0, EndpointState::kReady);
  world.Publish();
  world.shards().RunUntilIdle();
  world.Arrive(0, 0, seconds(60), milliseconds(50));
  world.shards().Advance(milliseconds(2));
  // Alternating shards, always further apart than the grace.
  for (uint32_t i = 0; i < 20; ++i) {
    world.Arrive(i % 2, 0, seconds(60), milliseconds(50));
    world.shards().Advance(milliseconds(2));
  }
  world.shards().Advance(seconds(3));
  REQUIRE(world.open() == 0);
  const auto earlier = [](const SimExchange& a, const SimExchange& b) {
    return a.dispatched_at < b.dispatched_at;
  };
  CHECK(std::is_sorted(world.exchanges().begin(), world.exchanges().end(), earlier));
}

TEST_CASE("Two workloads that wake together take turns", "[sim]") {
  AdmissionWorld world(
      {.seed = 7, .shards = 1, .limits = {.dispatches_per_turn = 16, .quantum = 4}});
  (void)world.Edit(0);
  (void)world.Edit(1);
  world.Publish();
  world.shards().RunUntilIdle();
  for (int i = 0; i < 2000; ++i) world.Arrive(0, 0, seconds(60), seconds(10));
  for (int i = 0; i < 8; ++i) world.Arrive(0, 1, seconds(60), seconds(10));
  world.shards().RunUntilIdle();
  world.AddEndpoint(0, EndpointState::kReady);
  world.AddEndpoint(1, EndpointState::kReady);
  world.Publish();

  const auto served = [&](uint32_t place) {
    return std::count_if(world.exchanges().begin(), world.exchanges().end(),
                         [&](const auto& e) { return e.place == place && e.dispatched; });
  };
  int turns = 0;
  while (served(1) < 8) {
    (void)world.shards().Round();
    REQUIRE(++turns < 10);
  }
  // The small one is through; of the big one no more than its turns allow.
  CHECK(served(0) <= 16 * turns);
  CHECK(served(0) < 100);
  while (served(0) < 2000) REQUIRE(world.shards().Round());
}

TEST_CASE("A newcomer does not overtake those who wait for a slot", "[sim]") {
  AdmissionWorld world({.seed = 9, .shards = 1});
  world.Edit(0)->policy.concurrency_limit = 1;
  world.AddEndpoint(0, EndpointState::kReady);
  world.Publish();
  world.shards().RunUntilIdle();
  SimExchange& first = world.Arrive(0, 0, seconds(60), milliseconds(10));
  world.shards().RunUntilIdle();
  SimExchange& second = world.Arrive(0, 0, seconds(60), milliseconds(10));
  world.shards().RunUntilIdle();
  REQUIRE(first.dispatched);
  REQUIRE_FALSE(second.dispatched);
  world.shards().Advance(milliseconds(5));
  // It arrives in the very turn in which the slot becomes free.
  SimExchange& third = world.Arrive(0, 0, seconds(60), milliseconds(10));
  world.shards().Advance(milliseconds(7));
  CHECK(second.dispatched);
  CHECK_FALSE(third.dispatched);
}

TEST_CASE("Every workload is sure of its guarantee, whatever others hold", "[sim]") {
  const AdmissionLimits limits = {.parked_max = 1000, .guarantee_requests = 64};
  AdmissionWorld world({.seed = 11, .shards = 2, .limits = limits});
  for (uint32_t place = 0; place < 6; ++place) (void)world.Edit(place);
  world.Publish();
  world.shards().RunUntilIdle();
  const auto burst = [&](uint32_t place, int count) {
    for (int i = 0; i < count; ++i) world.Arrive(i % 2, place, seconds(5), milliseconds(1));
    world.shards().RunUntilIdle();
    world.Check();
    return world.admission(0).WorkloadAt(place)->parked_everywhere();
  };
  // What lies beyond the guarantee grows to half of what is free: a - 64 = (1000 - a) / 2.
  const uint64_t greedy = burst(0, 1000);
  CHECK(greedy > 350);
  CHECK(greedy <= 376);
  for (uint32_t place = 1; place < 6; ++place) CHECK(burst(place, 64) == 64);
  CHECK(burst(0, 1000) == greedy);
  for (const SimExchange& exchange : world.exchanges()) {
    if (exchange.end == SimExchange::End::kOpen) continue;
    REQUIRE(exchange.error.kind == ErrorKind::kParkedFull);
    REQUIRE(exchange.place == 0);
  }
}

}  // namespace
}  // namespace rouse::proxy
