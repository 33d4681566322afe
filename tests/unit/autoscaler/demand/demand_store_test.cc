#include "autoscaler/demand/demand_store.h"

#include <cmath>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kFn{"ns", "fn"};

TimePoint At(double s) {
  return TimePoint(seconds(10'000)) + milliseconds(static_cast<int64_t>(s * 1000));
}

Policy TestPolicy(int window = 10) {
  Policy policy;
  policy.stable_window = seconds(window);
  policy.panic_window_share = 0.2;
  return policy;
}

wire::WorkloadStat Stat(double concurrency, double requests = 0, double parked = 0,
                        const ObjectKey& workload = kFn) {
  return {workload,
          {.average_concurrent_requests = concurrency,
           .request_count = requests,
           .parked_requests = parked}};
}

/// A store with one workload, and short words for what senders do.
struct World {
  explicit World(int window = 10, DemandLimits limits = {}) : store(limits) {
    store.Declare(kFn, TestPolicy(window), At(0));
  }

  int Report(const std::string& proxy, double at, std::vector<wire::WorkloadStat> stats,
             bool complete = true) {
    int told = 0;
    store.Record(proxy, {.proxy = proxy, .complete = complete, .stats = std::move(stats)}, At(at),
                 [&](const ObjectKey&, const wire::Stat&) { ++told; });
    store.CheckInvariants();
    return told;
  }
  /// One report each second over [from, to).
  void Reports(const std::string& proxy, int from, int to, double concurrency) {
    for (int s = from; s < to; ++s) {
      if (concurrency > 0) {
        Report(proxy, s, {Stat(concurrency, concurrency)});
      } else {
        Report(proxy, s, {});
      }
    }
  }
  Demand Read(double at) {
    const Demand demand = store.Read(kFn, At(at));
    store.CheckInvariants();
    return demand;
  }

  DemandStore store;
};

TEST_CASE("nothing is known of demand before a sender has been heard") {
  World world;
  CHECK_FALSE(world.Read(0).has_data);
  REQUIRE(world.store.Connect("p1", false, At(1)));
  CHECK(world.Read(1).has_data);
  CHECK_FALSE(world.Read(1).zero_proven);
}

TEST_CASE("the reports of all proxies add up, second by second") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.store.Connect("p2", false, At(0));
  for (int s = 0; s < 10; ++s) {
    world.Report("p1", s + 0.2, {Stat(3)});
    world.Report("p2", s + 0.7, {Stat(4)});
  }
  const Demand demand = world.Read(9.9);
  CHECK(demand.stable == 7);
  CHECK(demand.panic == 7);
  CHECK(demand.present == 7);
}

TEST_CASE("a wake counts at once, and its request is not counted twice") {
  World world;
  world.store.Connect("p1", false, At(0));
  CHECK(world.Report("p1", 0.1, {Stat(1, 1, 1)}, false) == 1);
  const Demand woken = world.Read(0.1);
  CHECK(woken.stable == 1);
  CHECK(woken.panic == 1);
  CHECK(woken.parked == 1);
  // The tick's report comes with the wake's (1, 1) subtracted.
  CHECK(world.Report("p1", 0.9, {Stat(0, 0, 1)}) == 1);
  CHECK(world.Read(0.9).panic == 1);
  CHECK(world.Read(0.9).present == 1);
}

TEST_CASE("the zeros of a sleeping workload do not dilute its wake") {
  World world;
  world.store.Connect("p1", false, At(0));
  for (int s = 0; s < 30; ++s) {
    world.Report("p1", s, {Stat(0)});
    CHECK(world.Read(s + 0.5).stable == 0);
  }
  world.Report("p1", 30.2, {Stat(1, 1, 1)}, false);
  world.Report("p1", 31, {Stat(99, 99, 100)});
  CHECK(world.Read(31).stable == 50);
  CHECK(world.Read(31).panic == 50);
}

TEST_CASE("a proxied request was counted by an activator already") {
  World world;
  world.store.Connect("p1", false, At(0));
  wire::WorkloadStat stat = Stat(5);
  stat.stat.average_proxied_concurrent_requests = 3;
  world.Report("p1", 0, {stat});
  CHECK(world.Read(0).stable == 2);
}

TEST_CASE("requests per second are measured where the policy says so") {
  World world;
  Policy policy = TestPolicy();
  policy.metric = Metric::kRps;
  world.store.Connect("p1", false, At(0));
  world.Report("p1", 0, {Stat(5, 40)});
  world.store.Declare(kFn, policy, At(0));
  CHECK(world.Read(0).stable == 0);
  world.Report("p1", 0.5, {Stat(5, 40)});
  CHECK(world.Read(0.5).stable == 40);
}

TEST_CASE("zero is proven by a whole window of fresh reports without demand") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 5, 2);
  world.Reports("p1", 5, 14, 0);
  CHECK(world.Read(13.9).stable > 0);
  CHECK_FALSE(world.Read(13.9).zero_proven);
  world.Reports("p1", 14, 16, 0);
  CHECK(world.Read(15.5).stable == 0);
  CHECK(world.Read(15.5).zero_proven);
}

