#include "k8s/local/controllers.h"

#include "k8s/local/pod_facts.h"
#include "k8s/local/pod_replicas.h"
#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

/// Store and controllers, and a runner played by the test: it marks pods as running, ready, gone.
struct ClusterFixture : StoreFixture {
  Controllers controllers{store};
  int addresses = 0;

  ObjectRef Deploy(int replicas, std::string_view version = "1") {
    return Add(DeploymentKind(), DeploymentText(replicas, version));
  }
  static std::string DeploymentText(int replicas, std::string_view version) {
    return R"({"metadata":{"name":"web"},"spec":{"replicas":)" + std::to_string(replicas) +
           R"(,"selector":{"matchLabels":{"app":"web"}},
           "template":{"metadata":{"labels":{"app":"web"}},
           "spec":{"containers":[{"name":"c","image":")" +
           std::string(version) + R"(","ports":[{"name":"http","containerPort":8080}]}]}}}})";
  }
  std::vector<ObjectRef> Pods() { return store.List(PodKind(), "default"); }
  std::vector<ObjectRef> Active() {
    std::vector<ObjectRef> pods = Pods();
    std::erase_if(pods, [](const ObjectRef& pod) { return !IsActive(*pod); });
    return pods;
  }
  void Run(const ObjectRef& pod, bool ready = true) {
    ++addresses;
    REQUIRE(store
                .Write(PodKind(), pod->key, WritePart::kAll,
                       [&](Json& copy) -> ApiError {
                         Ensure(copy, {"spec", "nodeName"}) = "n";
                         Ensure(copy, {"metadata", "annotations", kPortAnnotation}) =
                             std::to_string(20000 + addresses);
                         Ensure(copy, {"status", "phase"}) = "Running";
                         Ensure(copy, {"status", "podIP"}) = "127.1.1." + std::to_string(addresses);
                         Ensure(copy, {"status", "conditions"}) =
                             boost::json::array{boost::json::object{
                                 {"type", "Ready"}, {"status", ready ? "True" : "False"}}};
                         return {};
                       })
                .ok());
    Settle();
  }
  void RunAll() {
    for (const ObjectRef& pod : Active()) {
      if (!IsReady(*pod->json)) Run(pod);
    }
  }
  /// Lets the pods that are leaving be gone, as their runner would.
  void BuryAll() {
    DeleteOptions now;
    now.grace_seconds = 0;
    for (const ObjectRef& pod : Pods()) {
      if (pod->deleting()) REQUIRE(store.Delete(PodKind(), pod->key, now).ok());
    }
    Settle();
  }
  int64_t Status(std::string_view field, const ResourceKind& kind = DeploymentKind()) {
    return NumberAt(*Get(kind, "web")->json, {"status", field}, 0);
  }
  std::vector<ObjectRef> Slices() { return store.List(EndpointSliceKind(), "default"); }
};

TEST_CASE("a Deployment gets its pods in the same moment") {
  ClusterFixture f;
  f.Deploy(2);
  f.Settle();
  REQUIRE(f.Pods().size() == 2);
  const ObjectRef pod = f.Pods()[0];
  CHECK(pod->key.name.starts_with("web-"));
  CHECK(pod->labels.at("app") == "web");
  CHECK(pod->labels.contains(std::string(kTemplateHashLabel)));
  CHECK(OwnerUid(*pod->json) == f.Get(DeploymentKind(), "web")->uid);
  CHECK(TextAt(*pod->json, {"status", "phase"}) == "Pending");
  CHECK(f.Status("replicas") == 2);
  CHECK(f.Status("updatedReplicas") == 2);
  CHECK(f.Status("readyReplicas") == 0);
  CHECK(f.Status("observedGeneration") == 1);
  f.RunAll();
  CHECK(f.Status("readyReplicas") == 2);
  CHECK(f.Status("availableReplicas") == 2);
  CHECK(f.clock.now() == SimClock().now());
}

TEST_CASE("a lower count removes pods that are not ready, then the newest") {
  ClusterFixture f;
  const ObjectRef web = f.Deploy(4);
  f.Settle();
  std::vector<ObjectRef> pods = f.Pods();
  std::sort(pods.begin(), pods.end(),
            [](const ObjectRef& a, const ObjectRef& b) { return a->created < b->created; });
  f.Run(pods[0]);
  f.Run(pods[1], false);
  f.Run(pods[2]);
  f.Run(pods[3]);
  REQUIRE(f.Set(web, {"spec", "replicas"}, 2).ok());
  f.Settle();
  const auto left = [&](const ObjectRef& pod) {
    return IsActive(*f.Get(PodKind(), pod->key.name));
  };
  CHECK(left(pods[0]));
  CHECK_FALSE(left(pods[1]));
  CHECK(left(pods[2]));
  CHECK_FALSE(left(pods[3]));
  CHECK(f.Status("replicas") == 2);
  CHECK(f.Status("observedGeneration") == 2);
}

