#include "k8s/local/process_runner.h"

#include <random>

#include "k8s/local/local_cluster.h"
#include "k8s/local/pod_facts.h"
#include "tests/unit/k8s/local/process_fixture.h"
#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

/// A web server in a line of Python that answers 200 on /, listens on $PORT and drains on SIGTERM.
constexpr const char* kServer =
    "import http.server,os;http.server.HTTPServer((os.environ['POD_IP'],int(os.environ['PORT'])),"
    "http.server.SimpleHTTPRequestHandler).serve_forever()";

struct RunnerFixture : ProcessFixture {
  std::unique_ptr<LocalCluster> cluster;

  RunnerFixture() {
    LocalClusterOptions options;
    options.seed = 4711;
    options.make_runner = [this](ObjectStore& store) {
      return std::make_unique<ProcessRunner>(*network, store, children, folder + "/logs",
                                             std::random_device{}());
    };
    cluster = std::make_unique<LocalCluster>(*network, log, std::move(options));
    REQUIRE(cluster->Start().ok());
  }
  ObjectStore& store() { return cluster->store(); }

  /// A pod of one container with this command and these other members (`"k":v,...`).
  void Run(const std::string& name, const std::vector<std::string>& command,
           const std::string& container = "", const std::string& spec = "",
           const std::string& metadata = "") {
    Json words = boost::json::value_from(command);
    const std::string text =
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + "\"" + metadata +
        R"(},"spec":{"terminationGracePeriodSeconds":5,"containers":[{"name":"c","image":"i",
        "command":)" +
        JsonText(words) + (container.empty() ? "" : "," + container) + "}]" +
        (spec.empty() ? "" : "," + spec) + "}}";
    const absl::Status status = cluster->Apply(text);
    INFO(status);
    REQUIRE(status.ok());
  }
  ObjectRef Pod(const std::string& name) { return store().Get(PodKind(), {"default", name}); }
  std::string Field(const std::string& name, JsonPath path) {
    const ObjectRef pod = Pod(name);
    return pod == nullptr ? "" : TextAt(*pod->json, path);
  }
  Json Container(const std::string& name) {
    const ObjectRef pod = Pod(name);
    if (pod == nullptr) return boost::json::object();
    const JsonArray& all = ArrayAt(*pod->json, {"status", "containerStatuses"});
    return all.empty() ? Json(boost::json::object()) : all[0];
  }
  bool UntilReady(const std::string& name) {
    return Until([&] { return Pod(name) != nullptr && IsReady(*Pod(name)->json); });
  }
  bool UntilGone(const std::string& name) {
    return Until([&] { return Pod(name) == nullptr; });
  }
  bool UntilEvent(const std::string& reason, const std::string& part) {
    return Until([&] {
      for (const ObjectRef& event : store().List(EventKind(), "default")) {
        if (TextAt(*event->json, {"reason"}) == reason &&
            TextAt(*event->json, {"message"}).find(part) != std::string::npos) {
          return true;
        }
      }
      return false;
    });
  }
  std::string Log(const std::string& name, bool previous = false) {
    const ApiResult<std::string> path = cluster->runner()->LogPath({"default", name}, previous);
    return path.ok() ? Read(*path) : "";
  }
  bool UntilLog(const std::string& name, const std::string& text) {
    return Until([&] { return Log(name) == text; });
  }
};

const std::vector<std::string> kSleep{"sleep", "1000"};

