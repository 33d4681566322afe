#include "common/app/config_node.h"

#include <fstream>
#include <sstream>

#include <absl/strings/str_cat.h>
#include <yaml-cpp/yaml.h>

#include "common/app/values.h"

namespace rouse::app {
namespace {

absl::Status ErrorAt(const std::string& file, int line, std::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", std::string(message)));
}

absl::StatusOr<ConfigNode> Convert(const YAML::Node& from, const std::string& file, int depth) {
  ConfigNode node;
  node.file = file;
  node.line = from.Mark().line + 1;
  if (depth > kConfigDepthMost) return node.Error("nested too deeply");
  switch (from.Type()) {
    case YAML::NodeType::Scalar:
      node.kind = ConfigNode::Kind::kScalar;
      node.text = from.Scalar();
      break;
    case YAML::NodeType::Sequence:
      node.kind = ConfigNode::Kind::kList;
      for (const YAML::Node& item : from) {
        absl::StatusOr<ConfigNode> converted = Convert(item, file, depth + 1);
        if (!converted.ok()) return converted;
        node.items.push_back(*std::move(converted));
      }
      break;
    case YAML::NodeType::Map:
      node.kind = ConfigNode::Kind::kMap;
      for (const auto& entry : from) {
        const int line = entry.first.Mark().line + 1;
        if (!entry.first.IsScalar()) return ErrorAt(file, line, "a key must be plain text");
        const std::string& key = entry.first.Scalar();
        if (node.Find(key) != nullptr) {
          return ErrorAt(file, line, absl::StrCat("key \"", key, "\" comes twice"));
        }
        absl::StatusOr<ConfigNode> converted = Convert(entry.second, file, depth + 1);
        if (!converted.ok()) return converted;
        node.entries.push_back({key, line, *std::move(converted)});
      }
      break;
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return node;
}

}  // namespace

const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

absl::Status ConfigNode::Error(std::string_view message) const {
  return ErrorAt(file, line, message);
}

absl::Status ConfigNode::CheckKeys(const std::vector<std::string>& known) const {
  if (!is_map()) return Error("expected keys with values");
  for (const Entry& entry : entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    std::string message = absl::StrCat("unknown key \"", entry.key, "\"");
    const std::string nearest = Nearest(entry.key, known);
    if (!nearest.empty()) absl::StrAppend(&message, "; did you mean \"", nearest, "\"?");
    return ErrorAt(file, entry.line, message);
  }
  return absl::OkStatus();
}

absl::StatusOr<ConfigNode> ParseConfig(const std::string& text, const std::string& file) {
  try {
    return Convert(YAML::Load(text), file, 0);
  } catch (const YAML::Exception& error) {
    return ErrorAt(file, error.mark.line + 1, error.msg);
  }
}

absl::StatusOr<ConfigNode> ReadConfig(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (!stream || !(text << stream.rdbuf()).good()) {
    return absl::NotFoundError(absl::StrCat(file, ": cannot be read"));
  }
  if (text.view().size() > kConfigBytesMost) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": larger than ", FormatSize(kConfigBytesMost)));
  }
  return ParseConfig(text.str(), file);
}

}  // namespace rouse::app
