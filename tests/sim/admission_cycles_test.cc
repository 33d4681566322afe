// Twenty thousand times asleep, awake and asleep again: many workloads, several shards, in
// simulated time. Nobody is lost, nobody is served twice, every sleep is followed by a wake as soon
// as somebody comes.

#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AdmissionWorld;
using testing::SimExchange;

constexpr uint32_t kWorkloads = 40;
constexpr int kCycles = 20'000;

/// One workload's life: asleep -> waking -> awake -> asleep.
struct Life {
  enum class State : uint8_t { kAsleep, kWaking, kAwake };
  State state = State::kAsleep;
  TimePoint next{};
  std::vector<SimExchange*> waiting;
};

class Cycles {
 public:
  Cycles(uint64_t seed, uint32_t shards)
      : random_(seed), world_({.seed = seed, .shards = shards}), lives_(kWorkloads) {
    for (uint32_t place = 0; place < kWorkloads; ++place) {
      // Unlimited, and limits small and large.
      constexpr uint32_t kLimits[] = {0, 1, 2, 5, 20};
      world_.Edit(place)->policy.concurrency_limit = kLimits[place % 5];
      lives_[place].next = world_.now() + milliseconds(random_.Below(100));
    }
    world_.Publish();
    world_.shards().RunUntilIdle();
  }

  void Run() {
    while (done_ < kCycles) {
      uint32_t place = 0;
      for (uint32_t i = 1; i < kWorkloads; ++i) {
        if (lives_[i].next < lives_[place].next) place = i;
      }
      world_.shards().AdvanceTo(lives_[place].next);
      Step(place);
      world_.Check();
      if (random_.Below(4) == 0) {
        world_.shards().RunUntilIdle();
        world_.CheckSettled();
      }
      Forget();
    }
  }

  [[nodiscard]] uint64_t wakes() const { return world_.wakes(); }
  uint64_t served = 0;

 private:
  void Step(uint32_t place) {
    Life& life = lives_[place];
    switch (life.state) {
      case Life::State::kAsleep:
        Burst(life, place);
        life.state = Life::State::kWaking;
        life.next = world_.now() + milliseconds(1 + random_.Below(80));
        return;
      case Life::State::kWaking:
        AddPods(place);
        // Some come while it wakes or has just woken.
        if (random_.Below(2) == 0) Burst(life, place);
        life.state = Life::State::kAwake;
        life.next = world_.now() + milliseconds(400 + random_.Below(100));
        return;
      case Life::State::kAwake:
        for (SimExchange* exchange : life.waiting) {
          REQUIRE(exchange->end == SimExchange::End::kServed);
          REQUIRE(exchange->ends == 1);
          exchange->seen_off = true;
        }
        served += life.waiting.size();
        life.waiting.clear();
        world_.Edit(place)->endpoints.clear();
        world_.Publish();
        life.state = Life::State::kAsleep;
        life.next = world_.now() + milliseconds(random_.Below(50));
        ++done_;
        return;
    }
  }

  void Burst(Life& life, uint32_t place) {
    for (uint64_t left = 1 + random_.Below(6); left > 0; --left) {
      const auto shard = static_cast<uint32_t>(random_.Below(world_.count()));
      life.waiting.push_back(
          &world_.Arrive(shard, place, seconds(5), microseconds(200 + random_.Below(8000))));
    }
  }

  void AddPods(uint32_t place) {
    for (uint64_t left = 1 + random_.Below(3); left > 0; --left) {
      world_.AddEndpoint(place, EndpointState::kReady);
    }
    world_.Publish();
  }

  void Forget() {
    auto& exchanges = world_.exchanges();
    while (!exchanges.empty() && exchanges.front().seen_off) exchanges.pop_front();
  }

  Random random_;
  AdmissionWorld world_;
  std::vector<Life> lives_;
  int done_ = 0;
};

TEST_CASE("Twenty thousand wakes and sleeps lose nobody and serve nobody twice", "[sim]") {
  const uint64_t seed = GENERATE(11, 12);
  const uint32_t shards = seed == 11 ? 1 : 2;
  INFO("seed " << seed << ", shards " << shards);
  Cycles cycles(seed, shards);
  cycles.Run();
  CHECK(cycles.served > 3 * kCycles);
  CHECK(cycles.wakes() >= kCycles);
}

}  // namespace
}  // namespace rouse::proxy