TEST_CASE("a pod runs with an address, a PORT and what its environment asks for") {
  RunnerFixture f;
  REQUIRE(f.cluster
              ->Apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {k: from-map}}")
              .ok());
  f.Run("p",
        {"sh", "-c", "echo $POD_IP $PORT $A $B $C $HOSTNAME \"$1\"; exec sleep 1000", "x",
         "$(C)-$$(C)"},
        R"("env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.namespace"}}},
                  {"name":"B","valueFrom":{"configMapKeyRef":{"name":"m","key":"k"}}},
                  {"name":"C","value":"$(B)!"}])");
  REQUIRE(f.UntilReady("p"));
  const std::string address = f.Field("p", {"status", "podIP"});
  const std::string port = f.Field("p", {"metadata", "annotations", kPortAnnotation});
  CHECK(address.starts_with("127."));
  CHECK(address != "127.0.0.1");
  CHECK(f.UntilLog("p", address + " " + port + " default from-map from-map! p from-map!-$(C)\n"));
  CHECK(f.Field("p", {"status", "phase"}) == "Running");
  CHECK(f.Field("p", {"spec", "nodeName"}) == "rouse-local");
  CHECK(!f.Field("p", {"metadata", "annotations", kExecTimeAnnotation}).empty());
  CHECK(FlagAt(f.Container("p"), {"started"}));
  CHECK(FlagAt(f.Container("p"), {"ready"}));
}

TEST_CASE("a pod starts in the moment it is made") {
  RunnerFixture f;
  const WallTime before = f.clock.wall();
  f.Run("p", kSleep);
  REQUIRE(f.Until(
      [&] { return !f.Field("p", {"metadata", "annotations", kExecTimeAnnotation}).empty(); }));
  const int64_t exec = std::stoll(f.Field("p", {"metadata", "annotations", kExecTimeAnnotation}));
  const auto begin =
      std::chrono::duration_cast<std::chrono::nanoseconds>(before.time_since_epoch());
  // A few milliseconds on a quiet machine; the bar here only tells events from timers.
  CHECK(exec - begin.count() < 100'000'000);
}

TEST_CASE("readiness follows the probe, at the pod's own PORT, up and down") {
  RunnerFixture f;
  f.Run("p", {"python3", "-c", kServer},
        R"("workingDir":")" + f.folder + R"(","ports":[{"name":"http","containerPort":8080}],
           "readinessProbe":{"httpGet":{"path":"/ok","port":"http"},"periodSeconds":1,
           "failureThreshold":1})");
  REQUIRE(f.Until([&] { return f.Field("p", {"status", "phase"}) == "Running"; }));
  CHECK_FALSE(IsReady(*f.Pod("p")->json));
  CHECK(f.UntilEvent("Unhealthy", "Readiness probe failed"));
  std::ofstream(f.folder + "/ok") << "fine";
  REQUIRE(f.UntilReady("p"));
  std::filesystem::remove(f.folder + "/ok");
  REQUIRE(f.Until([&] { return !IsReady(*f.Pod("p")->json); }));
  CHECK(f.UntilEvent("Unhealthy", "statuscode: 404"));
  CHECK(NumberAt(f.Container("p"), {"restartCount"}) == 0);
}

TEST_CASE("tcp and exec probes answer too, and a startup probe comes first") {
  RunnerFixture f;
  f.Run("tcp", {"python3", "-c", kServer},
        R"("workingDir":")" + f.folder + R"(","ports":[{"containerPort":8080}],
           "readinessProbe":{"tcpSocket":{"port":8080},"periodSeconds":1})");
  f.Run("exec", kSleep, R"("workingDir":")" + f.folder + R"(",
           "startupProbe":{"exec":{"command":["test","-e","started"]},"periodSeconds":1,
           "failureThreshold":30},
           "readinessProbe":{"exec":{"command":["true"]},"periodSeconds":1})");
  REQUIRE(f.UntilReady("tcp"));
  REQUIRE(f.UntilEvent("Unhealthy", "Startup probe failed: command exited with 1"));
  CHECK_FALSE(FlagAt(f.Container("exec"), {"started"}, true));
  CHECK_FALSE(IsReady(*f.Pod("exec")->json));
  std::ofstream(f.folder + "/started") << "";
  REQUIRE(f.UntilReady("exec"));
  CHECK(FlagAt(f.Container("exec"), {"started"}));
}

TEST_CASE("a pod that fails its liveness probe is started again") {
  RunnerFixture f;
  f.Run("p", kSleep,
        R"("livenessProbe":{"exec":{"command":["false"]},"periodSeconds":1,"failureThreshold":1})");
  REQUIRE(f.UntilEvent("Killing", "failed liveness probe, will be restarted"));
  REQUIRE(f.Until([&] { return NumberAt(f.Container("p"), {"restartCount"}, 0) >= 1; }));
  CHECK(NumberAt(f.Container("p"), {"lastState", "terminated", "exitCode"}) == 128 + SIGTERM);
}

