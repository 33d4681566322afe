#include "k8s/objects/object_meta.h"

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

std::string_view Find(const std::map<std::string, std::string>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace

std::string_view ObjectMeta::label(const std::string& key) const { return Find(labels, key); }

std::string_view ObjectMeta::annotation(const std::string& key) const {
  return Find(annotations, key);
}

ObjectMeta DecodeMeta(const JsonNode& object) {
  const JsonNode node = object["metadata"];
  ObjectMeta meta;
  meta.name = node["name"].Text();
  if (meta.name.empty()) object.Fail("missing", "metadata.name");
  meta.ns = node["namespace"].Text();
  meta.uid = node["uid"].Text();
  meta.resource_version = node["resourceVersion"].Text();
  meta.generation = node["generation"].Number(0, INT64_MAX).value_or(0);
  meta.labels = node["labels"].TextMap();
  meta.annotations = node["annotations"].TextMap();
  meta.creation_time = node["creationTimestamp"].Time().value_or(WallTime());
  meta.deletion_time = node["deletionTimestamp"].Time();
  node["ownerReferences"].Each([&](JsonNode owner) {
    meta.owners.push_back({owner["apiVersion"].Text(), owner["kind"].Text(), owner["name"].Text(),
                           owner["uid"].Text(), owner["controller"].Flag()});
  });
  return meta;
}

absl::StatusOr<ObjectMeta> DecodeMetaOnly(std::string_view json) {
  JsonDocument document(json);
  ObjectMeta meta = DecodeMeta(document.root());
  if (!document.status().ok()) return document.status();
  return meta;
}

std::string ResourceType::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string CollectionPath(const ResourceType& type, std::string_view ns) {
  std::string path = (type.group.empty() ? "/api/" : "/apis/") + type.api_version();
  if (!ns.empty()) path.append("/namespaces/").append(ns);
  return path.append("/").append(type.plural);
}

std::string ObjectPath(const ResourceType& type, const ObjectKey& key,
                       std::string_view subresource) {
  std::string path = CollectionPath(type, key.ns).append("/").append(key.name);
  if (!subresource.empty()) path.append("/").append(subresource);
  return path;
}

}  // namespace rouse::k8s
