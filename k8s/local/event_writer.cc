#include "k8s/local/event_writer.h"

#include <cstdio>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

/// The same remark gets the same name, so that it is found again.
std::string EventName(const StoredObject& about, std::string_view reason,
                      std::string_view message) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char c :
       absl::StrCat(about.uid, "/", std::string(reason), "/", std::string(message))) {
    hash = (hash ^ c) * 0x100000001b3ULL;
  }
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return about.key.name + "." + text;
}

}  // namespace

void EventWriter::Write(const StoredObject& about, std::string_view type, std::string_view reason,
                        std::string_view message) {
  const std::string now = TimeText(store_.loop().clock().wall());
  const std::string ns = about.key.ns.empty() ? "default" : about.key.ns;
  const ObjectKey key{ns, EventName(about, reason, message)};
  if (store_.Get(EventKind(), key) != nullptr) {
    const auto edit = [&](Json& copy) -> ApiError {
      Ensure(copy, {"count"}) = NumberAt(copy, {"count"}, 1) + 1;
      Ensure(copy, {"lastTimestamp"}) = now;
      return {};
    };
    (void)store_.Write(EventKind(), key, WritePart::kAll, edit).ok();
    return;
  }
  const json::object event{
      {"metadata", json::object{{"name", key.name}}},
      {"involvedObject", json::object{{"apiVersion", about.kind->api_version()},
                                      {"kind", std::string(about.kind->kind)},
                                      {"namespace", about.key.ns},
                                      {"name", about.key.name},
                                      {"uid", about.uid},
                                      {"resourceVersion", std::to_string(about.version)}}},
      {"reason", std::string(reason)},
      {"message", std::string(message.substr(0, 1024))},
      {"source", json::object{{"component", component_}}},
      {"reportingComponent", component_},
      {"firstTimestamp", now},
      {"lastTimestamp", now},
      {"count", 1},
      {"type", std::string(type)}};
  (void)store_.Create(EventKind(), ns, event).ok();
}

}  // namespace rouse::k8s::local
