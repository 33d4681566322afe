// Whole replicas of rouse-autoscaler on simulated time.
#include <algorithm>
#include <cmath>

#include <catch2/catch.hpp>

#include "tests/sim/autoscaler_world.h"

namespace rouse::autoscaler::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

size_t Raised(const SimApi& api) {
  size_t raised = 0;
  for (const auto& write : api.writes) raised += write.from == 0;
  return raised;
}

TEST_CASE("one replica: asleep, woken in milliseconds, scaled, asleep again") {
  AutoscalerWorld world(1);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(20));
  REQUIRE(world.running["a"]->app.ready());
  REQUIRE(world.Leaders() == std::vector<std::string>{"a"});

  const TimePoint asked = world.clock.now();
  const int reads = world.api.scale_reads;
  proxy.Wake("fn");
  world.Run(milliseconds(50));
  REQUIRE(world.count("fn") == 1);
  CHECK(world.api.writes.back().at - asked < milliseconds(10));
  CHECK(world.api.scale_reads == reads);

  proxy.demand["fn"] = 45;
  world.Run(seconds(20));
  CHECK(world.count("fn") == 7);  // 45 / (10 x 0.7), rounded up
  proxy.demand["fn"] = 0;
  world.Run(seconds(9), [&] { REQUIRE(world.count("fn") > 0); });
  world.Run(seconds(40));
  CHECK(world.count("fn") == 0);
}

TEST_CASE("three replicas see every wake; exactly one writes it") {
  AutoscalerWorld world(3);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(20));
  REQUIRE(world.Leaders().size() == 1);
  for (int round = 0; round < 30; ++round) {
    world.api.writes.clear();
    proxy.Wake("fn");
    world.Run(seconds(2));
    REQUIRE(Raised(world.api) == 1);
    REQUIRE(world.count("fn") == 1);
    proxy.demand["fn"] = 0;
    world.Run(seconds(25 + static_cast<int>(world.random.Below(5))));
    REQUIRE(world.count("fn") == 0);
  }
}

TEST_CASE("the leader dies: standbys wake at once, the next leader lowers after its lease") {
  AutoscalerWorld world(3);
  for (const char* name : {"busy", "asleep"}) world.AddWorkload(name);
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  proxy.Wake("busy");
  proxy.demand["busy"] = 30;
  world.Run(seconds(30));
  CHECK(world.count("busy") == 5);
  const std::string leader = world.Leaders().at(0);

  world.KillReplica(leader);
  world.api.writes.clear();
  proxy.Wake("asleep");
  world.Run(milliseconds(50));
  CHECK(world.count("asleep") == 1);

  proxy.demand["asleep"] = 0;
  const TimePoint died = world.clock.now();
  TimePoint taken = kNever;
  world.Run(seconds(60), [&] {
    REQUIRE(world.count("busy") == 5);
    REQUIRE(world.Leaders().size() <= 1);
    if (taken == kNever && !world.Leaders().empty()) taken = world.clock.now();
  });
  CHECK(taken - died < seconds(22));
  CHECK(world.count("asleep") == 0);
  for (const auto& write : world.api.writes) CHECK(write.target == "asleep");
}

TEST_CASE("a leader that is cut off from the API stops acting before another begins") {
  AutoscalerWorld world(2);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  proxy.Wake("fn");
  proxy.demand["fn"] = 30;
  world.Run(seconds(30));
  const std::string first = world.Leaders().at(0);
  control::SimLink lost;
  lost.black_hole = true;
  world.network.SetLink("api-" + first + ":443", lost);
  proxy.demand["fn"] = 60;
  world.Run(seconds(60), [&] { REQUIRE(world.Leaders().size() <= 1); });
  REQUIRE(world.Leaders().size() == 1);
  CHECK(world.Leaders()[0] != first);
  CHECK(world.count("fn") == 9);
  world.network.SetLink("api-" + first + ":443", {});
  world.Run(seconds(60), [&] { REQUIRE(world.Leaders().size() == 1); });
  CHECK(world.count("fn") == 9);
}

