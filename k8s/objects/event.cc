#include "k8s/objects/event.h"

#include <algorithm>

#include <boost/json.hpp>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

/// At most `most` bytes, cut between characters.
std::string Cut(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace

absl::StatusOr<Event> Event::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Event event;
  event.meta = DecodeMeta(root);
  const JsonNode subject = root["involvedObject"];
  event.subject = {
      subject["apiVersion"].Text("v1"), subject["kind"].Text(), subject["namespace"].Text(),
      subject["name"].Text(),           subject["uid"].Text(),  subject["resourceVersion"].Text()};
  event.warning = root["type"].Text() == "Warning";
  event.reason = root["reason"].Text();
  event.message = root["message"].Text();
  event.component = root["source"]["component"].Text();
  event.first_time = root["firstTimestamp"].Time().value_or(WallTime());
  event.last_time = root["lastTimestamp"].Time().value_or(WallTime());
  event.count = std::max(1, root["count"].Count());
  if (!document.status().ok()) return document.status();
  return event;
}

std::string Event::Encode() const {
  boost::json::object metadata{{"name", meta.name}, {"namespace", meta.ns}};
  if (!meta.resource_version.empty()) metadata["resourceVersion"] = meta.resource_version;
  boost::json::object involved{{"apiVersion", subject.api_version},
                               {"kind", subject.kind},
                               {"namespace", subject.ns},
                               {"name", subject.name}};
  if (!subject.uid.empty()) involved["uid"] = subject.uid;
  if (!subject.resource_version.empty()) involved["resourceVersion"] = subject.resource_version;
  return boost::json::serialize(boost::json::object{{"apiVersion", "v1"},
                                                    {"kind", "Event"},
                                                    {"metadata", std::move(metadata)},
                                                    {"involvedObject", std::move(involved)},
                                                    {"type", warning ? "Warning" : "Normal"},
                                                    {"reason", reason},
                                                    {"message", Cut(message, message_max)},
                                                    {"source", {{"component", component}}},
                                                    {"reportingComponent", component},
                                                    {"firstTimestamp", FormatTimestamp(first_time)},
                                                    {"lastTimestamp", FormatTimestamp(last_time)},
                                                    {"count", count}});
}

}  // namespace rouse::k8s
