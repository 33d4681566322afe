#include "k8s/yaml_json.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>
#include <yaml-cpp/yaml.h>

namespace rouse::k8s {

namespace json = boost::json;

namespace {

constexpr size_t kBytesPerNode = 8;

struct Converter {
  YamlBounds& left;
  std::string wrong{};

  json::value Convert(const YAML::Node& node, size_t depth);
  json::value Scalar(const YAML::Node& node);
  void Take(size_t bytes) { left.bytes -= std::min(left.bytes, bytes); }
  void Fail(const YAML::Node& node, std::string_view why) {
    if (wrong.empty()) {
      wrong = absl::StrCat("line ", node.Mark().line + 1, ": ", std::string(why));
    }
  }
};

json::value Converter::Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  Take(text.size());
  if (node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str") return json::string(text);
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  int64_t whole = 0;
  const char* end = text.data() + text.size();
  const char* digits = text[0] == '+' ? text.data() + 1 : text.data();
  if (const auto read = std::from_chars(digits, end, whole);
      read.ec == std::errc() && read.ptr == end) {
    return whole;
  }
  double real = 0;
  if (const auto read = std::from_chars(digits, end, real);
      read.ec == std::errc() && read.ptr == end && text.find_first_of("0123456789") < 2) {
    return real;
  }
  return json::string(text);
}

json::value Converter::Convert(const YAML::Node& node, size_t depth) {
  if (depth > left.depth || left.bytes == 0) {
    Fail(node, "the document is too deep or, with its aliases, too large");
    return nullptr;
  }
  Take(kBytesPerNode);
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return Scalar(node);
    case YAML::NodeType::Sequence: {
      json::array list;
      for (const YAML::Node& element : node) list.push_back(Convert(element, depth + 1));
      return list;
    }
    case YAML::NodeType::Map: {
      json::object object;
      for (const auto& member : node) {
        if (!member.first.IsScalar()) {
          Fail(member.first, "a key is not a scalar");
          continue;
        }
        const std::string& key = member.first.Scalar();
        if (object.contains(key))
          Fail(member.first, absl::StrCat("key \"", key, "\" appears twice"));
        object[key] = Convert(member.second, depth + 1);
      }
      return object;
    }
    default:
      return nullptr;
  }
}

}  // namespace

absl::Status YamlToJson(const YAML::Node& node, YamlBounds& left, json::value& into) {
  Converter converter{.left = left};
  into = converter.Convert(node, 0);
  return converter.wrong.empty() ? absl::OkStatus() : absl::InvalidArgumentError(converter.wrong);
}

}  // namespace rouse::k8s
