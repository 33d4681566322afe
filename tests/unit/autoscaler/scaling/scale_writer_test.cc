#include "autoscaler/scaling/scale_writer.h"

#include <catch2/catch.hpp>

#include "tests/unit/autoscaler/fakes.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kFn{"ns", "fn"};

/// One replica's writer; several share a world.
struct Replica final : ScaleWriter::Listener {
  Replica(control::SimLoop& loop, test::Scales& scales, const std::string& name, bool leads)
      : leader(leads),
        api(loop, scales, name),
        writer(loop, api, 1, {}, [this] { return leader; }) {
    writer.SetListener(this);
  }
  void OnScale(const ObjectKey&) override { ++news; }
  void OnWritten(const ObjectKey&, const Written& written) override {
    outcomes.push_back(written.outcome);
    last = written;
  }

  bool leader;
  test::FakeScaleApi api;
  ScaleWriter writer;
  int news = 0;
  std::vector<WriteOutcome> outcomes;
  Written last;
};

struct World {
  explicit World(int replicas) {
    scales.Set("fn", replicas);
    a.writer.Declare(kFn, {.name = "fn"});
    loop.RunFor(milliseconds(10));
  }
  SimClock clock;
  control::SimLoop loop{clock};
  test::Scales scales;
  Replica a{loop, scales, "a", true};
};

TEST_CASE("a target's count is read when it is declared, and told") {
  World world(3);
  REQUIRE(world.a.writer.known(kFn));
  CHECK(world.a.writer.known(kFn)->replicas == 3);
  CHECK(world.a.news == 1);
}

TEST_CASE("a wake of a known sleeper is one patch and no read, sent at once") {
  World world(0);
  const int reads = world.a.api.reads;
  world.a.writer.Wake(kFn, 2);
  CHECK(world.a.api.patches == 1);
  CHECK(world.a.writer.counters().wake_sent.count() == 1);
  world.loop.RunFor(milliseconds(5));
  CHECK(world.a.api.reads == reads);
  CHECK(world.scales.objects["fn"].replicas == 2);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kWritten});
  CHECK(world.a.last.from == 0);
  CHECK(world.a.last.to == 2);
}

TEST_CASE("a wake whose version is old reads and patches, still at once") {
  World world(0);
  world.scales.Touch("fn");
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(5));
  CHECK(world.scales.objects["fn"].replicas == 1);
  CHECK(world.a.api.wake_reads == 1);
  CHECK(world.a.api.patches == 2);
  CHECK(world.a.writer.counters().conflicts == 1);
}

TEST_CASE("a wake never lowers or changes a count above zero") {
  World world(0);
  world.scales.Set("fn", 5);
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(5));
  CHECK(world.scales.objects["fn"].replicas == 5);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kAlready});
}

TEST_CASE("a remembered count above zero is not believed by a wake") {
  World world(1);
  world.scales.Set("fn", 0);
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(5));
  CHECK(world.scales.objects["fn"].replicas == 1);
}

TEST_CASE("two replicas that see the same wake write it once") {
  for (const bool known_version : {true, false}) {
    World world(0);
    Replica b(world.loop, world.scales, "b", false);
    b.writer.Declare(kFn, {.name = "fn"});
    world.loop.RunFor(milliseconds(10));
    if (!known_version) world.scales.Touch("fn");
    world.a.writer.Wake(kFn, 1);
    b.writer.Wake(kFn, 3);
    world.loop.RunFor(seconds(5));
    REQUIRE(world.scales.writes.size() == 1);
    CHECK(world.scales.writes[0].from == 0);
    CHECK(world.a.outcomes.size() == 1);
    CHECK(b.outcomes.size() == 1);
  }
}

TEST_CASE("wakes of one target coalesce while one is under way") {
  World world(0);
  for (int i = 0; i < 100; ++i) world.a.writer.Wake(kFn, 1);
  CHECK(world.a.api.patches == 1);
  world.loop.RunFor(seconds(1));
  CHECK(world.a.api.patches == 1);
  CHECK(world.scales.writes.size() == 1);
}

TEST_CASE("a storm of conflicts is waited out with growing pauses, and given up") {
  World world(0);
  world.a.api.meanwhile = [&] { world.scales.Touch("fn"); };
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(30));
  CHECK(world.a.writer.counters().conflicts <= 4);

  SECTION("it ends in time") {
    world.a.api.meanwhile = {};
    world.loop.RunFor(seconds(2));
    CHECK(world.scales.objects["fn"].replicas == 1);
    CHECK(world.a.outcomes == std::vector{WriteOutcome::kWritten});
  }
  SECTION("it does not end: the next report begins again") {
    world.loop.RunFor(seconds(60));
    CHECK(world.a.outcomes == std::vector{WriteOutcome::kFailed});
    CHECK(world.a.api.patches == WriterLimits{}.wake_tries_max);
    world.a.api.meanwhile = {};
    world.a.writer.Wake(kFn, 1);
    world.loop.RunFor(milliseconds(10));
    CHECK(world.scales.objects["fn"].replicas == 1);
  }
}

TEST_CASE("a wake is repeated while the API cannot be asked") {
  World world(0);
  int left = 3;
  world.a.api.fault = [&] {
    return left-- > 0 ? absl::UnavailableError("connection refused") : absl::OkStatus();
  };
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.objects["fn"].replicas == 1);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kWritten});
}

