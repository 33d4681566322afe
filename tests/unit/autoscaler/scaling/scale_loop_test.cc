#include "autoscaler/scaling/scale_loop.h"

#include <catch2/catch.hpp>

#include "autoscaler/log_events.h"
#include "common/base/random.h"
#include "tests/unit/autoscaler/fakes.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kFn{"ns", "fn"};

Policy TestPolicy() {
  Policy policy;
  policy.target = {.target = 10, .total = 10};
  policy.stable_window = seconds(10);
  return policy;
}

/// One replica of the autoscaler without its network.
struct Replica {
  Replica(control::SimLoop& loop, test::Scales& scales, const std::string& name, bool leads)
      : leader(leads),
        log(loop.clock(), {.sink = [this](std::string_view line) { Take(line); }}),
        api(loop, scales, name),
        demand(DemandLimits{}),
        writer(loop, api, 7, {}, [this] { return leader; }),
        scale_loop(loop, demand, writer, journal, log, {}, [this] { return leader; }) {
    scale_loop.Start();
  }
  void Lead(bool leads) {
    leader = leads;
    scale_loop.OnLeadership(leads);
  }
  /// The lines so far, once they are all written.
  std::string Lines() {
    log.Flush();
    std::string out;
    for (const std::string& line : lines) out += line;
    return out;
  }
  void Take(std::string_view line) { lines.emplace_back(line); }

  std::vector<std::string> lines;
  bool leader;
  obs::Log log;
  test::FakeScaleApi api;
  DemandStore demand;
  Journal journal;
  ScaleWriter writer;
  ScaleLoop scale_loop;
};

/// A workload, its pods (ready `start` after they are wanted), one proxy that reports to every
/// replica.
struct World {
  explicit World(int replicas, int standbys = 0) {
    scales.Set("fn", replicas);
    pods = replicas;
    for (int i = 0; i <= standbys; ++i) {
      this->replicas.push_back(
          std::make_unique<Replica>(loop, scales, std::string(1, 'a' + i), i == 0));
    }
    Declare(TestPolicy());
    for (auto& replica : this->replicas) {
      replica->scale_loop.OnReady(kFn, pods);
      replica->scale_loop.OnSynced();
      replica->demand.Connect("p", false, loop.now());
    }
    loop.RunFor(milliseconds(100));
  }
  void Declare(const Policy& policy) {
    for (auto& replica : replicas) {
      replica->scale_loop.OnWorkload({.key = kFn, .policy = policy, .target = {.name = "fn"}});
    }
  }
  Replica& a() { return *replicas[0]; }
  int count() { return scales.objects["fn"].replicas; }

  void Report(double concurrency, double parked, bool complete) {
    wire::Report report{.proxy = "p", .complete = complete};
    if (concurrency > 0 || parked > 0) {
      report.stats = {{kFn,
                       {.average_concurrent_requests = concurrency,
                        .request_count = concurrency,
                        .parked_requests = parked}}};
    }
    for (auto& replica : replicas) {
      if (cut_off == replica.get()) continue;
      replica->demand.Record("p", report, loop.now(),
                             [&](const ObjectKey& key, const wire::Stat& stat) {
                               replica->scale_loop.OnDemand(key, stat);
                             });
    }
  }
  void Wake() { Report(1, 1, false); }

  /// `s` seconds of a proxy that reports each second, and of pods that follow the count.
  void Run(int s, double concurrency) {
    for (int i = 0; i < s * 10; ++i) {
      loop.RunFor(milliseconds(100));
      if (i % 10 == 5 && !silent) Report(concurrency, pods == 0 ? concurrency : 0, true);
      FollowPods();
    }
  }
  void FollowPods() {
    if (pods == count()) return;
    if (pods_change_at == TimePoint{}) pods_change_at = loop.now() + start;
    if (loop.now() < pods_change_at) return;
    pods_change_at = {};
    pods = count();
    scales.Touch("fn");
    for (auto& replica : replicas) replica->scale_loop.OnReady(kFn, pods);
  }

