#include "k8s/kubeconfig.h"

#include <filesystem>
#include <map>

#include <absl/strings/escaping.h>
#include <absl/strings/str_split.h>
#include <yaml-cpp/yaml.h>

#include "k8s/objects/policy_values.h"

namespace rouse::k8s {
namespace {

/// A named entry and the folder that its relative paths start from.
struct Entry {
  YAML::Node body;
  std::filesystem::path folder;
};

struct Merged {
  std::string current_context;
  std::map<std::string, Entry> clusters;
  std::map<std::string, Entry> users;
  std::map<std::string, Entry> contexts;
};

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

/// A member as text; empty where it is not there or not a scalar.
std::string Text(const YAML::Node& node, const char* key) {
  if (!node.IsMap()) return {};
  const YAML::Node member = node[key];
  return member && member.IsScalar() ? member.Scalar() : std::string();
}

bool Has(const YAML::Node& node, const char* key) {
  return node.IsMap() && node[key] && !node[key].IsNull();
}

void MergeEntries(const YAML::Node& list, const char* kind, const std::filesystem::path& folder,
                  std::map<std::string, Entry>& entries) {
  if (!list || !list.IsSequence()) return;
  for (const YAML::Node& item : list) {
    if (!Has(item, kind)) continue;
    entries.emplace(Text(item, "name"), Entry{item[kind], folder});
  }
}

void MergeFile(const YAML::Node& root, const std::string& path, Merged& merged) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (merged.current_context.empty()) merged.current_context = Text(root, "current-context");
  MergeEntries(root["clusters"], "cluster", folder, merged.clusters);
  MergeEntries(root["users"], "user", folder, merged.users);
  MergeEntries(root["contexts"], "context", folder, merged.contexts);
}

/// The text of KEY-data (base64), or of the file that KEY names; then the file's path is kept for
/// later readings.
absl::Status Material(const Entry& entry, const char* key, const FileReader& read,
                      std::string& text, std::string& file) {
  const std::string data = Text(entry.body, (std::string(key) + "-data").c_str());
  if (!data.empty()) {
    if (!absl::Base64Unescape(data, &text)) {
      return Invalid(std::string(key) + "-data is not base64");
    }
    return absl::OkStatus();
  }
  const std::string path = Text(entry.body, key);
  if (path.empty()) return absl::OkStatus();
  file = (entry.folder / path).string();
  absl::StatusOr<std::string> content = read(file);
  if (!content.ok()) return content.status();
  text = *std::move(content);
  return absl::OkStatus();
}

/// `scheme://host[:port][/path]`.
absl::Status ParseServer(const std::string& url, ClusterAccess& access) {
  absl::Status bad = Invalid("cluster.server is not a URL: " + url);
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return bad;
  const bool secure = url.substr(0, scheme) == "https";
  if (!secure && url.substr(0, scheme) != "http") return bad;
  const size_t slash = std::min(url.find('/', scheme + 3), url.size());
  std::string authority = url.substr(scheme + 3, slash - scheme - 3);
  access.base_path = url.substr(slash);
  while (!access.base_path.empty() && access.base_path.back() == '/') access.base_path.pop_back();

  std::string port = secure ? "443" : "80";
  const size_t bracket = authority.find(']');
  const size_t colon = authority.rfind(':');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    port = authority.substr(colon + 1);
    authority.resize(colon);
  }
  if (!authority.empty() && authority.front() == '[') {
    if (authority.back() != ']') return bad;
    authority = authority.substr(1, authority.size() - 2);
  }
  const std::optional<int64_t> number = ParseWholeNumber(port);
  if (authority.empty() || !number || *number < 1 || *number > 65535) return bad;
  access.origin.host = authority;
  access.origin.port = static_cast<uint16_t>(*number);
  if (secure) access.origin.tls.emplace();
  return absl::OkStatus();
}

absl::Status ReadCluster(const Entry& entry, const FileReader& read, ClusterAccess& access) {
  if (Has(entry.body, "proxy-url")) {
    return absl::UnimplementedError("cluster.proxy-url is not supported");
  }
  absl::Status status = ParseServer(Text(entry.body, "server"), access);
  if (!status.ok() || !access.origin.tls) return status;
  control::ClientTls& tls = *access.origin.tls;
  tls.verify = Text(entry.body, "insecure-skip-tls-verify") != "true";
  tls.server_name = Text(entry.body, "tls-server-name");
  return Material(entry, "certificate-authority", read, tls.ca_pem, access.ca_file);
}

/// What we cannot do, said plainly; OK where there is nothing of it.
absl::Status RefuseUnsupported(const YAML::Node& user) {
  if (Has(user, "auth-provider")) {
    return absl::UnimplementedError(
        "user.auth-provider was removed from Kubernetes in 1.26 and is not supported: use a "
        "token, a tokenFile, a client certificate or a credential plugin (exec)");
  }
  if (Has(user, "username") || Has(user, "password")) {
    return absl::UnimplementedError(
        "user.username and password were removed from Kubernetes in 1.19 and are not supported");
  }
  if (Has(user, "as") || Has(user, "as-groups") || Has(user, "as-uid")) {
    return absl::UnimplementedError("user.as (impersonation) is not supported");
  }
  return absl::OkStatus();
}

