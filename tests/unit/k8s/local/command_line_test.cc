#include "k8s/local/command_line.h"

#include <fstream>
#include <sstream>
#include <thread>

#include "k8s/local/api_session.h"
#include "k8s/local/columns.h"
#include "k8s/local/object_commands.h"
#include "k8s/local/pod_runner.h"
#include "k8s/local/serve_command.h"
#include "tests/unit/k8s/local/local_api.h"
#include "tests/unit/k8s/local/process_fixture.h"

namespace rouse::k8s::local {
namespace {

/// Runs nothing; every pod's log is one file.
class LogOnlyRunner : public PodRunner {
 public:
  explicit LogOnlyRunner(std::string path) : path_(std::move(path)) {}
  void Start() override {}
  void Stop(Duration, absl::AnyInvocable<void()> done) override { done(); }
  ApiResult<std::string> LogPath(const ObjectKey& pod, bool previous) override {
    if (previous || pod.name != "p") return NotFound(PodKind(), pod.name);
    return path_;
  }
  bool LogOpen(const ObjectKey&) override { return false; }

 private:
  std::string path_;
};

/// The commands against a cluster whose loop turns in a thread of its own.
struct CommandFixture {
  ProcessFixture place;
  control::OnLoopback served;
  std::unique_ptr<LocalCluster> cluster;
  std::thread thread;
  std::string out;
  std::string err;

  CommandFixture() {
    Write("log", "one\ntwo\nthree\n");
    LocalClusterOptions options;
    options.api.tokens["sesame"] = "tester";
    options.make_runner = [this](ObjectStore&) {
      return std::make_unique<LogOnlyRunner>(place.folder + "/log");
    };
    cluster = std::make_unique<LocalCluster>(*served.network, served.log, std::move(options));
    REQUIRE(cluster->Start().ok());
    const std::string url = "http://127.0.0.1:" + std::to_string(cluster->port());
    Write("kubeconfig", KubeconfigText(url, "sesame", ""));
    thread = std::thread([this] { served.network->Run(); });
  }
  ~CommandFixture() {
    // From the loop: said before the thread has begun to turn it, it would be forgotten.
    served.network->loop().Post([this] { served.network->Stop(); });
    thread.join();
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(place.folder + "/" + name) << text;
    return place.folder + "/" + name;
  }
  /// Runs a command line; words are split at blanks.
  int Run(const std::string& line) {
    std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (!words.empty() && !words[0].starts_with("-") && words[0] != "frobnicate") {
      words.push_back("--kubeconfig=" + place.folder + "/kubeconfig");
    }
    std::ostringstream out_stream;
    std::ostringstream err_stream;
    CommandIo io{out_stream, err_stream, {}};
    const int code = RunCommandLine(words, io);
    out = out_stream.str();
    err = err_stream.str();
    return code;
  }
};

constexpr const char* kManifest = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: i}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
)";

TEST_CASE("apply creates, changes and leaves alone, and says which") {
  CommandFixture f;
  const std::string file = f.Write("web.yaml", kManifest);
  CHECK(f.Run("apply -f " + file) == 0);
  CHECK(f.out == "deployment.apps/web created\nservice/web created\n");
  CHECK(f.Run("scale deployment web --replicas 3") == 0);
  CHECK(f.out == "deployment.apps/web scaled\n");
  CHECK(f.Run("apply --file=" + file) == 0);
  CHECK(f.out == "deployment.apps/web configured\nservice/web unchanged\n");
  // A folder is all its manifests.
  CHECK(f.Run("delete -f " + file) == 0);
  std::filesystem::remove(f.place.folder + "/kubeconfig.yaml");
  CHECK(f.Run("apply -f " + f.place.folder) == 0);
  CHECK(f.out == "deployment.apps/web created\nservice/web created\n");
}

