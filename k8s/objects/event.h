#pragma once
// What:   Event (core v1), a remark on an object that people see in `describe`.
// Owner:  a value. Any thread.
// Limits: message_max characters of message; more is cut.

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct EventSubject {
  std::string api_version = "v1";
  std::string kind = "Service";
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
};

struct Event {
  static constexpr ResourceType kType{"", "v1", "events", "Event"};
  static constexpr size_t message_max = 1024;

  ObjectMeta meta;
  EventSubject subject;
  bool warning = false;
  std::string reason;     ///< CamelCase, for machines
  std::string message;    ///< a sentence, for people
  std::string component;  ///< who says so
  WallTime first_time{};
  WallTime last_time{};
  int32_t count = 1;

  [[nodiscard]] static absl::StatusOr<Event> Decode(std::string_view json);
  [[nodiscard]] std::string Encode() const;
};

}  // namespace rouse::k8s
