#include "proxy/model/endpoint_set.h"

#include <catch2/catch.hpp>

#include "proxy/model/local_ref.h"
#include "proxy/model/workload_policy.h"

namespace rouse::proxy {
namespace {

TEST_CASE("A set says what is wrong with it") {
  EndpointSet set;
  CHECK(FaultOf(set) != nullptr);
  set.workload = {"ns", "fn"};
  CHECK(FaultOf(set) == nullptr);
  Endpoint endpoint;
  endpoint.key = {"uid", 8080};
  endpoint.addresses = {"10.0.0.1"};
  set.endpoints = {endpoint};
  CHECK(FaultOf(set) == nullptr);
  set.endpoints.push_back(endpoint);
  CHECK(std::string(FaultOf(set)) == "two endpoints with the same key");
  set.endpoints[1].key.port = 8081;
  CHECK(FaultOf(set) == nullptr);
  set.endpoints[1].addresses.clear();
  CHECK(FaultOf(set) != nullptr);
  set.endpoints[1].addresses = {"a", "b", "c"};
  CHECK(FaultOf(set) != nullptr);
}

TEST_CASE("States have names") {
  CHECK(NameOf(EndpointState::kStarting) == "starting");
  CHECK(NameOf(EndpointState::kReady) == "ready");
  CHECK(NameOf(EndpointState::kDraining) == "draining");
}

TEST_CASE("A policy's defaults hold a request for a minute and limit nothing") {
  const WorkloadPolicy policy;
  CHECK(policy.concurrency_limit == 0);
  CHECK(policy.hold_timeout == std::chrono::seconds(60));
  CHECK(policy.request_timeout == Duration::zero());
  CHECK(policy.early_probe);
  WorkloadPolicy other;
  CHECK(other == policy);
  other.parked_max = 1;
  CHECK_FALSE(other == policy);
}

struct Counted : LocalCounted<Counted> {
  explicit Counted(int& alive) : alive_(alive) { ++alive_; }
  ~Counted() { --alive_; }
  int& alive_;
};

TEST_CASE("The last reference deletes") {
  int alive = 0;
  {
    LocalRef<Counted> first = MakeLocal<Counted>(alive);
    LocalRef<Counted> second = first;
    CHECK(first->references() == 2);
    LocalRef<Counted> third = std::move(first);
    CHECK_FALSE(first);
    third = second;
    CHECK(second->references() == 2);
    second.Reset();
    CHECK(alive == 1);
  }
  CHECK(alive == 0);
}

}  // namespace
}  // namespace rouse::proxy
