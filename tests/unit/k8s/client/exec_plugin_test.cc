#include "k8s/exec_plugin.h"

#include <algorithm>

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <yaml-cpp/yaml.h>

#include "k8s/kubeconfig.h"

namespace rouse::k8s {
namespace {

constexpr const char* kV1 = "client.authentication.k8s.io/v1";
constexpr const char* kCluster =
    "{server: 'https://api:6443', certificate-authority-data: Q0E=, tls-server-name: inside, "
    "extensions: [{name: other, extension: {no: 1}}, "
    "{name: client.authentication.k8s.io/exec, extension: {audience: shop, level: 3}}]}";

absl::StatusOr<ClusterAccess> Access(const std::string& user) {
  const std::string text =
      "current-context: here\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: " +
      std::string(kCluster) + "}]\nusers: [{name: u, user: " + user + "}]\n";
  return KubeconfigAccess({"/k/config"}, "",
                          [&](const std::string&) -> absl::StatusOr<std::string> { return text; });
}

absl::StatusOr<ExecPlugin> Plugin(const std::string& exec) {
  const absl::StatusOr<ClusterAccess> access = Access("{exec: " + exec + "}");
  if (!access.ok()) return access.status();
  REQUIRE(access->plugin.has_value());
  return *access->plugin;
}

std::string Why(const std::string& exec) { return std::string(Plugin(exec).status().message()); }

/// KUBERNETES_EXEC_INFO, as it is given.
boost::json::value InfoOf(const ExecPlugin& plugin) {
  const std::string name = "KUBERNETES_EXEC_INFO=";
  const auto at =
      std::find_if(plugin.environment.begin(), plugin.environment.end(),
                   [&](const std::string& variable) { return variable.starts_with(name); });
  REQUIRE(at != plugin.environment.end());
  return boost::json::parse(at->substr(name.size()));
}

TEST_CASE("a plugin is read with its words, its variables and what it is told") {
  const auto plugin = Plugin(
      "{apiVersion: client.authentication.k8s.io/v1, command: get-token, args: [a, '2'], "
      "env: [{name: REGION, value: north}], installHint: 'install it', interactiveMode: Never}");
  REQUIRE(plugin.ok());
  CHECK(plugin->command == "get-token");
  CHECK(plugin->args == std::vector<std::string>{"a", "2"});
  CHECK(plugin->environment.front() == "REGION=north");
  CHECK(plugin->install_hint == "install it");
  CHECK(InfoOf(*plugin) == boost::json::parse(R"({"apiVersion":"client.authentication.k8s.io/v1",
      "kind":"ExecCredential","spec":{"interactive":false}})"));
}

TEST_CASE("a plugin that wants to know its cluster is told") {
  const auto plugin = Plugin(
      "{apiVersion: client.authentication.k8s.io/v1beta1, command: x, provideClusterInfo: true}");
  REQUIRE(plugin.ok());
  const boost::json::value info = InfoOf(*plugin);
  CHECK(info.at("apiVersion") == "client.authentication.k8s.io/v1beta1");
  CHECK(info.at("spec").at("cluster") == boost::json::parse(
                                             R"({"server":"https://api:6443","tls-server-name":
      "inside","certificate-authority-data":"Q0E=","config":{"audience":"shop","level":3}})"));
}

TEST_CASE("a command with a slash starts from the kubeconfig's folder, another is left to PATH") {
  const auto command = [](const std::string& given) {
    return Plugin("{apiVersion: client.authentication.k8s.io/v1, command: " + given + "}")->command;
  };
  CHECK(command("get-token") == "get-token");
  CHECK(command("bin/get-token") == "/k/bin/get-token");
  CHECK(command("/bin/get-token") == "/bin/get-token");
}

TEST_CASE("a plugin that cannot be used is refused with the reason") {
  CHECK(Why("{command: x}").find("apiVersion is not known") != std::string::npos);
  CHECK(Why("{apiVersion: client.authentication.k8s.io/v1alpha1, command: x}").find("v1alpha1") !=
        std::string::npos);
  const std::string v1 = "apiVersion: client.authentication.k8s.io/v1";
  CHECK(Why("{" + v1 + "}").find("command is missing") != std::string::npos);
  CHECK(Why("{" + v1 + ", command: x, interactiveMode: Always}").find("terminal") !=
        std::string::npos);
  CHECK(Why("{" + v1 + ", command: x, args: [[a]]}").find("args") != std::string::npos);
  CHECK(Why("{" + v1 + ", command: x, env: [{value: a}]}").find("env") != std::string::npos);
  CHECK(Why("[a]").find("not a map") != std::string::npos);
  const auto both = Access("{token: t, exec: {" + v1 + ", command: x}}");
  CHECK(std::string(both.status().message()).find("use one of them") != std::string::npos);
}

TEST_CASE("an answer has a token, a certificate with its key, or both") {
  const auto token = ParseExecCredential(
      R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":
          {"token":"T","expirationTimestamp":"2026-01-01T00:00:10Z"}})",
      kV1);
  REQUIRE(token.ok());
  CHECK(token->token == "T");
  REQUIRE(token->expires.has_value());
  CHECK(token->expires->time_since_epoch() == std::chrono::seconds(1767225610));
  const auto certificate = ParseExecCredential(
      R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":
          {"clientCertificateData":"C","clientKeyData":"K"}})",
      kV1);
  REQUIRE(certificate.ok());
  CHECK(certificate->certificate_pem == "C");
  CHECK(certificate->key_pem == "K");
  CHECK_FALSE(certificate->expires.has_value());
}

TEST_CASE("an answer that is none says what is wrong, and shows nothing of it") {
  const auto why = [](const std::string& kind, const std::string& version,
                      const std::string& status) {
    return std::string(ParseExecCredential(R"({"apiVersion":")" + version + R"(","kind":")" + kind +
                                               R"(","status":)" + status + "}",
                                           kV1)
                           .status()
                           .message());
  };
  CHECK(why("Secret", kV1, R"({"token":"hush"})") == "kind: not ExecCredential");
  CHECK(why("ExecCredential", "v1", R"({"token":"hush"})") ==
        "apiVersion: not client.authentication.k8s.io/v1");
  CHECK(why("ExecCredential", kV1, "{}") == "status: neither a token nor a client certificate");
  CHECK(why("ExecCredential", kV1, R"({"clientKeyData":"hush"})") ==
        "status: a client certificate or its key, not both");
  CHECK(why("ExecCredential", kV1, R"({"token":"hush\r\nX: y"})") == "status.token: not a token");
  CHECK(why("ExecCredential", kV1, R"({"token":"hush","expirationTimestamp":"soon"})")
            .find("expirationTimestamp") != std::string::npos);
  CHECK(ParseExecCredential("", kV1).status().message().find("not JSON") == 0);
}

}  // namespace
}  // namespace rouse::k8s
