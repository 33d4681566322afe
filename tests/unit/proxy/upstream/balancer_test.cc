#include "proxy/upstream/balancer.h"

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "proxy/upstream/local_endpoint.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kNow = TimePoint(std::chrono::hours(1));

/// Some endpoints of a workload with a limit.
class Rig {
 public:
  Rig(size_t count, uint32_t limit) : limit_(limit) {
    auto set = std::make_shared<EndpointSet>();
    for (size_t i = 0; i < count; ++i) {
      Endpoint spec;
      spec.key = {"pod-" + std::to_string(i), 80};
      set->endpoints.push_back(std::move(spec));
    }
    for (const Endpoint& spec : set->endpoints) {
      EndpointRef endpoint = MakeLocal<LocalEndpoint>();
      endpoint->spec = &spec;
      endpoint->set = set;
      endpoint->shared = std::make_shared<EndpointSlots>();
      endpoint->counted = limit != 0;
      endpoints.push_back(std::move(endpoint));
    }
    Set();
  }
  void Set() {
    std::vector<LocalEndpoint*> ready;
    for (const EndpointRef& endpoint : endpoints) ready.push_back(endpoint.get());
    balancer.Set(std::move(ready), limit_);
  }
  LocalEndpoint* Take(const LocalEndpoint* avoid = nullptr, TimePoint now = kNow) {
    return balancer.Take(avoid, now, random);
  }

  std::vector<EndpointRef> endpoints;
  Balancer balancer;
  Random random{7};

 private:
  uint32_t limit_;
};

TEST_CASE("Without endpoints there is nothing to take") {
  Rig rig(0, 0);
  CHECK(rig.Take() == nullptr);
  CHECK(rig.balancer.empty());
}

TEST_CASE("Without a limit two random choices keep the load even") {
  Rig rig(10, 0);
  for (int i = 0; i < 1000; ++i) REQUIRE(rig.Take() != nullptr);
  for (const EndpointRef& endpoint : rig.endpoints) {
    CHECK(endpoint->in_flight >= 97);
    CHECK(endpoint->in_flight <= 103);
  }
}

TEST_CASE("Small limits fill the first endpoint before the next") {
  Rig rig(3, 2);
  for (const size_t expected : {0, 0, 1, 1, 2, 2})
    CHECK(rig.Take() == rig.endpoints[expected].get());
  CHECK(rig.Take() == nullptr);
  Balancer::Release(*rig.endpoints[1]);
  CHECK(rig.Take() == rig.endpoints[1].get());
}

TEST_CASE("Every slot of a larger limit can be taken, and no more") {
  Rig rig(4, 10);
  for (int i = 0; i < 40; ++i) REQUIRE(rig.Take() != nullptr);
  CHECK(rig.Take() == nullptr);
  for (const EndpointRef& endpoint : rig.endpoints) CHECK(endpoint->shared->in_flight() == 10);
}

TEST_CASE("What other shards have in flight counts against the limit") {
  Rig rig(1, 2);
  rig.endpoints[0]->shared->Add(1);
  CHECK(rig.Take() != nullptr);
  CHECK(rig.Take() == nullptr);
  CHECK(rig.endpoints[0]->in_flight == 1);
}

TEST_CASE("A retry goes elsewhere where there is an elsewhere") {
  for (const uint32_t limit : {0u, 1u, 10u}) {
    INFO("limit " << limit);
    Rig two(2, limit);
    for (int i = 0; i < 20; ++i) {
      LocalEndpoint* taken = two.Take(two.endpoints[0].get());
      REQUIRE(taken == two.endpoints[1].get());
      Balancer::Release(*taken);
    }
    Rig one(1, limit);
    CHECK(one.Take(one.endpoints[0].get()) == one.endpoints[0].get());
  }
  // Elsewhere is full: the retry waits rather than going back.
  Rig full(2, 1);
  full.endpoints[1]->shared->Add(1);
  CHECK(full.Take(full.endpoints[0].get()) == nullptr);
}

TEST_CASE("A refusing endpoint is out for one second, doubling to thirty") {
  Rig rig(2, 0);
  LocalEndpoint& bad = *rig.endpoints[0];
  TimePoint now = kNow;
  for (const int expected : {1, 2, 4, 8, 16, 30, 30, 30}) {
    rig.balancer.ConnectFailed(bad, now);
    CHECK(bad.ejected_until - now == seconds(expected));
    CHECK(rig.balancer.NextReturn(now) == bad.ejected_until);
    for (int i = 0; i < 10; ++i) CHECK(rig.Take(nullptr, now) == rig.endpoints[1].get());
    now = bad.ejected_until;
    CHECK_FALSE(rig.balancer.ejected(bad, now));
  }
  CHECK(rig.balancer.NextReturn(now) == kNever);
  Balancer::Connected(bad);
  rig.balancer.ConnectFailed(bad, now);
  CHECK(bad.ejected_until - now == seconds(1));
}

TEST_CASE("Where all are ejected, all are used") {
  for (const uint32_t limit : {0u, 2u, 10u}) {
    INFO("limit " << limit);
    Rig rig(3, limit);
    for (const EndpointRef& endpoint : rig.endpoints) rig.balancer.ConnectFailed(*endpoint, kNow);
    CHECK(rig.Take() != nullptr);
    Rig alone(1, limit);
    alone.balancer.ConnectFailed(*alone.endpoints[0], kNow);
    CHECK(alone.Take() == alone.endpoints[0].get());
  }
}

TEST_CASE("An ejection outlives the snapshot") {
  Rig rig(2, 0);
  rig.balancer.ConnectFailed(*rig.endpoints[0], kNow);
  rig.Set();
  for (int i = 0; i < 20; ++i) CHECK(rig.Take() == rig.endpoints[1].get());
}

}  // namespace
}  // namespace rouse::proxy
