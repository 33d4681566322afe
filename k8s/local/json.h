#pragma once
// What:      reading and writing JSON values by path, so that the rest of rouse-local need not
//            spell it out.
// Owner:     nobody; functions on values owned by the caller. Any thread.
// Limits:    JsonBounds, for what comes from outside.
// Invariant: a member that is absent, null or of another type reads as absent.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "common/base/clock.h"

namespace boost::json {
class array;
class object;
class value;
}  // namespace boost::json

namespace rouse::k8s::local {

using Json = boost::json::value;
using JsonArray = boost::json::array;
using JsonObject = boost::json::object;
using JsonPath = std::initializer_list<std::string_view>;
using TextMap = std::map<std::string, std::string>;

struct JsonBounds {
  size_t bytes_max = 4 << 20;
  size_t depth_max = 64;
};

/// A whole document, which must be an object or an array; kInvalidArgument says what is wrong.
[[nodiscard]] absl::StatusOr<Json> ParseJson(std::string_view text, JsonBounds bounds = {});
[[nodiscard]] std::string JsonText(const Json& value);
/// Indented by two spaces, for people.
[[nodiscard]] std::string JsonPretty(const Json& value);

/// nullptr where absent or null.
[[nodiscard]] const Json* Find(const Json& value, JsonPath path);
[[nodiscard]] std::string TextAt(const Json& value, JsonPath path, std::string_view otherwise = {});
[[nodiscard]] std::optional<int64_t> NumberAt(const Json& value, JsonPath path);
[[nodiscard]] int64_t NumberAt(const Json& value, JsonPath path, int64_t otherwise);
[[nodiscard]] bool FlagAt(const Json& value, JsonPath path, bool otherwise = false);
[[nodiscard]] TextMap TextMapAt(const Json& value, JsonPath path);
/// A number or a text, as text: an IntOrString.
[[nodiscard]] std::string NumberOrTextAt(const Json& value, JsonPath path);
/// The elements of an array; an empty one where absent.
[[nodiscard]] const JsonArray& ArrayAt(const Json& value, JsonPath path);

/// The member at `path`, made (with the objects on the way) where absent.
[[nodiscard]] Json& Ensure(Json& value, JsonPath path);
/// As Ensure, and an object, whatever it was before.
[[nodiscard]] JsonObject& EnsureObject(Json& value, JsonPath path);
/// Removes a member; true where there was one.
bool Erase(Json& value, JsonPath path);

/// `2026-01-31T08:00:00Z`, as the API writes times; whole seconds.
[[nodiscard]] std::string TimeText(WallTime time);
/// With microseconds, as Leases and Events write them.
[[nodiscard]] std::string MicroTimeText(WallTime time);
[[nodiscard]] std::optional<WallTime> ParseTime(std::string_view text);

}  // namespace rouse::k8s::local