absl::Status ReadUser(const Entry& entry, const FileReader& read, ClusterAccess& access) {
  if (absl::Status status = RefuseUnsupported(entry.body); !status.ok()) return status;
  access.token = Text(entry.body, "token");
  if (const std::string file = Text(entry.body, "tokenFile"); !file.empty()) {
    access.token_file = (entry.folder / file).string();
    absl::StatusOr<std::string> token = read(access.token_file);
    if (!token.ok()) return token.status();
    access.token = *std::move(token);
  }
  if (!access.origin.tls) return absl::OkStatus();
  control::ClientTls& tls = *access.origin.tls;
  absl::Status status =
      Material(entry, "client-certificate", read, tls.certificate_pem, access.certificate_file);
  if (!status.ok()) return status;
  status = Material(entry, "client-key", read, tls.key_pem, access.key_file);
  if (!status.ok()) return status;
  if (tls.certificate_pem.empty() != tls.key_pem.empty()) {
    return Invalid("user has a client certificate or its key, not both");
  }
  return absl::OkStatus();
}

absl::Status ReadPlugin(const Entry& user, const Entry& cluster, ClusterAccess& access) {
  if (!access.token.empty() || (access.origin.tls && !access.origin.tls->key_pem.empty())) {
    return Invalid("user has exec beside a token or a client certificate: use one of them");
  }
  absl::StatusOr<ExecPlugin> plugin =
      ReadExecPlugin(user.body["exec"], cluster.body, user.folder, access.origin);
  if (!plugin.ok()) return plugin.status();
  access.plugin = *std::move(plugin);
  return absl::OkStatus();
}

absl::StatusOr<Merged> ReadFiles(const std::vector<std::string>& files, const FileReader& read) {
  if (files.size() > kubeconfig_files_max) {
    return Invalid("more than " + std::to_string(kubeconfig_files_max) + " kubeconfig files");
  }
  Merged merged;
  bool any = false;
  for (const std::string& file : files) {
    const absl::StatusOr<std::string> text = read(file);
    if (absl::IsNotFound(text.status())) continue;
    if (!text.ok()) return text.status();
    any = true;
    try {
      const YAML::Node root = YAML::Load(*text);
      if (root.IsMap()) MergeFile(root, file, merged);
    } catch (const YAML::Exception& error) {
      return Invalid(file + ": " + error.what());
    }
  }
  if (any) return merged;
  std::string list;
  for (const std::string& file : files) list += (list.empty() ? "" : ", ") + file;
  return absl::NotFoundError("no kubeconfig at " + list);
}

absl::StatusOr<ClusterAccess> ReadContext(const Merged& merged, const std::string& name,
                                          const FileReader& read) {
  const auto context = merged.contexts.find(name);
  if (context == merged.contexts.end()) {
    return Invalid(name.empty() ? "kubeconfig has no current-context"
                                : "kubeconfig has no context `" + name + "`");
  }
  const YAML::Node& body = context->second.body;
  const auto cluster = merged.clusters.find(Text(body, "cluster"));
  if (cluster == merged.clusters.end()) {
    return Invalid("context `" + name + "`: no cluster `" + Text(body, "cluster") + "`");
  }
  ClusterAccess access;
  if (const std::string ns = Text(body, "namespace"); !ns.empty()) access.ns = ns;
  absl::Status status = ReadCluster(cluster->second, read, access);
  if (!status.ok()) return status;
  const std::string user_name = Text(body, "user");
  if (user_name.empty()) return access;
  const auto user = merged.users.find(user_name);
  if (user == merged.users.end()) {
    return Invalid("context `" + name + "`: no user `" + user_name + "`");
  }
  status = ReadUser(user->second, read, access);
  if (status.ok() && Has(user->second.body, "exec")) {
    status = ReadPlugin(user->second, cluster->second, access);
  }
  if (!status.ok()) return status;
  return access;
}

}  // namespace

std::vector<std::string> KubeconfigFiles(const std::string& path, const Environment& environment) {
  if (!path.empty()) return {path};
  if (const std::string list = environment("KUBECONFIG").value_or(""); !list.empty()) {
    return absl::StrSplit(list, ':', absl::SkipEmpty());
  }
  return {environment("HOME").value_or("") + "/.kube/config"};
}

absl::StatusOr<ClusterAccess> KubeconfigAccess(const std::vector<std::string>& files,
                                               const std::string& context, const FileReader& read) {
  const absl::StatusOr<Merged> merged = ReadFiles(files, read);
  if (!merged.ok()) return merged.status();
  try {
    return ReadContext(*merged, context.empty() ? merged->current_context : context, read);
  } catch (const YAML::Exception& error) {
    return Invalid(std::string("kubeconfig: ") + error.what());
  }
}

absl::StatusOr<ClusterAccess> FindAccess(const std::string& kubeconfig, const std::string& context,
                                         const Environment& environment, const FileReader& read) {
  if (kubeconfig.empty() && environment("KUBERNETES_SERVICE_HOST").has_value()) {
    return InClusterAccess(environment, read);
  }
  return KubeconfigAccess(KubeconfigFiles(kubeconfig, environment), context, read);
}

}  // namespace rouse::k8s
