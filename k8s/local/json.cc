#include "k8s/local/json.h"

#include <cstdio>
#include <ctime>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

absl::StatusOr<Json> ParseJson(std::string_view text, JsonBounds bounds) {
  if (text.size() > bounds.bytes_max)
    return absl::InvalidArgumentError("the document is too large");
  json::parse_options options;
  options.max_depth = bounds.depth_max;
  boost::system::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return absl::InvalidArgumentError(error.message());
  if (!value.is_object() && !value.is_array()) {
    return absl::InvalidArgumentError("the document is neither an object nor an array");
  }
  return value;
}

std::string JsonText(const Json& value) { return json::serialize(value); }

namespace {

void AppendPretty(const json::value& value, size_t indent, std::string& out) {
  const std::string pad((indent + 1) * 2, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{\n";
    size_t left = value.get_object().size();
    for (const json::key_value_pair& member : value.get_object()) {
      absl::StrAppend(&out, pad, json::serialize(json::string(member.key())), ": ");
      AppendPretty(member.value(), indent + 1, out);
      out += --left > 0 ? ",\n" : "\n";
    }
    absl::StrAppend(&out, std::string(indent * 2, ' '), "}");
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[\n";
    size_t left = value.get_array().size();
    for (const json::value& element : value.get_array()) {
      out += pad;
      AppendPretty(element, indent + 1, out);
      out += --left > 0 ? ",\n" : "\n";
    }
    absl::StrAppend(&out, std::string(indent * 2, ' '), "]");
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string JsonPretty(const Json& value) {
  std::string out;
  AppendPretty(value, 0, out);
  return out;
}

const Json* Find(const Json& value, JsonPath path) {
  const json::value* at = &value;
  for (std::string_view key : path) {
    const json::object* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = object->if_contains({key.data(), key.size()});
    if (at == nullptr || at->is_null()) return nullptr;
  }
  return at;
}

std::string TextAt(const Json& value, JsonPath path, std::string_view otherwise) {
  const json::value* found = Find(value, path);
  if (found == nullptr || !found->is_string()) return std::string(otherwise);
  return std::string(found->get_string().data(), found->get_string().size());
}

std::optional<int64_t> NumberAt(const Json& value, JsonPath path) {
  const json::value* found = Find(value, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  boost::system::error_code error;
  const int64_t number = found->to_number<int64_t>(error);
  if (error) return std::nullopt;
  return number;
}

int64_t NumberAt(const Json& value, JsonPath path, int64_t otherwise) {
  return NumberAt(value, path).value_or(otherwise);
}

bool FlagAt(const Json& value, JsonPath path, bool otherwise) {
  const json::value* found = Find(value, path);
  return found != nullptr && found->is_bool() ? found->get_bool() : otherwise;
}

TextMap TextMapAt(const Json& value, JsonPath path) {
  TextMap result;
  const json::value* found = Find(value, path);
  if (found == nullptr || !found->is_object()) return result;
  for (const json::key_value_pair& member : found->get_object()) {
    if (member.value().is_string()) {
      result[std::string(member.key())] = std::string(member.value().get_string());
    }
  }
  return result;
}

std::string NumberOrTextAt(const Json& value, JsonPath path) {
  if (const std::optional<int64_t> number = NumberAt(value, path)) return std::to_string(*number);
  return TextAt(value, path);
}

const JsonArray& ArrayAt(const Json& value, JsonPath path) {
  static const json::array kEmpty;
  const json::value* found = Find(value, path);
  return found != nullptr && found->is_array() ? found->get_array() : kEmpty;
}

Json& Ensure(Json& value, JsonPath path) {
  json::value* at = &value;
  for (std::string_view key : path) {
    if (!at->is_object()) *at = json::object();
    at = &at->get_object()[json::string_view(key.data(), key.size())];
  }
  return *at;
}

JsonObject& EnsureObject(Json& value, JsonPath path) {
  json::value& at = Ensure(value, path);
  if (!at.is_object()) at = json::object();
  return at.get_object();
}

bool Erase(Json& value, JsonPath path) {
  json::value* at = &value;
  size_t left = path.size();
  for (std::string_view key : path) {
    if (!at->is_object()) return false;
    json::object& object = at->get_object();
    const json::string_view name(key.data(), key.size());
    if (--left == 0) return object.erase(name) > 0;
    at = object.if_contains(name);
    if (at == nullptr) return false;
  }
  return false;
}

namespace {

std::tm CalendarOf(WallTime time, int64_t& micros) {
  const int64_t total =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(total / 1'000'000);
  micros = total % 1'000'000;
  std::tm calendar{};
  gmtime_r(&seconds, &calendar);
  return calendar;
}

}  // namespace

std::string TimeText(WallTime time) {
  int64_t micros = 0;
  const std::tm calendar = CalendarOf(time, micros);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &calendar);
  return {text, length};
}

std::string MicroTimeText(WallTime time) {
  int64_t micros = 0;
  const std::tm calendar = CalendarOf(time, micros);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &calendar);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(micros));
  return std::string(text, length) + fraction;
}

std::optional<WallTime> ParseTime(std::string_view text) {
  std::tm calendar{};
  const std::string whole(text);
  const char* rest = strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%S", &calendar);
  if (rest == nullptr) return std::nullopt;
  WallTime time = std::chrono::system_clock::from_time_t(timegm(&calendar));
  if (*rest == '.') {
    int64_t scale = 100'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, scale /= 10) {
      time += std::chrono::microseconds((*rest - '0') * scale);
    }
  }
  if (*rest != 'Z' || rest[1] != '\0') return std::nullopt;
  return time;
}

}  // namespace rouse::k8s::local
