#include "k8s/local/manifest.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>
#include <yaml-cpp/yaml.h>

#include "k8s/yaml_json.h"

namespace rouse::k8s::local {

namespace json = boost::json;

absl::StatusOr<std::vector<Json>> ParseManifest(std::string_view text, JsonBounds bounds) {
  if (text.size() > bounds.bytes_max) return absl::InvalidArgumentError("the text is too large");
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  }
  std::vector<Json> objects;
  YamlBounds left{.bytes = bounds.bytes_max, .depth = bounds.depth_max};
  for (const YAML::Node& document : documents) {
    json::value value;
    absl::Status status = YamlToJson(document, left, value);
    if (!status.ok()) return status;
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