TEST_CASE("a pod that ends is started again, first at once and then after a while") {
  RunnerFixture f;
  f.Run("p", {"sh", "-c", "echo run; exit 7"});
  REQUIRE(f.Until([&] {
    return TextAt(f.Container("p"), {"state", "waiting", "reason"}) == "CrashLoopBackOff";
  }));
  CHECK(NumberAt(f.Container("p"), {"restartCount"}) ==
        2);  // Ended twice, about to run for the third time.
  CHECK(TextAt(f.Container("p"), {"state", "waiting", "message"}) ==
        "back-off 10s restarting failed container=c pod=p");
  CHECK(NumberAt(f.Container("p"), {"lastState", "terminated", "exitCode"}) == 7);
  CHECK(f.UntilEvent("BackOff", "Back-off restarting failed container c in pod p"));
  CHECK(f.Log("p", true) == "run\n");
}

TEST_CASE("restartPolicy Never leaves an ended pod as it ended") {
  RunnerFixture f;
  f.Run("good", {"true"}, "", R"("restartPolicy":"Never")");
  f.Run("bad", {"false"}, "", R"("restartPolicy":"Never")");
  REQUIRE(f.Until([&] { return f.Field("good", {"status", "phase"}) == "Succeeded"; }));
  REQUIRE(f.Until([&] { return f.Field("bad", {"status", "phase"}) == "Failed"; }));
  CHECK(NumberAt(f.Container("bad"), {"state", "terminated", "exitCode"}) == 1);
}

TEST_CASE("a deleted pod gets SIGTERM, its time, and is gone when its process is") {
  RunnerFixture f;
  f.Run("p", {"sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done"});
  REQUIRE(f.UntilLog("p", "up\n"));
  const ApiResult<std::string> path = f.cluster->runner()->LogPath({"default", "p"}, false);
  std::filesystem::create_hard_link(*path, f.folder + "/kept");  // The log goes with the pod.
  REQUIRE(f.store().Delete(PodKind(), {"default", "p"}, {}).ok());
  REQUIRE(f.Pod("p")->deleting());
  REQUIRE(f.UntilGone("p"));
  CHECK(f.Read(f.folder + "/kept") == "up\nbye\n");
  CHECK(f.children.running() == 0);
}

TEST_CASE("a pod that will not end is killed after its grace") {
  RunnerFixture f;
  f.Run("p", {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done"});
  REQUIRE(f.UntilLog("p", "up\n"));
  DeleteOptions options;
  options.grace_seconds = 1;
  const TimePoint begin = f.clock.now();
  REQUIRE(f.store().Delete(PodKind(), {"default", "p"}, options).ok());
  REQUIRE(f.UntilGone("p"));
  CHECK(f.clock.now() - begin >= std::chrono::milliseconds(990));
  CHECK(f.children.running() == 0);
}

TEST_CASE("a preStop hook runs before SIGTERM") {
  RunnerFixture f;
  f.Run("p", {"sh", "-c", "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.02; done"},
        R"("lifecycle":{"preStop":{"exec":{"command":["sh","-c","echo hook"]}}})");
  REQUIRE(f.UntilLog("p", "up\n"));
  std::filesystem::create_hard_link(*f.cluster->runner()->LogPath({"default", "p"}, false),
                                    f.folder + "/kept");
  REQUIRE(f.store().Delete(PodKind(), {"default", "p"}, {}).ok());
  REQUIRE(f.UntilGone("p"));
  CHECK(f.Read(f.folder + "/kept") == "up\nhook\nterm\n");
}

TEST_CASE("what cannot start says so in an Event and in its status") {
  RunnerFixture f;
  f.Run("none", {});
  CHECK(f.UntilEvent("FailedStart", "container \"c\" has no command"));
  f.Run("missing", {"no-such-program-here"});
  CHECK(f.UntilEvent("FailedStart", "cannot run no-such-program-here"));
  f.Run("config", {"true"},
        R"("env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"nothing","key":"k"}}}])");
  CHECK(f.UntilEvent("FailedStart", "configmap \"nothing\" not found"));
  CHECK(TextAt(f.Container("missing"), {"state", "waiting", "reason"}) == "RunContainerError");
  CHECK(f.Field("missing", {"status", "phase"}) == "Pending");
}