  SimClock clock;
  control::SimLoop loop{clock};
  test::Scales scales;
  std::vector<std::unique_ptr<Replica>> replicas;
  Replica* cut_off = nullptr;
  bool silent = false;
  int pods = 0;
  Duration start = milliseconds(500);
  TimePoint pods_change_at{};
};

TEST_CASE("what a HorizontalPodAutoscaler scales is left alone until it goes") {
  World world(2);
  world.a().scale_loop.OnRival(kFn, "theirs");
  world.Run(30, 0);
  CHECK(world.scales.writes.empty());
  CHECK(world.count() == 2);
  REQUIRE(world.a().scale_loop.Views().size() == 1);
  CHECK(world.a().scale_loop.Views()[0].problem ==
        "left alone: HorizontalPodAutoscaler theirs scales it");
  world.scales.Set("fn", 0);
  world.pods = 0;
  world.a().scale_loop.OnReady(kFn, 0);
  world.Wake();
  world.loop.RunFor(seconds(1));
  CHECK(world.scales.writes.empty());
  world.a().scale_loop.OnRival(kFn, "");
  world.Wake();
  world.loop.RunFor(seconds(5));
  CHECK(world.count() == 1);
  CHECK(world.a().scale_loop.Views()[0].problem.empty());
}

TEST_CASE("a wake is written at once, not at the next tick") {
  World world(0);
  world.Run(20, 0);
  const TimePoint before = world.loop.now();
  world.Wake();
  CHECK(world.a().api.patches == 1);
  world.loop.RunFor(milliseconds(2));
  REQUIRE(world.scales.writes.size() == 1);
  CHECK(world.scales.writes[0].to == 1);
  CHECK(world.scales.writes[0].wake);
  CHECK(world.scales.writes[0].at - before < milliseconds(2));
  CHECK(world.a().Lines().find("reason=from_zero") != std::string::npos);
  CHECK(world.a().journal.Json().find("written 0 -> 1") != std::string::npos);
}

TEST_CASE("a new workload's version is known once its controller has written its status") {
  World world(0);
  world.scales.Set("new", 0);
  const ObjectKey key{"ns", "new"};
  world.a().scale_loop.OnWorkload({.key = key, .policy = TestPolicy(), .target = {.name = "new"}});
  world.loop.RunFor(milliseconds(100));
  world.scales.Touch("new");
  CHECK(world.a().writer.settling() == 1);
  world.loop.RunFor(seconds(7));
  CHECK(world.a().writer.settling() == 0);
  const wire::Stat wake{.average_concurrent_requests = 1, .parked_requests = 1};
  world.a().demand.Record("p", {.proxy = "p", .stats = {{key, wake}}}, world.loop.now(),
                          [&](const ObjectKey& to, const wire::Stat& stat) {
                            world.a().scale_loop.OnDemand(to, stat);
                          });
  world.loop.RunFor(milliseconds(100));
  CHECK(world.scales.objects["new"].replicas == 1);
  CHECK(world.a().api.wake_reads == 0);
  CHECK(world.a().api.patches == 1);
}

TEST_CASE("a workload sleeps, wakes, follows its load, and sleeps again") {
  World world(0);
  world.Run(5, 0);
  CHECK(world.a().scale_loop.active() == 0);
  world.Wake();
  world.Run(3, 1);
  CHECK(world.count() == 1);
  world.Run(15, 45);
  CHECK(world.count() == 5);
  world.Run(30, 5);
  CHECK(world.count() == 1);
  world.Run(9, 0);
  CHECK(world.count() == 1);
  world.Run(8, 0);
  CHECK(world.count() == 0);
  CHECK(world.a().journal.EntriesOf(kFn).back().decision.reason == Reason::kIdle);
  world.Run(10, 0);
  CHECK(world.a().scale_loop.active() == 0);
}

TEST_CASE("demand that comes while the last pod is about to go keeps it") {
  World world(0);
  world.Wake();
  world.Run(20, 1);
  world.a().api.latency = milliseconds(400);
  for (int step = 0; step < 300 && world.a().scale_loop.Views()[0].decision.wanted != 0; ++step) {
    world.Run(1, 0);
  }
  REQUIRE(world.a().scale_loop.Views()[0].decision.wanted == 0);
  REQUIRE(world.count() == 1);
  world.scales.writes.clear();
  world.Report(1, 0, false);
  world.loop.RunFor(seconds(2));
  CHECK(world.scales.writes.empty());
  CHECK(world.count() == 1);
}