TEST_CASE("get shows what kubectl would") {
  CommandFixture f;
  REQUIRE(f.Run("apply -f " + f.Write("web.yaml", kManifest)) == 0);
  CHECK(f.Run("get deploy") == 0);
  CHECK(f.out.starts_with(
      "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/2     2            0"));
  CHECK(f.Run("get pods -l app=web") == 0);
  CHECK(std::count(f.out.begin(), f.out.end(), '\n') == 3);
  CHECK(f.out.find("Pending") != std::string::npos);
  CHECK(f.Run("get svc web -o json") == 0);
  CHECK(TextAt(*ParseJson(f.out), {"metadata", "name"}) == "web");
  CHECK(f.Run("get services -o name") == 0);
  CHECK(f.out == "service/web\n");
  CHECK(f.Run("get namespaces") == 0);
  CHECK(f.out.find("kube-system") != std::string::npos);
  CHECK(f.Run("get deployments -A") == 0);
  CHECK(f.out.starts_with("NAMESPACE   NAME"));
  CHECK(f.Run("get pods -n kube-system") == 0);
  CHECK(f.out.empty());
  CHECK(f.err == "No resources found in kube-system namespace.\n");
}

TEST_CASE("delete and logs do what they say") {
  CommandFixture f;
  REQUIRE(f.Run("apply -f " + f.Write("web.yaml", kManifest)) == 0);
  CHECK(f.Run("delete deployment web") == 0);
  CHECK(f.out == "deployment.apps/web deleted\n");
  CHECK(f.Run("delete deployment web") == 1);
  CHECK(f.err.find("deployments.apps \"web\" not found") != std::string::npos);
  CHECK(f.Run("logs p") == 0);
  CHECK(f.out == "one\ntwo\nthree\n");
  CHECK(f.Run("logs p --tail 1") == 0);
  CHECK(f.out == "three\n");
  CHECK(f.Run("logs p -f") == 0);
  CHECK(f.out == "one\ntwo\nthree\n");
  CHECK(f.Run("logs q") == 1);
}

TEST_CASE("what makes no sense is answered with 2 and the nearest word") {
  CommandFixture f;
  CHECK(f.Run("frobnicate") == 2);
  CHECK(f.Run("aply") == 2);
  CHECK(f.err.find("did you mean apply?") != std::string::npos);
  CHECK(f.Run("get deploiments") == 2);
  CHECK(f.err.find("did you mean deployments?") != std::string::npos);
  CHECK(f.Run("get") == 2);
  CHECK(f.Run("apply") == 2);
  CHECK(f.Run("delete pod") == 2);
  CHECK(f.Run("scale deployment web") == 2);
  CHECK(f.Run("scale service web --replicas 1") == 2);
  CHECK(f.Run("logs") == 2);
  CHECK(f.Run("get pods --colour") == 2);
}

TEST_CASE("what fails is answered with 1 and the reason") {
  CommandFixture f;
  CHECK(f.Run("apply -f /no/such/file") == 1);
  CHECK(f.Run("apply -f " + f.Write("bad.yaml", "a: [")) == 1);
  CHECK(f.err.find("bad.yaml: line") != std::string::npos);
  CHECK(f.Run("apply -f " + f.Write("odd.yaml", "apiVersion: x/v1\nkind: Odd\n")) == 1);
  CHECK(f.err.find("no such kind here: x/v1 Odd") != std::string::npos);
  CHECK(f.Run("get pod none") == 1);
  f.Write("kubeconfig", KubeconfigText("http://127.0.0.1:1", "", ""));
  CHECK(f.Run("get pods") == 1);
  CHECK(f.err.find("cannot reach the API server at 127.0.0.1:1") != std::string::npos);
  f.Write("kubeconfig",
          KubeconfigText("http://127.0.0.1:" + std::to_string(f.cluster->port()), "wrong", ""));
  CHECK(f.Run("get pods") == 1);
  CHECK(f.err == "rouse-local: error from the server: Unauthorized\n");
}

TEST_CASE("every command has its help") {
  CommandFixture f;
  CHECK(f.Run("--help") == 0);
  CHECK(f.out.find("scale deployment NAME --replicas N") != std::string::npos);
  CHECK(f.Run("--version") == 0);
  for (const char* command : {"apply", "get", "logs", "delete", "scale"}) {
    CHECK(f.Run(std::string(command) + " --help") == 0);
    CHECK(f.out.find("--namespace") != std::string::npos);
  }
  std::ostringstream out;
  std::ostringstream err;
  CommandIo io{out, err, {}};
  const std::vector<std::string> help{"--help"};
  CHECK(RunServe(help, io) == 0);
  CHECK(out.str().find("--kubeconfig-out") != std::string::npos);
  const std::vector<std::string> bad{"--port", "99999"};
  CHECK(RunServe(bad, io) == 2);
}

}  // namespace
}  // namespace rouse::k8s::local
