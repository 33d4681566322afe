#include "k8s/objects/scale.h"

#include <boost/json.hpp>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

std::string ScaleTarget::text() const {
  if (group == "apps" && version == "v1") return resource + "/" + name;
  return group + "/" + version + "/" + resource + "/" + name;
}

std::string ScaleTarget::ObjectPath(std::string_view ns) const {
  const ResourceType type{group, version, resource, {}};
  return k8s::ObjectPath(type, {std::string(ns), name});
}

std::string ScaleTarget::ScalePath(std::string_view ns) const { return ObjectPath(ns) + "/scale"; }

absl::StatusOr<Scale> Scale::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Scale scale;
  scale.meta = DecodeMeta(root);
  scale.spec_replicas = root["spec"]["replicas"].Count();
  scale.status_replicas = root["status"]["replicas"].Count();
  scale.selector = root["status"]["selector"].Text();
  if (!document.status().ok()) return document.status();
  return scale;
}

std::string EncodeScalePatch(int32_t replicas, std::string_view resource_version) {
  boost::json::object patch{{"spec", {{"replicas", replicas}}}};
  if (!resource_version.empty()) {
    patch["metadata"] = {
        {"resourceVersion", boost::json::string(resource_version.data(), resource_version.size())}};
  }
  return boost::json::serialize(patch);
}

}  // namespace rouse::k8s
