#include "autoscaler/observe/policy_source.h"

#include <catch2/catch.hpp>

#include "autoscaler/model/workload_spec.h"
#include "tests/support/control/sim_clock.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::seconds;

using Annotations = std::map<std::string, std::string>;

k8s::Service Service(const std::string& name, Annotations annotations = {}, int created = 0) {
  k8s::Service service;
  service.meta.name = name;
  service.meta.ns = "ns";
  service.meta.annotations = std::move(annotations);
  service.meta.creation_time = WallTime(seconds(created));
  return service;
}

struct World {
  SimClock clock;
  obs::Log log{clock, {.sink = [](std::string_view) {}}};
  std::vector<WorkloadSpec> told;
  std::vector<std::string> gone;
  std::vector<std::string> invalid;
  bool synced = false;
  PolicySource source{
      {},
      log,
      {.on_workload = [this](WorkloadSpec spec) { told.push_back(std::move(spec)); },
       .on_gone = [this](const ObjectKey& key) { gone.push_back(key.name); },
       .on_invalid = [this](const k8s::Service&,
                            const std::string& message) { invalid.push_back(message); },
       .on_synced = [this] { synced = true; }}};
};

TEST_CASE("a Service without annotations scales its Deployment by the program's defaults") {
  World world;
  world.source.OnUpsert(Service("fn"));
  REQUIRE(world.told.size() == 1);
  const WorkloadSpec& spec = world.told[0];
  CHECK(spec.key == ObjectKey{"ns", "fn"});
  CHECK(spec.target.text() == k8s::ScaleTarget{.name = "fn"}.text());
  CHECK(spec.policy == Policy{});
  CHECK_FALSE(spec.created);
  world.source.OnSynced();
  CHECK(world.synced);
  world.source.OnUpsert(Service("later"));
  CHECK(world.told.back().created);
}

TEST_CASE("annotations count before the program's defaults, in both spellings") {
  PolicyDefaults defaults;
  defaults.stable_window = seconds(30);
  defaults.target.concurrency_utilization = 0.5;
  const auto policy_of = [&](const Annotations& annotations) {
    return MakePolicy(k8s::ParsePolicy(annotations, {}).policy, annotations, defaults);
  };
  CHECK(policy_of({}).stable_window == seconds(30));
  CHECK(policy_of({}).target == Target{50, 100});

  const std::string p = "autoscaling.knative.dev/";
  CHECK(policy_of({{p + "window", "60s"}}).stable_window == seconds(60));
  CHECK(policy_of({{p + "target", "10"}, {p + "target-utilization-percentage", "70"}}).target ==
        Target{7, 10});
  const Policy policy = policy_of({{p + "metric", "rps"},
                                   {p + "minScale", "2"},
                                   {p + "max-scale", "9"},
                                   {p + "initial-scale", "3"},
                                   {p + "activation-scale", "4"},
                                   {p + "panic-window-percentage", "20"},
                                   {p + "panicThresholdPercentage", "150"},
                                   {p + "scale-down-delay", "15s"},
                                   {p + "scale-to-zero-pod-retention-period", "45s"},
                                   {p + "target-burst-capacity", "-1"}});
  CHECK(policy.metric == Metric::kRps);
  CHECK(policy.min_scale == 2);
  CHECK(policy.max_scale == 9);
  CHECK(policy.initial_scale == 3);
  CHECK(policy.activation_scale == 4);
  CHECK(policy.panic_window_share == 0.2);
  CHECK(policy.panic_threshold == 1.5);
  CHECK(policy.scale_down_delay == seconds(15));
  CHECK(policy.zero_retention == seconds(45));
  CHECK(policy.burst_capacity == -1);
  CHECK(policy_of({{"rouse.dev/concurrency-limit", "4"}}).target == Target{2, 4});
}

TEST_CASE("an invalid value keeps the last valid one and is told once") {
  const std::string max = "autoscaling.knative.dev/max-scale";
  World world;
  world.source.OnUpsert(Service("fn", {{max, "5"}}));
  world.source.OnUpsert(Service("fn", {{max, "many"}}));
  world.source.OnUpsert(Service("fn", {{max, "many"}}));
  CHECK(world.told.back().policy.max_scale == 5);
  REQUIRE(world.invalid.size() == 1);
  CHECK(world.invalid[0].find(max) != std::string::npos);
  CHECK(world.source.counters().invalid == 1);
  world.source.OnUpsert(Service("fn", {{max, "more"}}));
  CHECK(world.invalid.size() == 2);
}

TEST_CASE("Services on one target are one workload under the oldest") {
  const std::string target = "rouse.dev/scale-target";
  World world;
  world.source.OnUpsert(Service("young", {{target, "deployment/fn"}}, 20));
  CHECK(world.told.back().key.name == "young");
  world.source.OnUpsert(Service("fn", {}, 10));
  CHECK(world.gone == std::vector<std::string>{"young"});
  CHECK(world.told.back().key.name == "fn");
  CHECK(world.told.back().sharers == std::vector<ObjectKey>{{"ns", "young"}});
  world.source.OnDelete({"ns", "fn"}, "");
  CHECK(world.gone.back() == "fn");
  CHECK(world.told.back().key.name == "young");
  CHECK(world.told.back().sharers.empty());
}

TEST_CASE("a Service that changes its target leaves the old one") {
  World world;
  world.source.OnUpsert(Service("fn"));
  world.source.OnUpsert(Service("fn", {{"rouse.dev/scale-target", "statefulset/db"}}));
  CHECK(world.gone == std::vector<std::string>{"fn"});
  CHECK(world.told.back().target.resource == "statefulsets");
  world.source.OnDelete({"ns", "fn"}, "");
  CHECK(world.gone.size() == 2);
  world.source.OnDelete({"ns", "fn"}, "");
  CHECK(world.gone.size() == 2);
}

}  // namespace
}  // namespace rouse::autoscaler