TEST_CASE("a slow API delays a wake, and does not multiply it") {
  World world(0);
  world.a.api.latency = seconds(3);
  world.a.writer.Wake(kFn, 1);
  for (int s = 0; s < 10; ++s) {
    world.loop.RunFor(seconds(1));
    if (s < 3) world.a.writer.Wake(kFn, 1);
  }
  CHECK(world.scales.writes.size() == 1);
  CHECK(world.a.api.patches == 1);
}

TEST_CASE("only the leader sets a count") {
  World world(4);
  world.a.leader = false;
  world.a.writer.Set(kFn, 2, 4);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.objects["fn"].replicas == 4);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kNotLeader});
}

TEST_CASE("a lease that is lost between reading and writing stops the write") {
  World world(4);
  world.a.writer.Set(kFn, 0, 4);
  world.a.api.meanwhile = [&] { world.a.leader = false; };
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.writes.empty());
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kNotLeader});
}

TEST_CASE("a count that somebody else changed is decided on again, not overwritten") {
  World world(4);
  world.scales.Set("fn", 7);
  world.a.writer.Set(kFn, 2, 4);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.objects["fn"].replicas == 7);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kMoved});
  CHECK(world.a.news == 2);
  world.a.writer.Set(kFn, 2, 7);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.objects["fn"].replicas == 2);
}

TEST_CASE("a change between reading and writing is a conflict, and nothing is written") {
  World world(4);
  int calls = 0;
  world.a.api.meanwhile = [&] {
    if (++calls == 2) world.scales.Set("fn", 9);
  };
  world.a.writer.Set(kFn, 2, 4);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.objects["fn"].replicas == 9);
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kMoved});
  CHECK(world.a.writer.known(kFn)->replicas == 9);
}

TEST_CASE("a wake overtakes a lowering that has not been sent") {
  World world(1);
  world.a.writer.Set(kFn, 0, 1);
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.writes.empty());
  CHECK(world.scales.objects["fn"].replicas == 1);
}

TEST_CASE("a lowering that is not wanted any more is not sent") {
  World world(1);
  world.a.writer.Set(kFn, 0, 1);
  world.a.writer.Keep(kFn);
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.writes.empty());
  CHECK(world.a.outcomes.empty());

  world.a.writer.Wake(kFn, 1);
  world.a.writer.Keep(kFn);
  world.loop.RunFor(seconds(1));
  CHECK(world.a.outcomes == std::vector{WriteOutcome::kAlready});
}

TEST_CASE("a wake follows at once a lowering that was on its way") {
  World world(1);
  world.a.writer.Set(kFn, 0, 1);
  world.loop.RunFor(std::chrono::microseconds(1200));
  REQUIRE(world.a.api.patches == 1);
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(3));
  CHECK(world.scales.writes.size() == 2);
  CHECK(world.scales.objects["fn"].replicas == 1);
}

TEST_CASE("a missing, forbidden or unset target is named, and asked again ever more seldom") {
  World world(0);
  world.scales.objects.clear();
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(10));
  CHECK(world.a.last.outcome == WriteOutcome::kMissing);
  CHECK(absl::IsNotFound(world.a.writer.problem(kFn)));
  const int calls = world.a.api.reads + world.a.api.patches;
  for (int i = 0; i < 600; ++i) {
    world.a.writer.Wake(kFn, 1);
    world.loop.RunFor(milliseconds(100));
  }
  CHECK(world.a.api.reads + world.a.api.patches - calls < 20);

  world.scales.Set("fn", 0);
  for (int i = 0; i < 31; ++i) {
    world.a.writer.Wake(kFn, 1);
    world.loop.RunFor(seconds(1));
  }
  CHECK(world.scales.objects["fn"].replicas == 1);
  CHECK(world.a.writer.problem(kFn).ok());
}

TEST_CASE("after the way to zero the version is read where it has come to rest") {
  World world(1);
  world.a.writer.Set(kFn, 0, 1);
  world.loop.RunFor(milliseconds(10));
  REQUIRE(world.scales.objects["fn"].replicas == 0);
  world.scales.Touch("fn");
  world.loop.RunFor(seconds(10));
  const int reads = world.a.api.reads;
  world.a.writer.Wake(kFn, 1);
  world.loop.RunFor(milliseconds(2));
  CHECK(world.scales.objects["fn"].replicas == 1);
  CHECK(world.a.api.reads == reads);
  CHECK(world.a.writer.counters().conflicts == 0);
}

TEST_CASE("readings that nobody waits for are few at a time, and give way to a wake") {
  SimClock clock;
  control::SimLoop loop{clock};
  test::Scales scales;
  Replica a(loop, scales, "a", true);
  a.api.latency = seconds(5);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "fn" + std::to_string(i);
    scales.Set(name, 0);
    a.writer.Declare({"ns", name}, {.name = name});
  }
  CHECK(a.api.reads == static_cast<int>(WriterLimits{}.refreshes_max));
  a.writer.Wake({"ns", "fn3"}, 1);
  a.writer.Wake({"ns", "fn99"}, 1);
  loop.RunFor(seconds(11));
  CHECK(scales.objects["fn3"].replicas == 1);
  CHECK(scales.objects["fn99"].replicas == 1);
  loop.RunFor(seconds(120));
  for (int i = 0; i < 100; ++i) CHECK(a.writer.known({"ns", "fn" + std::to_string(i)}));
}

TEST_CASE("a removed target hears no answer") {
  World world(0);
  world.a.writer.Wake(kFn, 1);
  world.a.writer.Remove(kFn);
  world.loop.RunFor(seconds(1));
  CHECK(world.a.outcomes.empty());
  CHECK_FALSE(world.a.writer.known(kFn));
}

}  // namespace
}  // namespace rouse::autoscaler
