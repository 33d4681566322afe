#include "common/net/shard.h"

#include <array>
#include <chrono>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/socket.h>

#include "common/net/poller.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::net {
namespace {

using std::chrono::milliseconds;

Task<void> Note(Shard& shard, std::vector<int>& order, int name, int turns) {
  for (int i = 0; i < turns; ++i) {
    co_await shard.NextTurn();
    order.push_back(name);
  }
}

TEST_CASE("coroutines that yield take turns") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  std::vector<int> order;
  Detach(Note(shard, order, 1, 3));
  Detach(Note(shard, order, 2, 2));
  CHECK(order.empty());
  CHECK(shard.Turn(Duration::zero()));
  CHECK(order == std::vector{1, 2});
  while (shard.Turn(Duration::zero())) {
  }
  CHECK(order == std::vector{1, 2, 1, 2, 1});
}

TEST_CASE("a turn runs at most so many coroutines, the rest in order in the next") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  std::vector<int> order;
  constexpr auto kCount = static_cast<int>(Shard::kReadyPerTurn) + 44;
  for (int i = 0; i < kCount; ++i) Detach(Note(shard, order, i, 1));
  shard.Turn(Duration::zero());
  CHECK(order.size() == Shard::kReadyPerTurn);
  shard.Turn(Duration::zero());
  REQUIRE(order.size() == kCount);
  for (int i = 0; i < kCount; ++i) CHECK(order[static_cast<size_t>(i)] == i);
}

TEST_CASE("a turn takes messages before timers before ready coroutines") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  std::vector<int> order;
  Detach(Note(shard, order, 3, 1));
  Timer timer([](void* o) { static_cast<std::vector<int>*>(o)->push_back(2); }, &order);
  timer.Arm(shard.timers(), clock.now());
  shard.Post([&] { order.push_back(1); });
  shard.Turn(Duration::zero());
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("time stands still within a turn, and a turn with nothing to do says so") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  const TimePoint start = shard.now();
  clock.Advance(milliseconds(5));
  CHECK(shard.now() == start);
  CHECK_FALSE(shard.Turn(Duration::zero()));
  CHECK(shard.now() == start + milliseconds(5));
  CHECK(shard.last_turn_ns() == shard.now().time_since_epoch().count());
}

TEST_CASE("a message posted by a message runs in the next turn") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  int runs = 0;
  shard.Post([&] {
    ++runs;
    shard.Post([&] { ++runs; });
  });
  shard.Turn(Duration::zero());
  CHECK(runs == 1);
  shard.Turn(Duration::zero());
  CHECK(runs == 2);
}

TEST_CASE("a wait ends when a timer is due, on the real clock") {
  SteadyClock clock;
  Shard shard(0, clock, 1, {});
  bool fired = false;
  Timer timer([](void* f) { *static_cast<bool*>(f) = true; }, &fired);
  const TimePoint due = clock.now() + milliseconds(20);
  timer.Arm(shard.timers(), due);
  while (!fired) shard.Turn(std::chrono::seconds(10));
  CHECK(shard.now() >= due);
  CHECK(shard.now() < due + std::chrono::seconds(5));
}

std::string Meet(uint64_t seed) {
  SimClock clock;
  testing::SimShards shards(clock, seed, 3);
  std::string order;
  for (size_t from = 0; from < 3; ++from) {
    shards.shard(from).Post([&, from] {
      shards.shard((from + 1) % 3).Post([&order, from] { order += static_cast<char>('a' + from); });
    });
  }
  shards.RunUntilIdle();
  return order;
}

TEST_CASE("simulated shards exchange messages in an order that the seed alone decides") {
  bool differs = false;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    CHECK(Meet(seed).size() == 3);
    CHECK(Meet(seed) == Meet(seed));
    differs = differs || Meet(seed) != Meet(1);
  }
  CHECK(differs);
}

/// Notes each call, and queues itself again as often as told.
class Ending final : public TurnEnd {
 public:
  Ending(Shard& shard, int again) : TurnEnd(shard), again_(again) {}
  using TurnEnd::Queue;
  int runs = 0;

 private:
  void OnTurnEnd() override {
    ++runs;
    if (again_-- > 0) Queue();
  }
  int again_;
};

net::Task<void> QueueTwice(Shard& shard, Ending& ending) {
  co_await shard.NextTurn();
  ending.Queue();
  ending.Queue();
}

TEST_CASE("the end of a turn runs once for all that the turn has brought") {
  SimClock clock;
  Shard shard(0, clock, 1, {});
  Ending once(shard, 0);
  Ending again(shard, 1);
  auto gone = std::make_unique<Ending>(shard, 0);
  gone->Queue();
  gone.reset();
  Detach(QueueTwice(shard, once));
  Detach(QueueTwice(shard, again));
  shard.Turn(Duration::zero());
  CHECK(once.runs == 1);
  CHECK(again.runs == 1);  // what is queued meanwhile waits
  shard.Turn(Duration::zero());
  CHECK(once.runs == 1);
  CHECK(again.runs == 2);
  shard.Turn(Duration::zero());
  CHECK(again.runs == 2);
}

