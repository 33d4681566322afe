#include "k8s/local/manifest.h"

#include <charconv>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>
#include <yaml-cpp/yaml.h>

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

struct Converter {
  JsonBounds bounds;
  size_t bytes = 0;
  std::string wrong;

  json::value Convert(const YAML::Node& node, size_t depth);
  json::value Scalar(const YAML::Node& node);
  void Fail(const YAML::Node& node, std::string_view why) {
    if (wrong.empty()) {
      wrong = absl::StrCat("line ", node.Mark().line + 1, ": ", std::string(why));
    }
  }
};

json::value Converter::Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  bytes += text.size();
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
  if (depth > bounds.depth_max || bytes > bounds.bytes_max) {
    Fail(node, "the document is too deep or, with its aliases, too large");
    return nullptr;
  }
  bytes += 8;
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

absl::StatusOr<std::vector<Json>> ParseManifest(std::string_view text, JsonBounds bounds) {
  if (text.size() > bounds.bytes_max) return absl::InvalidArgumentError("the text is too large");
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  }
  std::vector<Json> objects;
  Converter converter{bounds, 0, {}};
  for (const YAML::Node& document : documents) {
    json::value value = converter.Convert(document, 0);
    if (!converter.wrong.empty()) return absl::InvalidArgumentError(converter.wrong);
    if (value.is_null()) continue;
    if (!value.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", document.Mark().line + 1, ": not an object"));
    }
    if (TextAt(value, {"kind"}).ends_with("List") && Find(value, {"items"}) != nullptr) {
      for (const json::value& item : ArrayAt(value, {"items"})) objects.push_back(item);
    } else {
      objects.push_back(std::move(value));
    }
  }
  return objects;
}

}  // namespace rouse::k8s::local
