#include "k8s/local/scale.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/selector.h"

namespace rouse::k8s::local {

namespace json = boost::json;

Json ScaleOf(const StoredObject& object) {
  const Json& from = *object.json;
  json::object metadata{{"name", object.key.name},
                        {"namespace", object.key.ns},
                        {"uid", object.uid},
                        {"resourceVersion", std::to_string(object.version)},
                        {"creationTimestamp", TextAt(from, {"metadata", "creationTimestamp"})}};
  json::object spec;
  const int64_t replicas = NumberAt(from, {"spec", "replicas"}, 0);
  if (replicas != 0) spec["replicas"] = replicas;
  json::object status{{"replicas", NumberAt(from, {"status", "replicas"}, 0)}};
  if (const Json* selector = Find(from, {"spec", "selector"})) {
    status["selector"] = LabelSelector::FromObject(*selector).text();
  }
  return json::object{{"kind", "Scale"},
                      {"apiVersion", "autoscaling/v1"},
                      {"metadata", std::move(metadata)},
                      {"spec", std::move(spec)},
                      {"status", std::move(status)}};
}

std::string ScaleText(const StoredObject& object) { return JsonText(ScaleOf(object)); }

ApiResult<ObjectRef> WriteScale(ObjectStore& store, const StoredObject& object, const Json& scale) {
  static constexpr ResourceKind kScale{"autoscaling", "v1", "scales", "scale", "Scale", ""};
  const int64_t replicas = NumberAt(scale, {"spec", "replicas"}, 0);
  if (replicas < 0) {
    return Invalid(
        kScale, object.key.name,
        {{"FieldValueInvalid",
          absl::StrCat("Invalid value: ", replicas, ": must be greater than or equal to 0"),
          "spec.replicas"}});
  }
  if (const std::string name = TextAt(scale, {"metadata", "name"}, object.key.name);
      name != object.key.name) {
    return BadRequest(absl::StrCat("the name of the object (", name,
                                   ") does not match the name on the URL (", object.key.name, ")"));
  }
  return store.Write(*object.kind, object.key, WritePart::kMain, [&](Json& target) -> ApiError {
    EnsureObject(target, {"spec"})["replicas"] = replicas;
    EnsureObject(target, {"metadata"})["resourceVersion"] =
        TextAt(scale, {"metadata", "resourceVersion"});
    Ensure(target, {"metadata", "uid"}) = TextAt(scale, {"metadata", "uid"});
    return {};
  });
}

}  // namespace rouse::k8s::local