TEST_CASE("a shard that stops goes on with all that is ready, but not with what never ends") {
  SteadyClock clock;
  Shard shard(0, clock, 1, {});
  constexpr size_t kReady = 3 * Shard::kReadyPerTurn;
  size_t done = 0;
  const auto once = [&]() -> Detached {
    co_await shard.NextTurn();
    ++done;
  };
  for (size_t i = 0; i < kReady; ++i) once();
  bool over = false;
  const auto on_and_on = [&]() -> Detached {
    while (!over) co_await shard.NextTurn();
  };
  on_and_on();
  shard.Stop();
  shard.Run();
  CHECK(done == kReady);
  over = true;
  shard.Turn(Duration::zero());
}

/// A shard with more than kBatchMost sockets, each of which may be sent something.
struct Crowd {
  static constexpr size_t kSockets = Shard::kBatchMost + 1;
  static_assert(kSockets >= Shard::kCrowd);
  struct Target final : PollTarget {
    void OnReady(Readiness) override {
      ++told;
      if (notes_to != nullptr) Tell(*shard, *notes_to);
    }
    /// Notes that it was told, and then what comes behind AfterEvents().
    Detached Tell(Shard& on, std::string& notes) {
      notes += '(';
      co_await on.AfterEvents();
      notes += ')';
    }
    int told = 0;
    Shard* shard = nullptr;
    std::string* notes_to = nullptr;
  };
  /// Time stands still, but for `sleep` from each look at it to the next.
  struct SleepyClock final : Clock {
    [[nodiscard]] TimePoint now() const override { return time += sleep; }
    [[nodiscard]] WallTime wall() const override { return {}; }
    mutable TimePoint time{std::chrono::hours(1)};
    Duration sleep{};
  };

  Crowd() {
    for (size_t i = 0; i < pairs.size(); ++i) {
      int fds[2];
      REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
      pairs[i] = {Descriptor(fds[0]), Descriptor(fds[1])};
      (void)shard.poller().Add(fds[0], targets[i]);
      targets[i].shard = &shard;
    }
  }
  void Send(size_t to) { REQUIRE(::send(pairs[to][1].get(), "x", 1, 0) == 1); }
  /// All are told something in each of several milliseconds, of which `sleep` goes by in waits.
  void Work(Duration sleep) {
    for (int i = 0; i < 6; ++i) {
      clock.sleep = sleep;  // a turn looks twice, before and behind its wait
      for (size_t to = 0; to < pairs.size(); ++to) Send(to);
      CHECK(shard.Turn(Duration::zero()));
      clock.time += milliseconds(1) - 2 * sleep;
    }
    clock.sleep = {};
    REQUIRE(shard.poller().ready_lately() == kSockets);
  }

  /// How a turn with `events` events goes through what each of them brings.
  std::string TurnOf(size_t events) {
    std::string notes;
    for (size_t to = 0; to < events; ++to) {
      targets[to].notes_to = &notes;
      Send(to);
    }
    CHECK(shard.Turn(Duration::zero()));
    for (Target& target : targets) target.notes_to = nullptr;
    return notes;
  }

  SleepyClock clock;
  Shard shard{0, clock, 1, {}};
  std::vector<std::array<Descriptor, 2>> pairs{kSockets};
  std::vector<Target> targets{kSockets};
};

TEST_CASE("a pressed turn among a crowd of which few are ready waits for more, and loses nothing") {
  Crowd crowd;
  crowd.Work(Duration::zero());
  CHECK(crowd.shard.pressed());
  crowd.Send(0);
  CHECK(crowd.shard.Turn(Duration::zero()));
  const int told = crowd.targets[1].told;
  crowd.Send(1);
  const auto before = std::chrono::steady_clock::now();
  CHECK(crowd.shard.Turn(std::chrono::seconds(10)));
  CHECK(std::chrono::steady_clock::now() - before >= Shard::kGatherFor);
  CHECK(crowd.targets[1].told == told + 1);
}

TEST_CASE("a shard with time to sleep is not pressed, whatever the crowd") {
  Crowd crowd;
  crowd.Work(std::chrono::microseconds(250));
  CHECK(crowd.shard.pressed());
  crowd.Work(std::chrono::microseconds(400));
  CHECK_FALSE(crowd.shard.pressed());
  crowd.Work(std::chrono::microseconds(250));
  CHECK(crowd.shard.pressed());
}

TEST_CASE("a pressed turn among a crowd receives what all bring, and then goes on with each") {
  Crowd crowd;
  CHECK(crowd.TurnOf(2) == "()()");
  crowd.Work(Duration::zero());
  CHECK(crowd.TurnOf(2) == "(())");
  CHECK(crowd.TurnOf(Shard::kBatchMost) ==
        std::string(Shard::kBatchMost, '(') + std::string(Shard::kBatchMost, ')'));
  CHECK(crowd.TurnOf(Shard::kBatchMost + 1).starts_with("()()()"));
  crowd.Work(std::chrono::microseconds(400));
  CHECK(crowd.TurnOf(2) == "()()");
}

}  // namespace
}  // namespace rouse::net
