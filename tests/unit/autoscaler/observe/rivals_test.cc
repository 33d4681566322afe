#include "autoscaler/observe/rivals.h"

#include <catch2/catch.hpp>

#include "k8s/objects/horizontal_pod_autoscaler.h"

namespace rouse::autoscaler {
namespace {

const ObjectKey kFn{"ns", "fn"};

k8s::HorizontalPodAutoscaler Scaler(const std::string& name, const std::string& target,
                                    const std::string& kind = "Deployment",
                                    const std::string& ns = "ns") {
  const auto scaler = k8s::HorizontalPodAutoscaler::Decode(
      R"({"metadata":{"name":")" + name + R"(","namespace":")" + ns +
      R"("},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":")" + kind + R"(","name":")" +
      target + R"("}}})");
  REQUIRE(scaler.ok());
  return *scaler;
}

struct World {
  std::vector<std::string> told;
  Rivals rivals{[this](const ObjectKey& workload, const std::string& rival) {
    told.push_back(workload.text() + ":" + rival);
  }};
};

TEST_CASE("a scaler is the rival of the workload on its target, whichever is seen first") {
  World world;
  world.rivals.OnUpsert(Scaler("other", "unrelated"));
  world.rivals.OnUpsert(Scaler("elsewhere", "fn", "Deployment", "other"));
  world.rivals.OnUpsert(Scaler("set", "fn", "StatefulSet"));
  world.rivals.Declare(kFn, {.name = "fn"});
  CHECK(world.told.empty());
  world.rivals.OnUpsert(Scaler("hpa", "fn"));
  world.rivals.OnUpsert(Scaler("hpa", "fn"));
  CHECK(world.told == std::vector<std::string>{"ns/fn:hpa"});
  world.rivals.Declare({"ns", "late"}, {.resource = "statefulsets", .name = "fn"});
  CHECK(world.told.back() == "ns/late:set");
  CHECK(world.rivals.found().size() == 2);
}

TEST_CASE("a rival that goes, or turns to another target, leaves the workload to us") {
  World world;
  world.rivals.Declare(kFn, {.name = "fn"});
  world.rivals.OnUpsert(Scaler("a", "fn"));
  world.rivals.OnUpsert(Scaler("b", "fn"));
  world.rivals.OnDelete({"ns", "a"}, "");
  world.rivals.OnUpsert(Scaler("b", "else"));
  CHECK(world.told == std::vector<std::string>{"ns/fn:a", "ns/fn:b", "ns/fn:"});
  CHECK(world.rivals.found().empty());
  world.rivals.Remove(kFn);
  world.rivals.OnUpsert(Scaler("b", "fn"));
  CHECK(world.told.size() == 3);
}

TEST_CASE("the resource of a kind is guessed as kubectl guesses it") {
  CHECK(k8s::GuessResource("Deployment") == "deployments");
  CHECK(k8s::GuessResource("Proxy") == "proxies");
  CHECK(k8s::GuessResource("Ingress") == "ingresses");
  CHECK(k8s::GuessResource("").empty());
}

}  // namespace
}  // namespace rouse::autoscaler