TEST_CASE("a burst that parks is followed at the next report, not at the next tick but one") {
  World world(0);
  world.start = seconds(30);
  world.Run(20, 0);
  world.Wake();
  world.loop.RunFor(milliseconds(300));
  world.Report(99, 100, true);
  world.loop.RunFor(milliseconds(10));
  CHECK(world.count() >= 5);
}

TEST_CASE("a sleeping workload costs nothing at a tick") {
  World world(0);
  world.Run(5, 0);
  const uint64_t decisions = world.a().scale_loop.counters().decisions;
  const int reads = world.a().api.reads;
  world.Run(600, 0);
  CHECK(world.a().scale_loop.counters().decisions == decisions);
  CHECK(world.a().api.reads == reads);
}

TEST_CASE("the leader keeps the least scale without any demand, a standby does not") {
  World world(0, 1);
  Policy policy = TestPolicy();
  policy.min_scale = 2;
  world.a().leader = false;
  world.Declare(policy);
  world.Run(6, 0);
  CHECK(world.count() == 0);
  world.a().Lead(true);
  world.Run(6, 0);
  CHECK(world.count() == 2);
  CHECK(world.scales.writes.size() == 1);
}

TEST_CASE("a silent proxy keeps the pods: silence is not zero") {
  World world(0);
  world.Wake();
  world.Run(20, 25);
  const int busy = world.count();
  CHECK(busy >= 3);
  world.silent = true;
  world.Run(300, 0);
  CHECK(world.count() == busy);
  world.silent = false;
  world.Run(9, 0);
  CHECK(world.count() > 0);
  world.Run(20, 0);
  CHECK(world.count() == 0);
}

TEST_CASE("every replica may wake; exactly one write goes from zero to n") {
  World world(0, 2);
  world.Run(20, 0);
  for (int round = 0; round < 20; ++round) {
    world.scales.writes.clear();
    world.Wake();
    world.loop.RunFor(milliseconds(20));
    int raised = 0;
    for (const auto& write : world.scales.writes) raised += write.from == 0;
    REQUIRE(raised == 1);
    world.Run(40, 0);
    REQUIRE(world.count() == 0);
  }
}

TEST_CASE("a standby wakes while the leader is gone, and lowers nothing") {
  World world(0, 1);
  world.Run(20, 0);
  world.a().leader = false;
  world.cut_off = &world.a();
  world.Wake();
  world.Run(3, 1);
  CHECK(world.count() == 1);
  CHECK(world.scales.writes.back().writer == "b");
  world.Run(60, 0);
  CHECK(world.count() == 1);
}

TEST_CASE("a new leader has the history already") {
  World world(0, 1);
  world.Wake();
  world.Run(30, 45);
  CHECK(world.count() == 5);
  world.a().Lead(false);
  world.replicas[1]->Lead(true);
  world.scales.writes.clear();
  world.Run(20, 45);
  CHECK(world.count() == 5);
  CHECK(world.scales.writes.empty());
  world.Run(60, 0);
  CHECK(world.count() == 0);
  for (const auto& write : world.scales.writes) CHECK(write.writer == "b");
}

TEST_CASE("a process that has just started lowers nothing before it has seen a whole window") {
  World world(4);
  world.Run(9, 1);
  CHECK(world.count() == 4);
  world.Run(20, 1);
  CHECK(world.count() == 1);
}

TEST_CASE("a count that somebody else changed is seen, and decided on anew") {
  World world(0);
  world.Wake();
  world.Run(20, 45);
  CHECK(world.count() == 5);
  world.scales.Set("fn", 0);
  world.Run(3, 45);
  CHECK(world.count() >= 4);
  world.scales.Set("fn", 40);
  world.Run(60, 45);
  CHECK(world.count() == 5);
}

