// What the warm path pays for a slot, and a route.

#include <string>

#include <catch2/catch.hpp>

#include "proxy/admission/admission.h"
#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using testing::AdmissionWorld;

TEST_CASE("TryAcquire and Release", "[bench]") {
  for (const uint32_t limit : {0u, 1u, 10u}) {
    AdmissionWorld world({.seed = 1, .shards = 1});
    world.Edit(0)->policy.concurrency_limit = limit;
    for (int i = 0; i < 8; ++i) world.AddEndpoint(0, EndpointState::kReady);
    world.Publish();
    world.shards().RunUntilIdle();
    Admission& admission = world.admission(0);
    Workload& workload = *admission.WorkloadAt(0);
    BENCHMARK("slot, limit " + std::to_string(limit)) {
      const Slot slot = admission.TryAcquire(workload);
      return static_cast<bool>(slot);
    };
    BENCHMARK("demand entry, limit " + std::to_string(limit)) {
      const DemandEntry entry{WorkloadRef(&workload)};
      return workload.in_flight();
    };
  }
}

TEST_CASE("RouteTable::Match", "[bench]") {
  for (const uint32_t count : {10u, 10'000u}) {
    std::vector<Route> routes;
    for (uint32_t i = 0; i < count; ++i) {
      routes.push_back({"fn-" + std::to_string(i) + ".example.com", "/", i});
    }
    const RouteTable table(std::move(routes));
    BENCHMARK("match, routes " + std::to_string(count)) {
      return table.Match("fn-7.example.com", "/some/path?query=1");
    };
  }
}

}  // namespace
}  // namespace rouse::proxy
