#include "k8s/local/api_writer.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/admit.h"
#include "k8s/local/api_reader.h"
#include "k8s/local/manifest.h"
#include "k8s/local/patch.h"
#include "k8s/local/pod_facts.h"
#include "k8s/local/scale.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

std::string_view MediaType(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type;
}

ApiResult<Json> ReadBody(std::string_view content_type, std::string_view body) {
  const std::string_view type = MediaType(content_type);
  if (type == "application/yaml") {
    absl::StatusOr<std::vector<Json>> documents = ParseManifest(body);
    if (!documents.ok()) return BadRequest(std::string(documents.status().message()));
    if (documents->size() != 1) return BadRequest("the body holds no object, or several");
    return std::move(documents->front());
  }
  if (!type.empty() && type != "application/json") {
    return UnsupportedMediaType("application/json, application/yaml");
  }
  absl::StatusOr<Json> value = ParseJson(body);
  if (!value.ok()) {
    return BadRequest(absl::StrCat("couldn't get version/kind; json parse error: ",
                                   std::string(value.status().message())));
  }
  if (!value->is_object()) return BadRequest("the body is not an object");
  return std::move(*value);
}

/// Fits the body to the URL that it was sent to.
ApiError CheckAddress(const ApiTarget& target, const Json& object) {
  const std::string kind = TextAt(object, {"kind"}, target.kind->kind);
  const std::string version = TextAt(object, {"apiVersion"}, target.kind->api_version());
  if (kind != target.kind->kind || version != target.kind->api_version()) {
    return BadRequest(absl::StrCat("the API version in the data (", version, ", Kind=", kind,
                                   ") does not match the expected API version (",
                                   target.kind->api_version(),
                                   ", Kind=", std::string(target.kind->kind), ")"));
  }
  const std::string ns = TextAt(object, {"metadata", "namespace"}, target.ns);
  if (ns != target.ns) {
    return BadRequest(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  const std::string name = TextAt(object, {"metadata", "name"}, target.name);
  if (!target.name.empty() && name != target.name) {
    return BadRequest(absl::StrCat("the name of the object (", name,
                                   ") does not match the name on the URL (", target.name, ")"));
  }
  return {};
}

ApiReply ReplyWith(const ApiResult<ObjectRef>& result, int status = 200) {
  if (!result.ok()) return ApiReply::Failed(result.error());
  return ApiReply::Of(status, (*result)->text + "\n");
}

WritePart PartOf(const ApiTarget& target) {
  return target.subresource == "status" ? WritePart::kStatus : WritePart::kMain;
}

}  // namespace

std::string ApiWriter::NextClusterIp() {
  ++cluster_ips_;
  return absl::StrCat("10.96.", (cluster_ips_ >> 8) & 255, ".", cluster_ips_ & 255);
}

ApiError ApiWriter::Admit(const ApiTarget& target, Json& object, const Json* before) {
  FillDefaults(*target.kind, object);
  if (target.kind == &ServiceKind() && TextAt(object, {"spec", "type"}) != "ExternalName" &&
      Find(object, {"spec", "clusterIP"}) == nullptr) {
    const std::string old = before == nullptr ? "" : TextAt(*before, {"spec", "clusterIP"});
    const std::string address = old.empty() ? NextClusterIp() : old;
    Ensure(object, {"spec", "clusterIP"}) = address;
    Ensure(object, {"spec", "clusterIPs"}) = json::array{json::string(address)};
  }
  return CheckObject(*target.kind, object, before);
}

ApiReply ApiWriter::Create(const ApiTarget& target, std::string_view content_type,
                           std::string_view body) {
  if (!target.name.empty()) return ApiReply::Failed(MethodNotAllowed());
  ApiResult<Json> object = ReadBody(content_type, body);
  if (!object.ok()) return ApiReply::Failed(object.error());
  if (ApiError error = CheckAddress(target, *object); !error.ok()) return ApiReply::Failed(error);
  if (!TextAt(*object, {"metadata", "resourceVersion"}).empty()) {
    return ApiReply::Failed(
        BadRequest("resourceVersion should not be set on objects to be created"));
  }
  return CreateObject(target, std::move(*object));
}

ApiReply ApiWriter::CreateObject(const ApiTarget& target, Json object) {
  if (target.kind->has_status) Erase(object, {"status"});
  if (ApiError error = Admit(target, object, nullptr); !error.ok()) return ApiReply::Failed(error);
  return ReplyWith(store_.Create(*target.kind, target.ns, object), 201);
}

ApiReply ApiWriter::Replace(const ApiTarget& target, std::string_view content_type,
                            std::string_view body) {
  if (target.name.empty()) return ApiReply::Failed(MethodNotAllowed());
  ApiResult<Json> object = ReadBody(content_type, body);
  if (!object.ok()) return ApiReply::Failed(object.error());
  if (target.subresource == "scale") {
    const ObjectRef current = store_.Get(*target.kind, target.key());
    if (current == nullptr) return ApiReply::Failed(NotFound(*target.kind, target.name));
    const ApiResult<ObjectRef> result = WriteScale(store_, *current, *object);
    if (!result.ok()) return ApiReply::Failed(result.error());
    return ApiReply::Of(200, ScaleText(**result) + "\n");
  }
  if (ApiError error = CheckAddress(target, *object); !error.ok()) return ApiReply::Failed(error);
  if (target.kind->plural == "leases" && TextAt(*object, {"metadata", "resourceVersion"}).empty()) {
    return ApiReply::Failed(
        Invalid(*target.kind, target.name,
                {{"FieldValueInvalid", "Invalid value: 0x0: must be specified for an update",
                  "metadata.resourceVersion"}}));
  }
  return ReplyWith(store_.Write(*target.kind, target.key(), PartOf(target), [&](Json& stored) {
    const Json before = stored;
    stored = *object;
    if (PartOf(target) == WritePart::kStatus) return ApiError{};
    return Admit(target, stored, &before);
  }));
}

namespace {

/// Applies a patch of any of the four media types.
ApiError ApplyPatch(const ApiTarget& target, std::string_view type, const Json& patch,
                    Json& object) {
  if (type == "application/json-patch+json") {
    const absl::Status status = JsonPatch(object, patch);
    if (status.ok()) return {};
    const std::string why(status.message());
    if (absl::IsInvalidArgument(status)) return BadRequest(why);
    ApiError error = Invalid(*target.kind, target.name, {});
    error.message =
        absl::StrCat("the server rejected our request due to an error in our request: ", why);
    return error;
  }
  if (!patch.is_object()) return BadRequest("the patch is not an object");
  if (type == "application/merge-patch+json") {
    MergePatch(object, patch);
  } else {
    StrategicMergePatch(object, patch);
  }
  return {};
}

ApiResult<Json> ReadPatch(std::string_view type, std::string_view body) {
  if (type == "application/apply-patch+yaml") return ReadBody("application/yaml", body);
  if (type != "application/merge-patch+json" && type != "application/json-patch+json" &&
      type != "application/strategic-merge-patch+json") {
    return UnsupportedMediaType(
        "application/json-patch+json, application/merge-patch+json, "
        "application/apply-patch+yaml, application/strategic-merge-patch+json");
  }
  absl::StatusOr<Json> patch = ParseJson(body);
  if (!patch.ok()) {
    return BadRequest(
        absl::StrCat("error decoding patch: ", std::string(patch.status().message())));
  }
  return std::move(*patch);
}

}  // namespace

ApiReply ApiWriter::Patch(const ApiTarget& target, std::string_view content_type,
                          std::string_view body) {
  if (target.name.empty()) return ApiReply::Failed(MethodNotAllowed());
  const std::string_view type = MediaType(content_type);
  ApiResult<Json> patch = ReadPatch(type, body);
  if (!patch.ok()) return ApiReply::Failed(patch.error());
  if (target.subresource == "scale") return PatchScale(target, *patch, type);
  const bool apply = type == "application/apply-patch+yaml";
  if (apply) {
    Erase(*patch, {"metadata", "managedFields"});
    if (ApiError error = CheckAddress(target, *patch); !error.ok()) return ApiReply::Failed(error);
    if (store_.Get(*target.kind, target.key()) == nullptr && target.subresource.empty()) {
      Ensure(*patch, {"metadata", "name"}) = target.name;
      return CreateObject(target, std::move(*patch));
    }
  }
  return ReplyWith(store_.Write(*target.kind, target.key(), PartOf(target), [&](Json& stored) {
    const Json before = stored;
    if (ApiError error = ApplyPatch(target, type, *patch, stored); !error.ok()) return error;
    if (ApiError error = CheckAddress(target, stored); !error.ok()) return error;
    if (PartOf(target) == WritePart::kStatus) return ApiError{};
    return Admit(target, stored, &before);
  }));
}

ApiReply ApiWriter::PatchScale(const ApiTarget& target, const Json& patch, std::string_view type) {
  const ObjectRef current = store_.Get(*target.kind, target.key());
  if (current == nullptr) return ApiReply::Failed(NotFound(*target.kind, target.name));
  Json scale = ScaleOf(*current);
  if (ApiError error = ApplyPatch(target, type, patch, scale); !error.ok()) {
    return ApiReply::Failed(error);
  }
  const ApiResult<ObjectRef> result = WriteScale(store_, *current, scale);
  if (!result.ok()) return ApiReply::Failed(result.error());
  return ApiReply::Of(200, ScaleText(**result) + "\n");
}

ApiReply ApiWriter::Delete(const ApiTarget& target, std::string_view body) {
  DeleteOptions options;
  options.grace_seconds = target.QueryNumber("gracePeriodSeconds");
  std::string propagation = target.Query("propagationPolicy");
  if (!body.empty()) {
    const absl::StatusOr<Json> given = ParseJson(body);
    if (!given.ok()) return ApiReply::Failed(BadRequest("couldn't read the DeleteOptions"));
    if (const auto grace = NumberAt(*given, {"gracePeriodSeconds"})) options.grace_seconds = grace;
    options.expected_uid = TextAt(*given, {"preconditions", "uid"});
    options.expected_version = TextAt(*given, {"preconditions", "resourceVersion"});
    propagation = TextAt(*given, {"propagationPolicy"}, propagation);
  }
  if (target.name.empty()) return DeleteAll(target, options);
  if (propagation == "Orphan") Orphan(target);
  const ApiResult<ObjectRef> result = store_.Delete(*target.kind, target.key(), options);
  if (!result.ok()) return ApiReply::Failed(result.error());
  if (target.kind == &PodKind() || store_.Get(*target.kind, target.key()) != nullptr) {
    return ReplyWith(result);
  }
  json::object details{
      {"name", target.name}, {"kind", std::string(target.kind->plural)}, {"uid", (*result)->uid}};
  if (!target.kind->group.empty()) details["group"] = std::string(target.kind->group);
  const json::object status{{"kind", "Status"},
                            {"apiVersion", "v1"},
                            {"metadata", json::object()},
                            {"status", "Success"},
                            {"details", std::move(details)}};
  return ApiReply::Of(200, json::serialize(status) + "\n");
}

/// Takes the object out of its dependents' ownerReferences, so that they stay.
void ApiWriter::Orphan(const ApiTarget& target) {
  const ObjectRef owner = store_.Get(*target.kind, target.key());
  if (owner == nullptr) return;
  for (const ObjectRef& dependent : DependentsOf(store_, owner->uid)) {
    const auto edit = [&](Json& copy) -> ApiError {
      json::array kept;
      for (const Json& reference : ArrayAt(copy, {"metadata", "ownerReferences"})) {
        if (TextAt(reference, {"uid"}) != owner->uid) kept.push_back(reference);
      }
      Ensure(copy, {"metadata", "ownerReferences"}) = std::move(kept);
      return {};
    };
    (void)store_.Write(*dependent->kind, dependent->key, WritePart::kAll, edit).ok();
  }
}

ApiReply ApiWriter::DeleteAll(const ApiTarget& target, const DeleteOptions& options) {
  if (target.kind->namespaced && target.ns.empty()) return ApiReply::Failed(MethodNotAllowed());
  const ApiResult<ObjectFilter> filter = ObjectFilter::Of(target);
  if (!filter.ok()) return ApiReply::Failed(filter.error());
  std::string items;
  for (const ObjectRef& object : store_.List(*target.kind, target.ns)) {
    if (!filter->Matches(*object)) continue;
    const ApiResult<ObjectRef> result = store_.Delete(*target.kind, object->key, options);
    if (!result.ok()) continue;
    absl::StrAppend(&items, items.empty() ? "" : ",", (*result)->text);
  }
  return ApiReply::Of(
      200, absl::StrCat("{\"kind\":\"", std::string(target.kind->kind), "List\",\"apiVersion\":\"",
                        target.kind->api_version(), "\",\"metadata\":{\"resourceVersion\":\"",
                        store_.version(), "\"},\"items\":[", items, "]}\n"));
}

}  // namespace rouse::k8s::local
