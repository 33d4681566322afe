// Admission under a seed: arrivals, clients that leave, endpoints that start, drain, vanish and
// refuse, limits of every kind, workloads that come and go, on one to three shards that learn of it
// at different moments.

#include <random>

#include <catch2/catch.hpp>

#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::AdmissionWorld;
using testing::SimExchange;

constexpr uint32_t kPlaces = 4;
constexpr uint32_t kLimits[kPlaces] = {0, 1, 3, 10};
constexpr size_t kEndpointsMost = 5;

class Storm {
 public:
  Storm(uint64_t seed, uint32_t shards)
      : random_(seed),
        world_({.seed = seed,
                .shards = shards,
                .limits = {.parked_max = 300,
                           .parked_bytes_max = 200'000,
                           .guarantee_requests = 8,
                           .guarantee_bytes = 8'000,
                           .dispatches_per_turn = 16,
                           .quantum = 3}}) {
    for (uint32_t place = 0; place < kPlaces; ++place) Create(place);
    world_.Publish();
    world_.shards().RunUntilIdle();
  }

  void Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 55) {
      Arrive(dice < 3 ? 40 : 1 + random_.Below(4));
    } else if (dice < 65) {
      Leave();
    } else if (dice < 80) {
      ChangeEndpoints();
    } else if (dice < 84) {
      FailDial();
    } else if (dice < 86) {
      ComeOrGo();
    } else if (dice < 90) {
      ProbeFoundReady();
    } else {
      world_.shards().Advance(microseconds(random_.Below(30'000)));
    }
    // Some steps follow each other before the shards have had a turn, or after only one.
    if (random_.Below(3) == 0) (void)world_.shards().Round();
    world_.Check();
    if (random_.Below(3) != 0) return;
    world_.shards().RunUntilIdle();
    world_.Check();
    world_.CheckSettled();
    while (!world_.exchanges().empty() && Over(world_.exchanges().front())) {
      Count(world_.exchanges().front());
      world_.exchanges().pop_front();
    }
  }

  uint64_t served = 0;
  uint64_t refused = 0;
  uint64_t left = 0;

 private:
  static bool Over(const SimExchange& exchange) { return exchange.end != SimExchange::End::kOpen; }

  void Count(const SimExchange& exchange) {
    if (exchange.end == SimExchange::End::kServed) {
      ++served;
    } else if (exchange.error.kind == ErrorKind::kDownstreamClosed) {
      ++left;
    } else {
      ++refused;
    }
  }

  uint32_t AnyPlace() { return static_cast<uint32_t>(random_.Below(kPlaces)); }

  void Create(uint32_t place) {
    EndpointSet* set = world_.Edit(place);
    set->policy.concurrency_limit = kLimits[place];
    set->policy.parked_max = 120;
  }

  void Arrive(uint64_t count) {
    const uint32_t place = AnyPlace();
    for (uint64_t i = 0; i < count; ++i) {
      const auto shard = static_cast<uint32_t>(random_.Below(world_.count()));
      world_.Arrive(shard, place, milliseconds(5 + random_.Below(400)),
                    microseconds(100 + random_.Below(40'000)));
    }
  }

  void Leave() {
    auto& exchanges = world_.exchanges();
    if (exchanges.empty()) return;
    SimExchange& exchange = exchanges[random_.Below(exchanges.size())];
    if (Over(exchange) || exchange.dispatched) return;
    world_.shards().shard(exchange.shard).Post([&exchange] {
      if (!Over(exchange)) exchange.stream->Leave();
    });
    // The exchange must not be forgotten before the message has run.
    world_.shards().RunUntilIdle();
  }

  void ChangeEndpoints() {
    const uint32_t place = AnyPlace();
    EndpointSet* set = world_.Edit(place);
    set->policy.concurrency_limit = kLimits[place];
    auto& endpoints = set->endpoints;
    const uint64_t what = random_.Below(6);
    if (endpoints.empty() || (what < 2 && endpoints.size() < kEndpointsMost)) {
      world_.AddEndpoint(place, what == 0 ? EndpointState::kReady : EndpointState::kStarting);
    } else if (what < 4) {
      Endpoint& endpoint = endpoints[random_.Below(endpoints.size())];
      endpoint.state = endpoint.state == EndpointState::kStarting ? EndpointState::kReady
                                                                  : EndpointState::kDraining;
    } else if (what == 4) {
      endpoints.erase(endpoints.begin() + static_cast<long>(random_.Below(endpoints.size())));
    } else {
      endpoints.clear();
    }
    world_.Publish();
  }

  /// What the exchange would say of a dial: on a shard that has a slot of the endpoint.
  void FailDial() {
    const auto shard = static_cast<uint32_t>(random_.Below(world_.count()));
    Admission& admission = world_.admission(shard);
    Workload* workload = admission.WorkloadAt(AnyPlace());
    if (workload == nullptr) return;
    const Slot slot = admission.TryAcquire(*workload);
    if (slot) admission.ConnectFailed(slot);
  }

  void ComeOrGo() {
    const uint32_t place = AnyPlace();
    if (random_.Below(2) == 0) {
      world_.Remove(place);
    } else {
      Create(place);
    }
    world_.Publish();
  }

  void ProbeFoundReady() {
    const auto shard = static_cast<uint32_t>(random_.Below(world_.count()));
    const uint32_t place = AnyPlace();
    Workload* workload = world_.admission(shard).WorkloadAt(place);
    if (workload == nullptr || workload->endpoints().empty()) return;
    const size_t at = random_.Below(workload->endpoints().size());
    const EndpointKey key = workload->endpoints()[at]->key();
    world_.admission(shard).AnnounceReady(place, key);
  }

  Random random_;
  AdmissionWorld world_;
};

void Weather(uint64_t seed, uint32_t shards, int steps) {
  INFO("seed " << seed << ", shards " << shards);
  Storm storm(seed, shards);
  for (int step = 0; step < steps; ++step) storm.Step();
  // The weather is of every kind: none of these is rare.
  CHECK(storm.served > 100);
  CHECK(storm.refused > 100);
  CHECK(storm.left > 10);
}

TEST_CASE("Admission keeps its promises in any weather, on one shard", "[sim]") {
  for (uint64_t seed = 1; seed <= 20; ++seed) Weather(seed, 1, 1500);
}

TEST_CASE("Admission keeps its promises in any weather, on two shards", "[sim]") {
  for (uint64_t seed = 100; seed <= 130; ++seed) Weather(seed, 2, 1500);
}

TEST_CASE("Admission keeps its promises in any weather, on three shards", "[sim]") {
  for (uint64_t seed = 200; seed <= 220; ++seed) Weather(seed, 3, 1500);
}

TEST_CASE("Admission keeps its promises under a fresh seed", "[sim]") {
  const uint64_t seed = std::random_device{}();
  WARN("fresh seed " << seed);
  Weather(seed, 2, 3000);
}

}  // namespace
}  // namespace rouse::proxy