TEST_CASE("a pod that goes is replaced, also while the old one is leaving") {
  ClusterFixture f;
  f.Deploy(1);
  f.Settle();
  f.RunAll();
  const ObjectRef old = f.Pods()[0];
  REQUIRE(f.store.Delete(PodKind(), old->key, {}).ok());
  f.Settle();
  REQUIRE(f.Active().size() == 1);
  CHECK(f.Active()[0]->uid != old->uid);
  f.BuryAll();
  CHECK(f.Pods().size() == 1);
}

TEST_CASE("a changed template rolls: one more at most, none ready goes before its replacement is") {
  ClusterFixture f;
  const ObjectRef web = f.Deploy(3);
  f.Settle();
  f.RunAll();
  REQUIRE(f.store
              .Write(DeploymentKind(), web->key, WritePart::kMain,
                     [&](Json& copy) -> ApiError {
                       copy = Parsed(ClusterFixture::DeploymentText(3, "2"));
                       return {};
                     })
              .ok());
  f.Settle();
  const auto image = [](const ObjectRef& pod) {
    return TextAt(ArrayAt(*pod->json, {"spec", "containers"})[0], {"image"});
  };
  for (int round = 0; round < 10; ++round) {
    int64_t ready = 0;
    for (const ObjectRef& pod : f.Active()) ready += IsReady(*pod->json) ? 1 : 0;
    CHECK(ready >= 3);
    CHECK(f.Active().size() <= 4);
    for (const ObjectRef& pod : f.Active()) {
      if (!IsReady(*pod->json)) {
        f.Run(pod);
        break;
      }
    }
    f.BuryAll();
  }
  REQUIRE(f.Pods().size() == 3);
  for (const ObjectRef& pod : f.Pods()) CHECK(image(pod) == "2");
  CHECK(f.Status("updatedReplicas") == 3);
}

TEST_CASE("a StatefulSet starts in order, by name, and shrinks from the top") {
  ClusterFixture f;
  std::string text = ClusterFixture::DeploymentText(2, "1");
  const ObjectRef set = f.Add(StatefulSetKind(), text);
  f.Settle();
  REQUIRE(f.Pods().size() == 1);
  CHECK(f.Pods()[0]->key.name == "web-0");
  f.RunAll();
  REQUIRE(f.Pods().size() == 2);
  CHECK(f.Pods()[1]->key.name == "web-1");
  f.RunAll();
  CHECK(f.Status("readyReplicas", StatefulSetKind()) == 2);
  REQUIRE(f.Set(set, {"spec", "replicas"}, 1).ok());
  f.Settle();
  f.BuryAll();
  REQUIRE(f.Pods().size() == 1);
  CHECK(f.Pods()[0]->key.name == "web-0");
}

TEST_CASE(
    "a changed StatefulSet replaces its pods one at a time, and a parallel one starts at once") {
  ClusterFixture f;
  const ObjectRef set = f.Add(StatefulSetKind(), ClusterFixture::DeploymentText(3, "1"));
  REQUIRE(f.Set(set, {"spec", "podManagementPolicy"}, "Parallel").ok());
  f.Settle();
  CHECK(f.Pods().size() == 3);
  f.RunAll();
  REQUIRE(f.store
              .Write(StatefulSetKind(), set->key, WritePart::kMain,
                     [&](Json& copy) -> ApiError {
                       copy = Parsed(ClusterFixture::DeploymentText(3, "2"));
                       return {};
                     })
              .ok());
  for (int round = 0; round < 6; ++round) {
    f.Settle();
    CHECK(f.Active().size() >= 2);
    f.BuryAll();
    f.RunAll();
  }
  CHECK(f.Status("updatedReplicas", StatefulSetKind()) == 3);
  CHECK(f.Pods().size() == 3);
}

constexpr const char* kServiceText = R"({"metadata":{"name":"web","labels":{"team":"a"}},
    "spec":{"selector":{"app":"web"},"ports":[{"name":"http","port":80,"targetPort":"http"}]}})";

