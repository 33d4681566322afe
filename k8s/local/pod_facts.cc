#include "k8s/local/pod_facts.h"

#include <charconv>

#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

bool IsReady(const Json& pod) {
  for (const Json& condition : ArrayAt(pod, {"status", "conditions"})) {
    if (TextAt(condition, {"type"}) == "Ready") return TextAt(condition, {"status"}) == "True";
  }
  return false;
}

bool IsActive(const StoredObject& pod) {
  const std::string phase = TextAt(*pod.json, {"status", "phase"});
  return !pod.deleting() && phase != "Succeeded" && phase != "Failed";
}

std::string OwnerUid(const Json& object) {
  for (const Json& owner : ArrayAt(object, {"metadata", "ownerReferences"})) {
    if (FlagAt(owner, {"controller"})) return TextAt(owner, {"uid"});
  }
  return {};
}

Json OwnerReference(const StoredObject& owner) {
  return json::object{{"apiVersion", owner.kind->api_version()},
                      {"kind", std::string(owner.kind->kind)},
                      {"name", owner.key.name},
                      {"uid", owner.uid},
                      {"controller", true},
                      {"blockOwnerDeletion", true}};
}

std::optional<uint16_t> OwnPort(const Json& pod) {
  return ParsePort(TextAt(pod, {"metadata", "annotations", kPortAnnotation}));
}

std::optional<uint16_t> PodPort(const Json& pod, std::string_view name_or_number,
                                std::optional<uint16_t> own) {
  const std::optional<uint16_t> number = ParsePort(name_or_number);
  bool first = true;
  for (const Json& container : ArrayAt(pod, {"spec", "containers"})) {
    for (const Json& port : ArrayAt(container, {"ports"})) {
      const std::optional<int64_t> declared = NumberAt(port, {"containerPort"});
      const bool same = number ? declared == *number : TextAt(port, {"name"}) == name_or_number;
      if (same && first && own) return own;
      if (same && declared) return static_cast<uint16_t>(*declared);
      first = false;
    }
  }
  // A pod that declares no port listens on its PORT.
  if (first && own) return own;
  return number;
}

std::vector<ObjectRef> DependentsOf(const ObjectStore& store, std::string_view uid) {
  std::vector<ObjectRef> found;
  for (const ResourceKind& kind : AllKinds()) {
    if (!kind.namespaced || &kind == &EventKind()) continue;
    for (ObjectRef& object : store.List(kind, "")) {
      for (const Json& owner : ArrayAt(*object->json, {"metadata", "ownerReferences"})) {
        if (TextAt(owner, {"uid"}) == uid) {
          found.push_back(std::move(object));
          break;
        }
      }
    }
  }
  return found;
}

}  // namespace rouse::k8s::local
