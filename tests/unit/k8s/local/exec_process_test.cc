// Credential plugins as real processes, towards rouse-local.
#include "k8s/exec_process.h"

#include <sys/stat.h>

#include "k8s/api_client.h"
#include "k8s/kubeconfig.h"
#include "tests/unit/k8s/local/local_api.h"
#include "tests/unit/k8s/local/process_fixture.h"

namespace rouse::k8s::local {
namespace {

constexpr const char* kV1 = "client.authentication.k8s.io/v1";

std::string AnswerText(const std::string& status) {
  return R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":)" +
         status + "}";
}

struct PluginProcess : ProcessFixture {
  std::optional<absl::StatusOr<ExecCredential>> outcome;

  ExecPlugin Script(const std::string& text) const {
    const std::string path = folder + "/plugin";
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    chmod(path.c_str(), 0755);
    ExecPlugin plugin;
    plugin.command = path;
    plugin.api_version = kV1;
    return plugin;
  }
  absl::StatusOr<ExecCredential> Run(const ExecPlugin& plugin,
                                     Duration deadline = ExecProcess::kDeadline) {
    outcome.reset();
    const ExecProcess process(
        network->loop(), children, plugin,
        [this](absl::StatusOr<ExecCredential> got) { outcome = std::move(got); }, deadline);
    CHECK_FALSE(outcome.has_value());
    REQUIRE(Until([&] { return outcome.has_value(); }));
    return *outcome;
  }
  std::string Why(const ExecPlugin& plugin, Duration deadline = ExecProcess::kDeadline) {
    const absl::StatusOr<ExecCredential> got = Run(plugin, deadline);
    CHECK(absl::IsUnauthenticated(got.status()));
    return std::string(got.status().message());
  }
};

TEST_CASE("a plugin gets its words, our environment and its own, no input, and answers") {
  PluginProcess f;
  REQUIRE(setenv("ROUSE_TEST_OURS", "ours", 1) == 0);
  REQUIRE(setenv("ROUSE_TEST_BOTH", "ours", 1) == 0);
  ExecPlugin plugin = f.Script(
      R"(echo "chatter on standard error" >&2
cat
echo ')" +
      AnswerText(R"({"token":"'$1-$ROUSE_TEST_OURS-$ROUSE_TEST_BOTH-$KUBERNETES_EXEC_INFO'"})") +
      "'");
  plugin.args = {"word"};
  plugin.environment = {"ROUSE_TEST_BOTH=given", "KUBERNETES_EXEC_INFO=asked"};
  const absl::StatusOr<ExecCredential> got = f.Run(plugin);
  REQUIRE(got.ok());
  CHECK(got->token == "word-ours-given-asked");
  CHECK(f.children.running() == 0);
}

TEST_CASE("a plugin that is not there is named with its hint") {
  PluginProcess f;
  ExecPlugin plugin;
  plugin.command = "no-such-plugin-here";
  plugin.install_hint = "get it from the shop";
  const std::string why = f.Why(plugin);
  CHECK(why.find("cannot run no-such-plugin-here") != std::string::npos);
  CHECK(why.find("get it from the shop") != std::string::npos);
}

TEST_CASE("a plugin that fails, hangs, says too much or nothing of use does not stop us") {
  PluginProcess f;
  CHECK(f.Why(f.Script("exit 3")).find("ended with 3") != std::string::npos);
  CHECK(f.Why(f.Script("kill -9 $$")).find("ended with 137") != std::string::npos);
  CHECK(f.Why(f.Script("echo hush")).find("not JSON") != std::string::npos);
  CHECK(f.Why(f.Script("echo hush")).find("hush") == std::string::npos);
  const Duration soon = std::chrono::milliseconds(300);
  CHECK(f.Why(f.Script("sleep 1000"), soon).find("did not end in time") != std::string::npos);
  // It is killed with all that it started.
  CHECK(f.Until([&] { return f.children.running() == 0; }));
  CHECK(f.Why(f.Script("exec yes"), soon).find("more than 64 KiB") != std::string::npos);
  CHECK(f.Until([&] { return f.children.running() == 0; }));
}

TEST_CASE("a run that is given up is killed, and nobody is told") {
  PluginProcess f;
  const ExecPlugin plugin = f.Script("sleep 1000");
  bool told = false;
  {
    const ExecProcess process(f.network->loop(), f.children, plugin,
                              [&](const absl::StatusOr<ExecCredential>&) { told = true; });
    CHECK(f.children.running() == 1);
  }
  CHECK(f.Until([&] { return f.children.running() == 0; }));
  CHECK_FALSE(told);
}

/// rouse-local that asks for a token, and a client whose kubeconfig names a plugin.
struct PluginApi : LocalApi {
  std::string folder;
  std::unique_ptr<Credentials> credentials;
  std::unique_ptr<ApiClient> api;