TEST_CASE("zero is not proven by a window that began before this process listened") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 9, 0);
  CHECK(world.Read(8.9).stable == 0);
  CHECK_FALSE(world.Read(8.9).zero_proven);
  world.Reports("p1", 9, 12, 0);
  CHECK_FALSE(world.Read(10.5).zero_proven);
  CHECK(world.Read(11.5).zero_proven);
}

TEST_CASE("a request too short for an average still counts against zero") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 20, 0);
  world.Report("p1", 20, {Stat(0, 1)});
  world.Reports("p1", 21, 29, 0);
  CHECK(world.Read(28.9).stable == 0);
  CHECK_FALSE(world.Read(28.9).zero_proven);
  world.Reports("p1", 29, 32, 0);
  CHECK_FALSE(world.Read(30.5).zero_proven);
  CHECK(world.Read(31.5).zero_proven);
}

TEST_CASE("a parked request is never zero") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 20, 0);
  world.Report("p1", 20, {Stat(0, 0, 1)});
  for (int s = 21; s < 40; ++s) world.Report("p1", s, {Stat(0, 0, 1)});
  CHECK_FALSE(world.Read(39.5).zero_proven);
  world.Reports("p1", 40, 51, 0);
  CHECK(world.Read(50.5).zero_proven);
}

TEST_CASE("a proxy that falls silent keeps its last value, and so the pods") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 10, 6);
  for (int s = 10; s < 60; s += 2) {
    const Demand demand = world.Read(s + 0.5);
    CHECK(demand.has_data);
    CHECK(demand.stable == Approx(6).margin(1.3));
    CHECK_FALSE(demand.zero_proven);
  }
  CHECK(world.Read(60.5).stable == 6);
  CHECK(world.store.counters().seconds_held > 40);

  // Forgotten after a minute: nothing is known any more, which is not zero either.
  CHECK_FALSE(world.Read(70.5).has_data);
  CHECK_FALSE(world.Read(90.5).zero_proven);
}

TEST_CASE("one silent proxy keeps the last pod, however idle the others are") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.store.Connect("p2", false, At(0));
  world.Reports("p2", 0, 5, 0);
  world.Reports("p1", 0, 40, 0);
  CHECK_FALSE(world.Read(39.5).zero_proven);
  world.Reports("p1", 40, 66, 0);
  world.store.Disconnect("p2", At(60));
  world.store.Sweep(At(65.5));
  CHECK(world.store.Senders(At(65.5)).size() == 1);
  CHECK(world.Read(65.5).zero_proven);
}

TEST_CASE("a gap in a proxy's reports begins the window of proof anew") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.Reports("p1", 0, 12, 0);
  CHECK(world.Read(11.5).zero_proven);
  world.Reports("p1", 17, 26, 0);
  CHECK_FALSE(world.Read(25.5).zero_proven);
  world.Reports("p1", 26, 29, 0);
  CHECK(world.Read(28.5).zero_proven);
}

TEST_CASE("a proxy that the cluster lists is live before it was ever heard") {
  World world;
  world.store.Connect("p1", false, At(0));
  world.store.SetListed({"p1", "p2"}, At(0));
  world.Reports("p1", 0, 20, 0);
  CHECK_FALSE(world.Read(19.5).zero_proven);
  world.store.SetListed({"p1"}, At(19.5));
  CHECK(world.Read(19.5).zero_proven);
}