TEST_CASE("a proxy that falls silent keeps its pods, until it is forgotten and another says zero") {
  AutoscalerWorld world(1);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& busy = world.AddProxy("p1");
  world.AddProxy("p2");
  world.Run(seconds(15));
  busy.Wake("fn");
  busy.demand["fn"] = 20;
  world.Run(seconds(20));
  CHECK(world.count("fn") == 3);
  busy.silent = true;
  world.Run(seconds(55), [&] { REQUIRE(world.count("fn") >= 2); });
  world.Run(seconds(60));
  CHECK(world.count("fn") == 0);
}

TEST_CASE("an API that takes two seconds for everything delays, and loses nothing") {
  AutoscalerWorld world(1);
  for (int i = 0; i < 20; ++i) world.AddWorkload("fn" + std::to_string(i));
  world.network.SetLink("api-a:443", {seconds(1), seconds(1), false, false});
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(40));
  for (int i = 0; i < 20; ++i) proxy.Wake("fn" + std::to_string(i));
  world.Run(seconds(8));
  for (int i = 0; i < 20; ++i) CHECK(world.count("fn" + std::to_string(i)) == 1);
  CHECK(Raised(world.api) == 20);
}

TEST_CASE("a storm of conflicts is ridden out") {
  AutoscalerWorld world(2);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(20));
  world.api.touch_before_patch_of = 6;
  proxy.Wake("fn");
  world.Run(seconds(3));
  CHECK(world.count("fn") == 1);
  CHECK(Raised(world.api) == 1);
  world.api.touch_before_patch_of = 5;
  proxy.demand["fn"] = 45;
  world.Run(seconds(20));
  CHECK(world.count("fn") == 7);
}

TEST_CASE("an autoscaler that starts into a running world lowers nothing before a whole window") {
  AutoscalerWorld world(1);
  world.AddWorkload("fn");
  world.api.SetScale("fn", 5);
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(5));
  proxy.demand["fn"] = 7;
  world.StartAll();
  world.Run(seconds(10), [&] { REQUIRE(world.count("fn") == 5); });
  world.Run(seconds(20));
  CHECK(world.count("fn") == 1);
}

TEST_CASE("going down gives the lease back, so that the next leader need not wait for it") {
  AutoscalerWorld world(2);
  world.AddWorkload("fn");
  world.StartAll();
  world.AddProxy("p");
  world.Run(seconds(20));
  const std::string first = world.Leaders().at(0);
  bool left = false;
  world.running[first]->app.Drain([&] { left = true; });
  world.Run(seconds(1));
  CHECK(left);
  world.KillReplica(first);
  world.Run(seconds(5));
  REQUIRE(world.Leaders().size() == 1);
}

TEST_CASE("the pages show what scales and why") {
  AutoscalerWorld world(1);
  world.AddWorkload("fn");
  world.StartAll();
  SimProxy& proxy = world.AddProxy("p");
  world.Run(seconds(15));
  proxy.Wake("fn");
  world.Run(seconds(3));
  const App& app = world.running["a"]->app;
  CHECK(app.WorkloadsJson().find(R"("workload":"ns/fn","target":"deployments/fn")") !=
        std::string::npos);
  CHECK(app.DecisionsJson("ns/fn").find(R"("reason":"from_zero")") != std::string::npos);
  CHECK(app.DecisionsJson("ns/other").find("from_zero") == std::string::npos);
  obs::MetricPage page;
  app.AddMetrics(page);
  const std::string text = page.Text();
  CHECK(text.find(R"(rouse_autoscaler_wanted_replicas{workload="ns/fn"} 1)") != std::string::npos);
  CHECK(text.find(R"(rouse_autoscaler_wakes_total{outcome="written"} 1)") != std::string::npos);
  CHECK(text.find("rouse_autoscaler_leading 1") != std::string::npos);
}

