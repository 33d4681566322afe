#include "autoscaler/observe/cluster_view.h"

#include <catch2/catch.hpp>

namespace rouse::autoscaler {
namespace {

const ObjectKey kFn{"ns", "fn"};

k8s::SliceEndpoint Pod(const std::string& name, bool ready = true, bool terminating = false) {
  k8s::SliceEndpoint endpoint;
  endpoint.addresses = {"10.0.0." + name};
  endpoint.ready = ready;
  endpoint.terminating = terminating;
  endpoint.target = {"Pod", "ns", "fn-" + name, "uid-" + name};
  return endpoint;
}

k8s::EndpointSlice Slice(const std::string& name, std::vector<k8s::SliceEndpoint> endpoints,
                         const std::string& service = "fn") {
  k8s::EndpointSlice slice;
  slice.meta.name = name;
  slice.meta.ns = "ns";
  if (!service.empty()) slice.meta.labels[k8s::kServiceNameLabel] = service;
  slice.endpoints = std::move(endpoints);
  return slice;
}

struct World {
  int changes = 0;
  int syncs = 0;
  ClusterView view{[this](const ObjectKey&) { ++changes; }, [this] { ++syncs; }};
};

TEST_CASE("a Service's ready pods are counted over all of its slices, each once") {
  World world;
  world.view.OnUpsert(Slice("s1", {Pod("1"), Pod("2"), Pod("3", false)}));
  CHECK(world.view.ReadyOf(kFn) == 2);
  // While a pod moves, both slices hold it.
  world.view.OnUpsert(Slice("s2", {Pod("2"), Pod("4"), Pod("5", true, true)}));
  CHECK(world.view.ReadyOf(kFn) == 3);
  CHECK(world.view.PodsOf(kFn) == std::vector<std::string>{"fn-1", "fn-2", "fn-3", "fn-4", "fn-5"});
  world.view.OnDelete({"ns", "s1"}, "");
  CHECK(world.view.ReadyOf(kFn) == 2);
  world.view.OnDelete({"ns", "s2"}, "");
  CHECK(world.view.ReadyOf(kFn) == 0);
  CHECK(world.changes == 4);
}

TEST_CASE("only what changes is told") {
  World world;
  world.view.OnUpsert(Slice("s1", {Pod("1")}));
  world.view.OnUpsert(Slice("s1", {Pod("1")}));
  CHECK(world.changes == 1);
  world.view.OnUpsert(Slice("s1", {Pod("1", false)}));
  CHECK(world.changes == 2);
  world.view.OnDelete({"ns", "unknown"}, "");
  CHECK(world.changes == 2);
  world.view.OnSynced();
  CHECK(world.syncs == 1);
}

TEST_CASE("endpoints without a pod count by address, empty ones not at all") {
  World world;
  k8s::SliceEndpoint bare;
  bare.addresses = {"192.0.2.1"};
  world.view.OnUpsert(Slice("s1", {bare, bare, {}}));
  CHECK(world.view.ReadyOf(kFn) == 1);
  CHECK(world.view.PodsOf(kFn).empty());
}

TEST_CASE("a slice that changes or loses its Service leaves the old one") {
  World world;
  world.view.OnUpsert(Slice("s1", {Pod("1")}));
  world.view.OnUpsert(Slice("s1", {Pod("1")}, "other"));
  CHECK(world.view.ReadyOf(kFn) == 0);
  CHECK(world.view.ReadyOf({"ns", "other"}) == 1);
  world.view.OnUpsert(Slice("s1", {Pod("1")}, ""));
  CHECK(world.view.ReadyOf({"ns", "other"}) == 0);
}

}  // namespace
}  // namespace rouse::autoscaler