  explicit PluginApi(const std::string& script)
      : LocalApi([] {
          LocalClusterOptions options;
          options.api.tokens["right"] = "tester";
          return options;
        }()) {
    std::string name = (std::filesystem::temp_directory_path() / "rouse-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder = name;
    std::ofstream(folder + "/plugin") << "#!/bin/sh\n" << script << "\n";
    chmod((folder + "/plugin").c_str(), 0755);
    std::ofstream(folder + "/config")
        << "current-context: here\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n"
           "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:"
        << cluster->port() << "'}}]\nusers: [{name: u, user: {exec: {apiVersion: " << kV1
        << ", command: ./plugin, interactiveMode: IfAvailable, provideClusterInfo: true}}}]\n";
    absl::StatusOr<ClusterAccess> access = KubeconfigAccess({folder + "/config"}, "");
    REQUIRE(access.ok());
    credentials = std::make_unique<Credentials>(clock, *std::move(access));
    ServePlugin(*network, log, 1, *credentials);
    api = std::make_unique<ApiClient>(*network, *credentials,
                                      ApiClientOptions{.component = "test", .limits = {}});
  }
  ~PluginApi() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  absl::Status Ask() {
    std::optional<absl::Status> end;
    ApiRequest request;
    request.path = "/api/v1/namespaces";
    const auto call = api->Send(std::move(request),
                                [&](absl::StatusOr<std::string> reply) { end = reply.status(); });
    REQUIRE(Until([&] { return end.has_value(); }));
    return *end;
  }
  [[nodiscard]] std::string Runs() const { return ProcessFixture::Read(folder + "/runs"); }
};

TEST_CASE("rouse-local lets a client in with what its plugin gives, from one run") {
  PluginApi f(R"sh(cd "$(dirname "$0")"; echo run >>runs; echo "$KUBERNETES_EXEC_INFO" >info
echo ')sh" + AnswerText(R"({"token":"right"})") +
              "'");
  CHECK(f.Ask().ok());
  CHECK(f.Ask().ok());
  CHECK(f.Runs() == "run\n");
  const std::string server = "\"server\":\"http://127.0.0.1:" + std::to_string(f.cluster->port());
  CHECK(ProcessFixture::Read(f.folder + "/info").find(server) != std::string::npos);
}

TEST_CASE("rouse-local refuses a token that is old, and the plugin is run for a new one") {
  // The first run gives an old token, later ones the right one.
  PluginApi f(R"sh(cd "$(dirname "$0")"; token=old; [ -e runs ] && token=right; echo run >>runs
echo ')sh" + AnswerText(R"({"token":"'$token'"})") +
              "'");
  // The second run waits a moment, as runs for a 401 do; the client is told so at first.
  const absl::Status first = f.Ask();
  CHECK((first.ok() || absl::IsUnauthenticated(first)));
  CHECK(f.Until([&] { return f.Ask().ok(); }));
  CHECK(f.Runs() == "run\nrun\n");
}

TEST_CASE("a plugin that fails is told to who asks") {
  PluginApi f("exit 7");
  const absl::Status status = f.Ask();
  CHECK(std::string(status.message()).find("ended with 7") != std::string::npos);
}

}  // namespace
}  // namespace rouse::k8s::local
