#include "k8s/kubeconfig.h"

#include <map>

#include <catch2/catch.hpp>

namespace rouse::k8s {
namespace {

using Texts = std::map<std::string, std::string>;

/// KubeconfigAccess over files that the test writes down.
absl::StatusOr<ClusterAccess> Access(const Texts& files, const std::vector<std::string>& paths,
                                     const std::string& context = {}) {
  return KubeconfigAccess(paths, context,
                          [&files](const std::string& path) -> absl::StatusOr<std::string> {
                            const auto found = files.find(path);
                            if (found == files.end()) return absl::NotFoundError("no " + path);
                            return found->second;
                          });
}

std::string Config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts:\n- name: here\n  context: {cluster: c, user: u, namespace: shop}\n"
         "- name: bare\n  context: {cluster: c}\n"
         "clusters:\n- name: c\n  cluster: " +
         cluster + "\nusers:\n- name: u\n  user: " + user + "\n";
}

TEST_CASE("a context names cluster, user and namespace") {
  const auto access =
      Access({{"/k/config", Config("{server: 'https://api.example:6443/sub/'}", "{token: abc}")}},
             {"/k/config"});
  REQUIRE(access.ok());
  CHECK(access->origin.host == "api.example");
  CHECK(access->origin.port == 6443);
  CHECK(access->base_path == "/sub");
  CHECK(access->origin.tls->verify);
  CHECK(access->token == "abc");
  CHECK(access->ns == "shop");
}

TEST_CASE("server addresses in all their forms") {
  struct Case {
    const char* url;
    const char* host;
    uint16_t port;
    bool tls;
  };
  for (const Case& each : {Case{"https://h", "h", 443, true}, Case{"http://h", "h", 80, false},
                           Case{"http://127.0.0.1:8001/", "127.0.0.1", 8001, false},
                           Case{"https://[fd00::1]:6443", "fd00::1", 6443, true},
                           Case{"https://[fd00::1]", "fd00::1", 443, true}}) {
    CAPTURE(each.url);
    const auto access =
        Access({{"/c", Config("{server: '" + std::string(each.url) + "'}", "{}")}}, {"/c"});
    REQUIRE(access.ok());
    CHECK(access->origin.host == each.host);
    CHECK(access->origin.port == each.port);
    CHECK(access->origin.tls.has_value() == each.tls);
  }
  for (const char* url :
       {"", "h:1", "ftp://h", "https://", "https://h:0", "https://h:x", "https://[fd00::1"}) {
    CAPTURE(url);
    CHECK(absl::IsInvalidArgument(
        Access({{"/c", Config("{server: '" + std::string(url) + "'}", "{}")}}, {"/c"}).status()));
  }
}

TEST_CASE("certificates come as data or from files relative to the kubeconfig") {
  const auto data = Access(
      {{"/k/config",
        Config("{server: 'https://h', certificate-authority-data: Q0E=, tls-server-name: name}",
               "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ}")}},
      {"/k/config"});
  REQUIRE(data.ok());
  CHECK(data->origin.tls->ca_pem == "CA");
  CHECK(data->origin.tls->certificate_pem == "CERT");
  CHECK(data->origin.tls->key_pem == "KEY");
  CHECK(data->origin.tls->server_name == "name");
  CHECK(data->ca_file.empty());

  const auto files =
      Access({{"/k/config", Config("{server: 'https://h', certificate-authority: ca.pem}",
                                   "{client-certificate: /abs/c.pem, client-key: sub/k.pem, "
                                   "tokenFile: tok, token: old}")},
              {"/k/ca.pem", "CA"},
              {"/abs/c.pem", "CERT"},
              {"/k/sub/k.pem", "KEY"},
              {"/k/tok", "new"}},
             {"/k/config"});
  REQUIRE(files.ok());
  CHECK(files->origin.tls->ca_pem == "CA");
  CHECK(files->ca_file == "/k/ca.pem");
  CHECK(files->certificate_file == "/abs/c.pem");
  CHECK(files->key_file == "/k/sub/k.pem");
  CHECK(files->token_file == "/k/tok");
  CHECK(files->token == "new");
}

TEST_CASE("verification is off only where the file says so") {
  const auto access = Access(
      {{"/c", Config("{server: 'https://h', insecure-skip-tls-verify: true}", "{}")}}, {"/c"});
  REQUIRE(access.ok());
  CHECK_FALSE(access->origin.tls->verify);
}

TEST_CASE("of several files the first to name something wins") {
  const Texts files{
      {"/1", "current-context: two\nusers: [{name: u, user: {token: first}}]\n"},
      {"/2", Config("{server: 'https://two'}", "{token: second}") + "extensions: []\n"},
      {"/3",
       "current-context: here\ncontexts: [{name: two, context: {cluster: c, user: u}}]\n"
       "clusters: [{name: c, cluster: {server: 'https://three'}}]\n"}};
  const auto merged = Access(files, {"/missing", "/1", "/2", "/3"});
  REQUIRE(merged.ok());
  CHECK(merged->origin.host == "two");
  CHECK(merged->token == "first");
  const auto chosen = Access(files, {"/1", "/2", "/3"}, "bare");
  REQUIRE(chosen.ok());
  CHECK(chosen->token.empty());
}

TEST_CASE("what cannot be used is refused with a text that says what to do") {
  const auto why = [](const std::string& cluster, const std::string& user) {
    return std::string(Access({{"/c", Config(cluster, user)}}, {"/c"}).status().message());
  };
  const std::string server = "{server: 'https://h'}";
  CHECK(why(server, "{exec: {command: aws}}").find("apiVersion") != std::string::npos);
  CHECK(why(server, "{auth-provider: {name: oidc}}").find("removed from Kubernetes") !=
        std::string::npos);
  CHECK(why(server, "{username: a, password: b}").find("not supported") != std::string::npos);
  CHECK(why(server, "{as: root}").find("impersonation") != std::string::npos);
  CHECK(why("{server: 'https://h', proxy-url: 'http://p'}", "{}").find("proxy-url") !=
        std::string::npos);
  CHECK(why(server, "{client-certificate-data: Q0E=}").find("not both") != std::string::npos);
  CHECK(why(server, "{client-certificate-data: '%%'}").find("not base64") != std::string::npos);
}

TEST_CASE("a kubeconfig that is missing, broken or incomplete says which part") {
  CHECK(absl::IsNotFound(Access({}, {"/a", "/b"}).status()));
  CHECK(absl::IsInvalidArgument(Access({{"/a", "a: [b"}}, {"/a"}).status()));
  CHECK(Access({{"/a", "{}"}}, {"/a"}).status().message() == "kubeconfig has no current-context");
  CHECK(Access({{"/a", Config("{server: 'https://h'}", "{}")}}, {"/a"}, "x").status().message() ==
        "kubeconfig has no context `x`");
  CHECK(Access({{"/a", "current-context: x\ncontexts: [{name: x, context: {cluster: y}}]"}}, {"/a"})
            .status()
            .message() == "context `x`: no cluster `y`");
  CHECK_FALSE(Access({}, std::vector<std::string>(kubeconfig_files_max + 1, "/a")).ok());
}

TEST_CASE("files come from the option, then KUBECONFIG, then the home folder") {
  Texts variables{{"HOME", "/home/x"}, {"KUBECONFIG", "/a:/b:"}};
  const Environment environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  CHECK(KubeconfigFiles("/given", environment) == std::vector<std::string>{"/given"});
  CHECK(KubeconfigFiles("", environment) == std::vector<std::string>{"/a", "/b"});
  variables.erase("KUBECONFIG");
  CHECK(KubeconfigFiles("", environment) == std::vector<std::string>{"/home/x/.kube/config"});

  const FileReader read = [](const std::string& path) -> absl::StatusOr<std::string> {
    if (path == "/given") return Config("{server: 'http://h'}", "{}");
    return absl::NotFoundError("no " + path);
  };
  variables["KUBERNETES_SERVICE_HOST"] = "10.0.0.1";
  CHECK(FindAccess("/given", "", environment, read)->origin.host == "h");
  CHECK(FindAccess("", "", environment, read).status().message().find("serviceaccount") !=
        absl::string_view::npos);
}

}  // namespace
}  // namespace rouse::k8s
