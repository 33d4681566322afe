// What the warm path pays for a slot, for being counted as demand, and for a route.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "proxy/admission/admission.h"

namespace rouse::proxy {
namespace {

SnapshotPtr WithEndpoints(int count, uint32_t limit) {
  auto set = std::make_shared<EndpointSet>();
  set->workload = {"bench", "fn"};
  set->policy.concurrency_limit = limit;
  for (int i = 0; i < count; ++i) {
    Endpoint endpoint;
    endpoint.key = {"pod-" + std::to_string(i), 8080};
    endpoint.addresses = {"10.0.0.1"};
    set->endpoints.push_back(std::move(endpoint));
  }
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->workloads = {set};
  return snapshot;
}

TEST_CASE("TryAcquire and Release") {
  const SteadyClock clock;
  for (const uint32_t limit : {0u, 1u, 10u}) {
    net::Shard shard(0, clock, 1, {});
    ParkedTotals totals;
    ShardStats stats;
    Admission admission(shard, {}, totals, stats, {});
    admission.Adopt(WithEndpoints(8, limit));
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

TEST_CASE("RouteTable::Match") {
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