TEST_CASE("an unlisted proxy is forgotten as soon as it is unheard") {
  World world;
  world.store.SetListed({"p1", "p2"}, At(0));
  world.store.Connect("p1", false, At(0));
  world.store.Connect("p2", false, At(0));
  world.Reports("p1", 0, 12, 1);
  world.Reports("p2", 0, 5, 9);
  world.store.SetListed({"p1"}, At(10));
  world.store.Disconnect("p2", At(10));
  world.store.Sweep(At(11.5));
  CHECK(world.store.Senders(At(11.5)).size() == 1);
  CHECK(world.Read(11.5).present == 1);
}

TEST_CASE("Knative's activator is silent when idle: zero while connected, held once it is gone") {
  World world;
  world.store.Connect("activator", true, At(0));
  world.Report("activator", 1, {Stat(4, 4)}, false);
  world.Report("activator", 2, {Stat(0, 0)}, false);
  CHECK_FALSE(world.Read(11.5).zero_proven);
  CHECK(world.Read(12.5).zero_proven);
  CHECK(world.Read(12.5).stable == 0);

  world.Report("activator", 20, {Stat(4, 4)}, false);
  world.store.Disconnect("activator", At(20.5));
  for (int s = 22; s < 60; s += 2) CHECK(world.Read(s + 0.5).stable >= 2);
  CHECK_FALSE(world.Read(60.5).zero_proven);
  CHECK_FALSE(world.Read(90).has_data);

  world.store.Connect("activator", true, At(90));
  CHECK(world.Read(91).has_data);
  CHECK_FALSE(world.Read(99).zero_proven);
  CHECK(world.Read(101).zero_proven);
}

TEST_CASE("stats for workloads that nobody declared are counted and dropped") {
  World world;
  world.store.Connect("p1", false, At(0));
  CHECK(world.Report("p1", 0, {Stat(1, 1, 0, {"ns", "other"})}) == 0);
  CHECK(world.store.counters().unknown_workload == 1);
  world.store.Remove(kFn);
  CHECK(world.Report("p1", 1, {Stat(1)}) == 0);
  CHECK_FALSE(world.Read(1).has_data);
}

TEST_CASE("the number of senders is bounded") {
  World world(10, {.senders_max = 2});
  CHECK(world.store.Connect("p1", false, At(0)));
  CHECK(world.store.Connect("p2", false, At(0)));
  CHECK_FALSE(world.store.Connect("p3", false, At(0)));
  CHECK(world.store.Connect("p2", false, At(0)));
  CHECK(world.store.counters().senders_refused == 1);
}

TEST_CASE("a report that is late by up to a second costs nothing of the average") {
  Random random(3);
  World world;
  world.store.Connect("p1", false, At(0));
  for (int s = 0; s < 200; ++s) {
    world.Report("p1", s + random.Unit() * 0.9, {Stat(10, 10)});
    if (s < 10) continue;
    const Demand demand = world.Read(s + 0.95);
    REQUIRE(demand.stable == Approx(10).margin(1.2));
  }
}

TEST_CASE("whatever senders do, the books stay right") {
  Random random(17);
  World world(6);
  double now = 0;
  for (int step = 0; step < 20'000; ++step) {
    now += random.Unit();
    const std::string proxy = "p" + std::to_string(random.Below(4));
    switch (random.Below(8)) {
      case 0:
        world.store.Connect(proxy, random.Below(5) == 0, At(now));
        break;
      case 1:
        world.store.Disconnect(proxy, At(now));
        break;
      case 2:
        world.store.SetListed({"p0", proxy}, At(now));
        break;
      case 3:
        world.store.Sweep(At(now));
        break;
      case 4:
        world.store.Declare(kFn, TestPolicy(6 + random.Below(3)), At(now));
        break;
      case 5:
        if (random.Below(10) == 0) world.store.Remove(kFn);
        break;
      default:
        world.Report(proxy, now, {Stat(random.Below(3), 1, random.Below(2))}, random.Below(3) > 0);
    }
    const Demand demand = world.Read(now);
    REQUIRE(demand.stable >= 0);
    REQUIRE((!demand.zero_proven || (demand.has_data && demand.parked == 0)));
  }
}

}  // namespace
}  // namespace rouse::autoscaler