TEST_CASE("an API that fails for a while delays, and nothing more") {
  World world(0);
  world.Run(20, 0);
  bool away = true;
  world.a().api.fault = [&] { return away ? absl::UnavailableError("away") : absl::OkStatus(); };
  world.Wake();
  world.Run(30, 3);
  CHECK(world.count() == 0);
  away = false;
  world.Run(3, 3);
  CHECK(world.count() == 1);
  away = true;
  world.Run(20, 45);
  CHECK(world.count() == 1);
  away = false;
  world.Run(6, 45);
  CHECK(world.count() >= 5);
}

TEST_CASE("storms of conflicts do not stop a workload from following its load") {
  World world(0);
  Random random(23);
  world.a().api.meanwhile = [&] {
    if (random.Below(3) > 0) world.scales.Touch("fn");
  };
  world.Wake();
  world.Run(3, 1);
  CHECK(world.count() == 1);
  world.Run(60, 45);
  CHECK(world.count() == 5);
  world.Run(120, 0);
  CHECK(world.count() == 0);
}

TEST_CASE("demand of two Services on one target is summed") {
  World world(1);
  const ObjectKey alias{"ns", "alias"};
  world.a().scale_loop.OnWorkload(
      {.key = kFn, .policy = TestPolicy(), .target = {.name = "fn"}, .sharers = {alias}});
  for (int s = 0; s < 30; ++s) {
    world.loop.RunFor(seconds(1));
    world.a().demand.Record("p",
                            {.proxy = "p",
                             .complete = true,
                             .stats = {{kFn, {.average_concurrent_requests = 20}},
                                       {alias, {.average_concurrent_requests = 30}}}},
                            world.loop.now(), [&](const ObjectKey& key, const wire::Stat& stat) {
                              world.a().scale_loop.OnDemand(key, stat);
                            });
    world.FollowPods();
  }
  CHECK(world.count() == 5);
}

TEST_CASE("a missing target is said once, and the pages show it") {
  World world(0);
  world.Run(20, 0);
  world.scales.objects.clear();
  world.Wake();
  for (int i = 0; i < 100; ++i) {
    world.loop.RunFor(milliseconds(300));
    world.Wake();
  }
  const std::string lines = world.a().Lines();
  size_t said = 0;
  for (size_t at = 0; (at = lines.find(log_event::kScaleRefused, at)) != std::string::npos; ++at)
    ++said;
  CHECK(said == 1);
  CHECK(world.a().scale_loop.Json().find("no such object") != std::string::npos);
  CHECK(world.a().scale_loop.Views()[0].decision.wanted == 1);
}

TEST_CASE("a workload that is gone is forgotten everywhere") {
  World world(0);
  world.Wake();
  world.a().scale_loop.OnWorkloadGone(kFn);
  world.Run(10, 5);
  CHECK(world.a().scale_loop.workloads() == 0);
  CHECK(world.a().scale_loop.active() == 0);
  CHECK(world.a().demand.counters().unknown_workload > 0);
}

TEST_CASE("before the endpoints are known, only wakes are written") {
  SimClock clock;
  control::SimLoop loop{clock};
  test::Scales scales;
  scales.Set("fn", 3);
  Replica replica(loop, scales, "a", true);
  replica.scale_loop.OnWorkload({.key = kFn, .policy = TestPolicy(), .target = {.name = "fn"}});
  replica.demand.Connect("p", false, loop.now());
  for (int s = 0; s < 40; ++s) {
    replica.demand.Record("p", {.proxy = "p", .complete = true}, loop.now(),
                          [](const ObjectKey&, const wire::Stat&) {});
    loop.RunFor(seconds(1));
  }
  CHECK(scales.objects["fn"].replicas == 3);
  scales.Set("fn", 0);
  replica.demand.Record("p", {.proxy = "p", .stats = {{kFn, {.average_concurrent_requests = 1}}}},
                        loop.now(), [&](const ObjectKey& key, const wire::Stat& stat) {
                          replica.scale_loop.OnDemand(key, stat);
                        });
  replica.writer.Refresh(kFn);
  loop.RunFor(seconds(3));
  CHECK(scales.objects["fn"].replicas == 1);
}

}  // namespace
}  // namespace rouse::autoscaler