TEST_CASE("a Service's slices show each pod at its own address and PORT") {
  ClusterFixture f;
  f.Add(ServiceKind(), kServiceText);
  f.Deploy(2);
  f.Settle();
  CHECK(f.Slices().empty());  // No address yet.
  f.Run(f.Pods()[0], false);
  REQUIRE(f.Slices().size() == 1);
  const ObjectRef slice = f.Slices()[0];
  CHECK(slice->labels.at("kubernetes.io/service-name") == "web");
  CHECK(slice->labels.at("team") == "a");
  const Json& endpoint = ArrayAt(*slice->json, {"endpoints"})[0];
  CHECK(TextAt(ArrayAt(endpoint, {"addresses"})[0], {}) == "127.1.1.1");
  CHECK_FALSE(FlagAt(endpoint, {"conditions", "ready"}, true));
  CHECK_FALSE(FlagAt(endpoint, {"conditions", "serving"}, true));
  CHECK(TextAt(endpoint, {"targetRef", "uid"}) == f.Pods()[0]->uid);
  CHECK(NumberAt(ArrayAt(*slice->json, {"ports"})[0], {"port"}) == 20001);
  CHECK(TextAt(ArrayAt(*slice->json, {"ports"})[0], {"name"}) == "http");
  f.Run(f.Pods()[1]);
  CHECK(f.Slices().size() == 2);  // Another PORT, another slice.
}

TEST_CASE("an endpoint that leaves is terminating, still serving, and then gone with its slice") {
  ClusterFixture f;
  f.Add(ServiceKind(), kServiceText);
  f.Deploy(1);
  f.Settle();
  f.RunAll();
  REQUIRE(f.store.Delete(DeploymentKind(), {"default", "web"}, {}).ok());
  f.Settle();
  REQUIRE(f.Slices().size() == 1);
  const Json& endpoint = ArrayAt(*f.Slices()[0]->json, {"endpoints"})[0];
  CHECK_FALSE(FlagAt(endpoint, {"conditions", "ready"}, true));
  CHECK(FlagAt(endpoint, {"conditions", "serving"}));
  CHECK(FlagAt(endpoint, {"conditions", "terminating"}));
  f.BuryAll();
  CHECK(f.Slices().empty());
}

TEST_CASE("slices follow the Service: its labels, its selector, its end") {
  ClusterFixture f;
  const ObjectRef service = f.Add(ServiceKind(), kServiceText);
  f.Deploy(1);
  f.Settle();
  f.RunAll();
  REQUIRE(f.Set(service, {"metadata", "labels", "rouse.dev/enabled"}, "true").ok());
  f.Settle();
  REQUIRE(f.Slices().size() == 1);
  CHECK(f.Slices()[0]->labels.at("rouse.dev/enabled") == "true");
  REQUIRE(f.Set(service, {"spec", "selector", "app"}, "nothing").ok());
  f.Settle();
  CHECK(f.Slices().empty());
  REQUIRE(f.Set(service, {"spec", "selector", "app"}, "web").ok());
  f.Settle();
  CHECK(f.Slices().size() == 1);
  REQUIRE(f.store.Delete(ServiceKind(), service->key, {}).ok());
  f.Settle();
  CHECK(f.Slices().empty());
}

TEST_CASE("a number as target port means the declared port, and so PORT") {
  ClusterFixture f;
  f.Add(ServiceKind(), R"({"metadata":{"name":"web"},"spec":{"selector":{"app":"web"},
      "ports":[{"name":"a","port":80,"targetPort":8080},{"name":"b","port":9,
      "targetPort":9090}]}})");
  f.Deploy(1);
  f.Settle();
  f.RunAll();
  REQUIRE(f.Slices().size() == 1);
  const JsonArray& ports = ArrayAt(*f.Slices()[0]->json, {"ports"});
  CHECK(NumberAt(ports[0], {"port"}) == 20001);
  CHECK(NumberAt(ports[1], {"port"}) == 9090);
}

TEST_CASE("what a deleted owner or namespace leaves behind goes") {
  ClusterFixture f;
  f.Deploy(2);
  f.Settle();
  REQUIRE(f.store.Delete(DeploymentKind(), {"default", "web"}, {}).ok());
  f.Settle();
  CHECK(f.Pods().empty());
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})", "other");
  REQUIRE(f.store.Delete(NamespaceKind(), {"", "other"}, {}).ok());
  f.Settle();
  CHECK(f.Get(ConfigMapKind(), "a", "other") == nullptr);
}

TEST_CASE("controllers come to rest: no version moves without a cause") {
  ClusterFixture f;
  f.Add(ServiceKind(), kServiceText);
  f.Deploy(3);
  f.Settle();
  f.RunAll();
  const uint64_t version = f.store.version();
  f.loop.RunFor(std::chrono::minutes(10));
  CHECK(f.store.version() == version);
  CHECK(f.loop.next_due() == kNever);
}

}  // namespace
}  // namespace rouse::k8s::local
