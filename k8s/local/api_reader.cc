#include "k8s/local/api_reader.h"

#include <algorithm>
#include <charconv>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/scale.h"

namespace rouse::k8s::local {

ApiResult<ObjectFilter> ObjectFilter::Of(const ApiTarget& target) {
  ApiResult<LabelSelector> labels = LabelSelector::Parse(target.Query("labelSelector"));
  if (!labels.ok()) return labels.error();
  ApiResult<FieldSelector> fields =
      FieldSelector::Parse(*target.kind, target.Query("fieldSelector"));
  if (!fields.ok()) return fields.error();
  ObjectFilter filter{std::move(*labels), std::move(*fields)};
  return filter;
}

ApiResult<uint64_t> VersionOf(std::string_view text) {
  uint64_t version = 0;
  if (text.empty()) return version;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    return BadRequest(absl::StrCat("Invalid value: \"", std::string(text),
                                   "\": strconv.ParseUint: parsing \"", std::string(text),
                                   "\": invalid syntax"));
  }
  return version;
}

ApiReply ApiReader::Get(const ApiTarget& target) {
  const ObjectRef object = store_.Get(*target.kind, target.key());
  if (object == nullptr) return ApiReply::Failed(NotFound(*target.kind, target.name));
  if (target.subresource == "scale") return ApiReply::Of(200, ScaleText(*object) + "\n");
  return ApiReply::Of(200, object->text + "\n");
}

ApiReply ApiReader::List(const ApiTarget& target) {
  const size_t limit =
      static_cast<size_t>(std::max<int64_t>(0, target.QueryNumber("limit").value_or(0)));
  if (!target.Query("continue").empty()) return Continue(target, limit);
  const std::string asked = target.Query("resourceVersion");
  const ApiResult<uint64_t> version = VersionOf(asked);
  if (!version.ok()) return ApiReply::Failed(version.error());
  if (*version > store_.version()) {
    return ApiReply::Failed(VersionTooLarge(asked, store_.version()));
  }
  if (target.Query("resourceVersionMatch") == "Exact" && *version < store_.version()) {
    return ApiReply::Failed(
        Expired("The provided resourceVersion is too old to display a consistent list result"));
  }
  const ApiResult<ObjectFilter> filter = ObjectFilter::Of(target);
  if (!filter.ok()) return ApiReply::Failed(filter.error());
  Snapshot snapshot{store_.version(), store_.compactions(), {}};
  for (ObjectRef& object : store_.List(*target.kind, target.ns)) {
    if (target.name.empty() ? filter->Matches(*object) : object->key.name == target.name) {
      snapshot.objects.push_back(std::move(object));
    }
  }
  // Version 0 is served from the server's cache, which knows no pages.
  const bool whole = limit == 0 || asked == "0" || snapshot.objects.size() <= limit;
  if (whole) return Page(target, 0, snapshot, 0, snapshot.objects.size());
  const uint64_t id = next_snapshot_++;
  const Snapshot& kept = snapshots_[id] = std::move(snapshot);
  if (snapshots_.size() > kSnapshotsMax) snapshots_.erase(snapshots_.begin());
  return Page(target, id, kept, 0, limit);
}

ApiReply ApiReader::Continue(const ApiTarget& target, size_t limit) {
  if (!target.Query("resourceVersion").empty() && target.Query("resourceVersion") != "0") {
    return ApiReply::Failed(
        BadRequest("specifying resource version is not allowed when using continue"));
  }
  std::string token;
  const std::string text = target.Query("continue");
  uint64_t id = 0;
  size_t from = 0;
  const bool decoded = absl::WebSafeBase64Unescape(text, &token);
  const size_t colon = token.find(':');
  if (!decoded || colon == std::string::npos ||
      std::from_chars(token.data(), token.data() + colon, id).ec != std::errc() ||
      std::from_chars(token.data() + colon + 1, token.data() + token.size(), from).ec !=
          std::errc()) {
    return ApiReply::Failed(BadRequest("continue key is not valid"));
  }
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end() || found->second.compactions != store_.compactions()) {
    return ApiReply::Failed(
        Expired("The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."));
  }
  ApiReply reply = Page(target, id, found->second, from, limit);
  if (limit == 0 || from + limit >= found->second.objects.size()) snapshots_.erase(found);
  return reply;
}

ApiReply ApiReader::Page(const ApiTarget& target, uint64_t id, const Snapshot& snapshot,
                         size_t from, size_t limit) {
  const size_t total = snapshot.objects.size();
  const size_t end = limit == 0 ? total : std::min(total, from + limit);
  std::string body =
      absl::StrCat("{\"kind\":\"", std::string(target.kind->kind), "List\",\"apiVersion\":\"",
                   target.kind->api_version(), "\",\"metadata\":{\"resourceVersion\":\"",
                   snapshot.version, "\"");
  if (end < total) {
    absl::StrAppend(&body, ",\"continue\":\"",
                    absl::WebSafeBase64Escape(absl::StrCat(id, ":", end)),
                    "\",\"remainingItemCount\":", total - end);
  }
  body += "},\"items\":[";
  for (size_t i = from; i < end; ++i) {
    if (i > from) body += ',';
    body += snapshot.objects[i]->text;
  }
  body += "]}\n";
  return ApiReply::Of(200, std::move(body));
}

}  // namespace rouse::k8s::local
