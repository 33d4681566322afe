#include "k8s/exec_plugin.h"

#include <algorithm>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <boost/json.hpp>
#include <yaml-cpp/yaml.h>

#include "k8s/objects/json_node.h"
#include "k8s/yaml_json.h"

namespace rouse::k8s {
namespace {

namespace json = boost::json;

constexpr const char* kVersion = "client.authentication.k8s.io/v1";
constexpr const char* kBetaVersion = "client.authentication.k8s.io/v1beta1";
/// The cluster's extension that is meant for plugins.
constexpr const char* kExtension = "client.authentication.k8s.io/exec";
constexpr size_t kWordsMax = 1024;  ///< arguments, or variables
constexpr JsonLimits kCredentialLimits{.bytes_max = 1 << 20, .depth_max = 16};

absl::Status Invalid(std::string_view why) {
  return absl::InvalidArgumentError("user.exec" + std::string(why));
}

/// A member as text; empty where it is not there or not a scalar.
std::string Text(const YAML::Node& node, const char* key) {
  const YAML::Node member = node[key];
  return member && member.IsScalar() ? member.Scalar() : std::string();
}

/// A member; the null node where there is none, which has no elements.
YAML::Node Member(const YAML::Node& node, const char* key) {
  const YAML::Node member = node[key];
  return member ? member : YAML::Node();
}

/// It goes into a header line as it is.
bool IsToken(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

/// What plugins may ask to know of the cluster (provideClusterInfo).
absl::StatusOr<json::object> ClusterInfo(const YAML::Node& cluster, const control::Origin& origin) {
  json::object info{{"server", Text(cluster, "server")}};
  if (origin.tls) {
    if (!origin.tls->server_name.empty()) info["tls-server-name"] = origin.tls->server_name;
    if (!origin.tls->verify) info["insecure-skip-tls-verify"] = true;
    if (!origin.tls->ca_pem.empty()) {
      info["certificate-authority-data"] = absl::Base64Escape(origin.tls->ca_pem);
    }
  }
  YamlBounds left;
  for (const YAML::Node& extension : Member(cluster, "extensions")) {
    if (!extension.IsMap() || Text(extension, "name") != kExtension) continue;
    absl::Status status = YamlToJson(Member(extension, "extension"), left, info["config"]);
    if (!status.ok()) return status;
  }
  return info;
}

absl::Status ReadWords(const YAML::Node& exec, ExecPlugin& plugin) {
  const YAML::Node args = Member(exec, "args");
  const YAML::Node env = Member(exec, "env");
  if (args.size() > kWordsMax || env.size() > kWordsMax) return Invalid(" has too many words");
  for (const YAML::Node& word : args) {
    if (!word.IsScalar()) return Invalid(".args: not a text");
    plugin.args.push_back(word.Scalar());
  }
  for (const YAML::Node& variable : env) {
    if (!variable.IsMap() || Text(variable, "name").empty()) return Invalid(".env: no name");
    plugin.environment.push_back(
        absl::StrCat(Text(variable, "name"), "=", Text(variable, "value")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ExecPlugin> ReadExecPlugin(const YAML::Node& exec, const YAML::Node& cluster,
                                          const std::filesystem::path& folder,
                                          const control::Origin& origin) {
  ExecPlugin plugin;
  if (!exec.IsMap()) return Invalid(" is not a map");
  plugin.command = Text(exec, "command");
  if (plugin.command.empty()) return Invalid(".command is missing");
  // As kubectl has it: with a slash it is a path, from the kubeconfig's folder on.
  if (plugin.command.find('/') != std::string::npos) {
    plugin.command = (folder / plugin.command).string();
  }
  plugin.api_version = Text(exec, "apiVersion");
  if (plugin.api_version != kVersion && plugin.api_version != kBetaVersion) {
    return Invalid(absl::StrCat(".apiVersion is not known: ", plugin.api_version,
                                " (known: ", kVersion, ", ", kBetaVersion, ")"));
  }
  if (Text(exec, "interactiveMode") == "Always") {
    return Invalid(
        ".interactiveMode is Always, and there is nobody to ask: use a plugin that "
        "needs no terminal");
  }
  plugin.install_hint = Text(exec, "installHint");
  if (absl::Status status = ReadWords(exec, plugin); !status.ok()) return status;

  json::object spec{{"interactive", false}};
  if (Text(exec, "provideClusterInfo") == "true") {
    absl::StatusOr<json::object> info = ClusterInfo(cluster, origin);
    if (!info.ok()) return info.status();
    spec["cluster"] = *std::move(info);
  }
  const json::object asked{
      {"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", std::move(spec)}};
  plugin.environment.push_back("KUBERNETES_EXEC_INFO=" + json::serialize(asked));
  return plugin;
}

absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view text,
                                                   std::string_view api_version) {
  JsonDocument document(text, kCredentialLimits);
  const JsonNode root = document.root();
  if (root["kind"].Text() != "ExecCredential") root.Fail("not ExecCredential", "kind");
  if (root["apiVersion"].Text() != api_version) {
    root.Fail("not " + std::string(api_version), "apiVersion");
  }
  const JsonNode status = root["status"];
  ExecCredential credential;
  credential.token = status["token"].Text();
  credential.certificate_pem = status["clientCertificateData"].Text();
  credential.key_pem = status["clientKeyData"].Text();
  credential.expires = status["expirationTimestamp"].Time();
  if (credential.certificate_pem.empty() != credential.key_pem.empty()) {
    root.Fail("a client certificate or its key, not both", "status");
  }
  if (credential.token.empty() && credential.certificate_pem.empty()) {
    root.Fail("neither a token nor a client certificate", "status");
  }
  if (!IsToken(credential.token)) root.Fail("not a token", "status.token");
  if (!document.status().ok()) return document.status();
  return credential;
}

}  // namespace rouse::k8s