TEST_CASE("a function that ignores PORT is told so") {
  RunnerFixture f;
  f.Run("p", {"sh", "-c", "echo 'OSError: [Errno 98] Address already in use' >&2; exit 1"});
  CHECK(
      f.UntilEvent("PortIgnored", "must listen on $PORT, which is " +
                                      f.Field("p", {"metadata", "annotations", kPortAnnotation})));
}

TEST_CASE("a start delay keeps a pod pending without an address") {
  RunnerFixture f;
  f.Run("p", kSleep, "", "", R"(,"annotations":{"local.rouse.dev/start-delay":"300ms"})");
  const TimePoint begin = f.clock.now();
  REQUIRE(f.Until([&] { return f.Field("p", {"spec", "nodeName"}) == "rouse-local"; }));
  CHECK(f.Field("p", {"status", "phase"}) == "Pending");
  CHECK(f.Field("p", {"status", "podIP"}).empty());
  CHECK(TextAt(f.Container("p"), {"state", "waiting", "reason"}) == "ContainerCreating");
  REQUIRE(f.UntilReady("p"));
  CHECK(f.clock.now() - begin >= std::chrono::milliseconds(290));
}

TEST_CASE("a fixed PORT is taken as it is") {
  RunnerFixture f;
  f.Run("p", kSleep, R"("env":[{"name":"PORT","value":"17321"}])");
  REQUIRE(f.UntilReady("p"));
  CHECK(f.Field("p", {"metadata", "annotations", kPortAnnotation}) == "17321");
}

TEST_CASE("stopping the cluster ends every process and starts no other") {
  RunnerFixture f;
  REQUIRE(
      f.cluster
          ->Apply(
              R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},
              "spec":{"replicas":3,
      "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
      "spec":{"containers":[{"name":"c","command":["sleep","1000"]}]}}}})")
          .ok());
  REQUIRE(f.Until([&] { return f.children.running() == 3; }));
  bool stopped = false;
  f.cluster->Stop(std::chrono::seconds(5), [&] { stopped = true; });
  REQUIRE(f.Until([&] { return stopped; }));
  CHECK(f.children.running() == 0);
  f.For(std::chrono::milliseconds(20));
  CHECK(f.children.running() == 0);
}

TEST_CASE("pods that come and go many times leave nothing behind") {
  RunnerFixture f;
  REQUIRE(
      f.cluster
          ->Apply(
              R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},
              "spec":{"replicas":0,
      "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
      "spec":{"containers":[{"name":"c","command":["sleep","1000"]}]}}}})")
          .ok());
  for (int round = 0; round < 20; ++round) {
    const auto scale = [&](int replicas) {
      REQUIRE(f.store()
                  .Write(DeploymentKind(), {"default", "d"}, WritePart::kMain,
                         [&](Json& d) -> ApiError {
                           Ensure(d, {"spec", "replicas"}) = replicas;
                           return {};
                         })
                  .ok());
    };
    scale(3);
    if (round % 2 == 0) REQUIRE(f.Until([&] { return f.children.running() == 3; }));
    scale(0);
    REQUIRE(f.Until([&] { return f.store().List(PodKind(), "default").empty(); }));
  }
  CHECK(f.children.running() == 0);
  CHECK(static_cast<ProcessRunner*>(f.cluster->runner())->pods() <= 3);
  f.For(std::chrono::milliseconds(5));
  CHECK(static_cast<ProcessRunner*>(f.cluster->runner())->pods() == 0);
  CHECK(std::filesystem::is_empty(f.folder + "/logs"));
}

}  // namespace
}  // namespace rouse::k8s::local
