#include "k8s/local/discovery.h"

#include <map>
#include <vector>

#include <absl/strings/str_split.h>
#include <boost/json.hpp>

#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

json::array Verbs(bool whole) {
  if (!whole) return {"get", "patch", "update"};
  return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
}

json::object Resource(const ResourceKind& kind) {
  json::object resource{{"name", std::string(kind.plural)},
                        {"singularName", std::string(kind.singular)},
                        {"namespaced", kind.namespaced},
                        {"kind", std::string(kind.kind)},
                        {"verbs", Verbs(true)}};
  if (!kind.short_name.empty()) resource["shortNames"] = json::array{std::string(kind.short_name)};
  return resource;
}

json::object Subresource(const ResourceKind& kind, std::string_view name) {
  json::object resource{{"name", std::string(kind.plural) + "/" + std::string(name)},
                        {"singularName", ""},
                        {"namespaced", kind.namespaced},
                        {"kind", std::string(kind.kind)},
                        {"verbs", Verbs(false)}};
  if (name == "scale") {
    resource["kind"] = "Scale";
    resource["group"] = "autoscaling";
    resource["version"] = "v1";
  }
  if (name == "log") resource["verbs"] = json::array{"get"};
  return resource;
}

std::string ResourceList(std::string_view group_version) {
  json::array resources;
  for (const ResourceKind& kind : AllKinds()) {
    if (kind.api_version() != group_version) continue;
    resources.push_back(Resource(kind));
    if (kind.has_status) resources.push_back(Subresource(kind, "status"));
    if (kind.has_scale) resources.push_back(Subresource(kind, "scale"));
    if (kind.plural == "pods") resources.push_back(Subresource(kind, "log"));
  }
  if (group_version == "authentication.k8s.io/v1") {
    resources.push_back(json::object{{"name", "tokenreviews"},
                                     {"singularName", "tokenreview"},
                                     {"namespaced", false},
                                     {"kind", "TokenReview"},
                                     {"verbs", json::array{"create"}}});
  }
  return json::serialize(json::object{{"kind", "APIResourceList"},
                                      {"apiVersion", "v1"},
                                      {"groupVersion", std::string(group_version)},
                                      {"resources", std::move(resources)}});
}

/// Each group with its one version.
std::map<std::string, std::string> Groups() {
  std::map<std::string, std::string> groups{{"authentication.k8s.io", "v1"}};
  for (const ResourceKind& kind : AllKinds()) {
    if (!kind.group.empty()) groups.emplace(kind.group, kind.version);
  }
  return groups;
}

json::object Group(const std::string& name, const std::string& served) {
  const json::object version{{"groupVersion", name + "/" + served}, {"version", served}};
  return json::object{
      {"name", name}, {"versions", json::array{version}}, {"preferredVersion", version}};
}

std::string GroupList() {
  json::array groups;
  for (const auto& [name, version] : Groups()) groups.push_back(Group(name, version));
  return json::serialize(
      json::object{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}});
}

}  // namespace

std::optional<std::string> DiscoveryText(std::string_view path) {
  if (path == "/version") {
    return json::serialize(json::object{{"major", "1"},
                                        {"minor", "34"},
                                        {"gitVersion", "v1.34.0-rouse-local"},
                                        {"gitCommit", ""},
                                        {"gitTreeState", "clean"},
                                        {"buildDate", "1970-01-01T00:00:00Z"},
                                        {"goVersion", ""},
                                        {"compiler", ""},
                                        {"platform", "linux/amd64"}});
  }
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(path.data(), path.size()), '/', absl::SkipEmpty());
  if (parts.size() == 1 && parts[0] == "api") {
    return json::serialize(json::object{{"kind", "APIVersions"},
                                        {"versions", json::array{"v1"}},
                                        {"serverAddressByClientCIDRs", json::array()}});
  }
  if (parts.size() == 1 && parts[0] == "apis") return GroupList();
  if (parts.size() == 2 && parts[0] == "api" && parts[1] == "v1") return ResourceList("v1");
  if (parts.size() < 2 || parts.size() > 3 || parts[0] != "apis") return std::nullopt;
  const std::map<std::string, std::string> groups = Groups();
  const auto found = groups.find(parts[1]);
  if (found == groups.end()) return std::nullopt;
  const auto& [name, version] = *found;
  if (parts.size() == 3) {
    if (parts[2] != version) return std::nullopt;
    return ResourceList(name + "/" + version);
  }
  json::object group = Group(name, version);
  group["kind"] = "APIGroup";
  group["apiVersion"] = "v1";
  return json::serialize(group);
}

}  // namespace rouse::k8s::local