/// Random faults and random demand. Checked at each step: nobody but the leader does more than
/// raise from zero, and nothing goes to zero under demand that a proxy has reported and keeps
/// reporting.
struct Soak {
  explicit Soak(uint64_t seed) : world(3, seed) {
    for (int i = 0; i < 6; ++i) workloads.push_back("fn" + std::to_string(i));
    for (const std::string& name : workloads) world.AddWorkload(name);
    world.StartAll();
    world.AddProxy("p0");
    world.AddProxy("p1");
    world.Run(seconds(15));
    led = world.Leaders();
  }

  void Check() {
    std::vector<std::string> leaders = world.Leaders();
    REQUIRE(leaders.size() <= 1);
    led.insert(led.end(), leaders.begin(), leaders.end());
    for (const std::string& name : workloads) {
      if (Demand(name) == 0) demand_since.erase(name);
      if (Demand(name) > 0) demand_since.try_emplace(name, world.clock.now());
    }
    for (const SimApi::Write& write : world.api.writes) CheckWrite(write);
    world.api.writes.clear();
    led = std::move(leaders);
  }

  void CheckWrite(const SimApi::Write& write) const {
    INFO(write.by << " wrote " << write.target << ": " << write.from << " -> " << write.to);
    const bool leads = std::any_of(led.begin(), led.end(), [&](const std::string& name) {
      return write.by.find("api-" + name + ":") != std::string::npos;
    });
    REQUIRE((leads || write.from == 0));
    if (write.to > 0) return;
    // A write may cross the first report on its way; a wake follows it then.
    const auto since = demand_since.find(write.target);
    REQUIRE((since == demand_since.end() || write.at - since->second < seconds(1)));
  }

  double Demand(const std::string& name) {
    double total = 0;
    for (auto& proxy : world.proxies) total += proxy->demand[name];
    return total;
  }

  /// Something happens, for a while.
  void Round() {
    SimProxy& proxy = *world.proxies[world.random.Below(2)];
    const std::string& name = workloads[world.random.Below(workloads.size())];
    switch (world.random.Below(10)) {
      case 0:
        world.api.away = true;
        break;
      case 1:
        world.api.CutWatches();
        break;
      case 2:
        world.network.Cut("*");
        break;
      case 3:
        world.api.touch_before_patch_of = 3;
        break;
      case 4:
        world.KillReplica(world.names[world.random.Below(3)]);
        break;
      case 5:
        proxy.demand[name] = 0;
        break;
      default:
        if (world.pods[name].ready == 0) {
          proxy.Wake(name);
        } else {
          proxy.demand[name] = static_cast<double>(world.random.Below(60));
        }
    }
    Run(milliseconds(500 + static_cast<int>(world.random.Below(8000))));
    world.api.away = false;
    for (const std::string& replica : world.names) {
      if (!world.running.contains(replica)) world.StartReplica(replica);
    }
  }
  void Run(Duration time) {
    world.Run(time, [this] { Check(); });
  }

  AutoscalerWorld world;
  std::vector<std::string> workloads;
  std::map<std::string, TimePoint> demand_since;
  std::vector<std::string> led;  ///< who led at this step or the one before
};

TEST_CASE("under random faults no busy workload sleeps, and all is right in the end") {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    INFO("seed " << seed);
    Soak soak(seed);
    for (int round = 0; round < 120; ++round) soak.Round();
    soak.Run(seconds(60));
    for (const std::string& name : soak.workloads) {
      const int wanted = static_cast<int>(std::ceil(soak.Demand(name) / 7));
      INFO(name << " with demand " << soak.Demand(name));
      CHECK(soak.world.count(name) == wanted);
    }
    for (auto& proxy : soak.world.proxies) proxy->demand.clear();
    soak.world.Run(seconds(120));
    for (const std::string& name : soak.workloads) CHECK(soak.world.count(name) == 0);
  }
}

}  // namespace
}  // namespace rouse::autoscaler::sim
