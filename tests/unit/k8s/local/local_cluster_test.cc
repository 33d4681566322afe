#include "k8s/local/local_cluster.h"

#include "k8s/kubeconfig.h"
#include "k8s/local/kind_feed.h"
#include "k8s/local/pod_facts.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_network.h"
#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

/// Pods that become ready a while after they were made, and go at once: a runner for simulations.
class SimRunner : public PodRunner {
 public:
  SimRunner(ObjectStore& store, Duration start) : store_(store), start_(start) {}
  void Start() override {
    feed_ = std::make_unique<KindFeed>(store_, PodKind(), [this](const Change& change) {
      const ObjectKey key = change.object->key;
      if (change.kind == Change::Kind::kAdded) {
        store_.loop().At(Later(store_.loop().now(), start_), [this, key] { MakeReady(key); });
      } else if (change.kind == Change::Kind::kModified && change.object->deleting()) {
        DeleteOptions now;
        now.grace_seconds = 0;
        (void)store_.Delete(PodKind(), key, now).ok();
      }
    });
  }
  void Stop(Duration, absl::AnyInvocable<void()> done) override { done(); }
  ApiResult<std::string> LogPath(const ObjectKey& pod, bool) override {
    return NotFound(PodKind(), pod.name);
  }
  bool LogOpen(const ObjectKey&) override { return false; }

 private:
  void MakeReady(const ObjectKey& key) {
    const auto edit = [this](Json& pod) -> ApiError {
      Ensure(pod, {"spec", "nodeName"}) = "sim";
      Ensure(pod, {"status", "podIP"}) = "10.0.0." + std::to_string(++pods_);
      Ensure(pod, {"status", "conditions"}) =
          boost::json::array{boost::json::object{{"type", "Ready"}, {"status", "True"}}};
      return {};
    };
    (void)store_.Write(PodKind(), key, WritePart::kAll, edit).ok();
  }
  ObjectStore& store_;
  Duration start_;
  int pods_ = 0;
  std::unique_ptr<KindFeed> feed_;
};

constexpr const char* kWeb = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
)";

struct SimCluster {
  SimClock clock;
  std::vector<std::string> lines;
  obs::Log log{clock, {.sink = [this](std::string_view line) { lines.emplace_back(line); }}};
  control::SimNetwork network{clock, 11};
  std::unique_ptr<LocalCluster> cluster;

  SimCluster() {
    LocalClusterOptions options;
    options.make_runner = [](ObjectStore& store) {
      return std::make_unique<SimRunner>(store, std::chrono::milliseconds(80));
    };
    cluster = std::make_unique<LocalCluster>(network, log, std::move(options));
    REQUIRE(cluster->Start().ok());
    REQUIRE(cluster->Apply(kWeb).ok());
  }
  size_t ReadyEndpoints() {
    size_t ready = 0;
    for (const ObjectRef& slice : cluster->store().List(EndpointSliceKind(), "default")) {
      for (const Json& endpoint : ArrayAt(*slice->json, {"endpoints"})) {
        ready += FlagAt(endpoint, {"conditions", "ready"}) ? 1 : 0;
      }
    }
    return ready;
  }
};

TEST_CASE("a cluster runs on simulated time, with a runner of the test's own") {
  SimCluster sim;
  const auto client = sim.network.NewClient({"127.0.0.1", sim.cluster->port(), std::nullopt});
  control::Recorder recorder;
  control::HttpRequest request;
  request.method = "PATCH";
  request.target = "/apis/apps/v1/namespaces/default/deployments/web/scale";
  request.headers = {{"Content-Type", "application/merge-patch+json"}};
  request.body = R"({"spec":{"replicas":2}})";
  const auto call = client->Start(std::move(request), recorder.Handlers());
  sim.network.RunUntilIdle();
  CHECK(recorder.status == 200);
  CHECK(sim.cluster->store().List(PodKind(), "default").size() == 2);
  sim.network.RunFor(std::chrono::milliseconds(79));
  CHECK(sim.ReadyEndpoints() == 0);
  sim.network.RunFor(std::chrono::milliseconds(2));
  CHECK(sim.ReadyEndpoints() == 2);
  REQUIRE(sim.cluster->store().Delete(DeploymentKind(), {"default", "web"}, {}).ok());
  sim.network.RunFor(std::chrono::milliseconds(1));
  CHECK(sim.ReadyEndpoints() == 0);
  CHECK(sim.cluster->store().List(PodKind(), "default").empty());
}

TEST_CASE("a manifest that cannot be applied says why") {
  SimCluster sim;
  const auto why = [&](const char* text) {
    return std::string(sim.cluster->Apply(text).message());
  };
  CHECK(why("{kind: Rocket, apiVersion: x/v1}") == "unknown kind Rocket");
  CHECK(why("a: [").find("line") == 0);
  CHECK(why("{kind: Service, apiVersion: v1, metadata: {name: s}, spec: {}}")
            .find("spec.ports: Required value") != std::string::npos);
}

TEST_CASE("the kubeconfig is one that clients read") {
  const FileReader read = [](const std::string&) -> absl::StatusOr<std::string> {
    return KubeconfigText("https://127.0.0.1:6443", "sesame", "PEM");
  };
  const absl::StatusOr<ClusterAccess> access = KubeconfigAccess({"file"}, "", read);
  REQUIRE(access.ok());
  CHECK(access->origin.host == "127.0.0.1");
  CHECK(access->origin.port == 6443);
  CHECK(access->token == "sesame");
  REQUIRE(access->origin.tls.has_value());
  CHECK(access->origin.tls->ca_pem == "PEM");
  CHECK(access->ns == "default");
}

}  // namespace
}  // namespace rouse::k8s::local
