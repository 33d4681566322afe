#include "k8s/objects/json_node.h"

#include <boost/json.hpp>

#include "k8s/objects/timestamp.h"

namespace rouse::k8s {
namespace {

namespace json = boost::json;

/// Finds `target` below `at` by identity and writes the way to it; nodes carry no path of their
/// own.
bool FindPath(const json::value& at, const json::value* target, std::string& path) {
  if (&at == target) return true;
  const size_t length = path.size();
  if (const json::object* object = at.if_object()) {
    for (const auto& member : *object) {
      if (length > 0) path += '.';
      path.append(member.key().data(), member.key().size());
      if (FindPath(member.value(), target, path)) return true;
      path.resize(length);
    }
  } else if (const json::array* array = at.if_array()) {
    for (size_t i = 0; i < array->size(); ++i) {
      path += '[' + std::to_string(i) + ']';
      if (FindPath((*array)[i], target, path)) return true;
      path.resize(length);
    }
  }
  return false;
}

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

}  // namespace

struct JsonDocument::Tree {
  Tree() : root(json::storage_ptr(&memory)) {}
  json::monotonic_resource memory;
  json::value root;
};

JsonDocument::JsonDocument(std::string_view text, JsonLimits limits)
    : tree_(std::make_unique<Tree>()) {
  if (text.size() > limits.bytes_max) {
    status_ = Invalid("larger than " + std::to_string(limits.bytes_max) + " bytes");
    return;
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;
  json::error_code error;
  tree_->root = json::parse(json::string_view(text.data(), text.size()), error,
                            json::storage_ptr(&tree_->memory), options);
  if (error) {
    status_ = Invalid("not JSON: " + error.message());
    tree_->root = nullptr;
  } else if (!tree_->root.is_object()) {
    status_ = Invalid("not a JSON object");
    tree_->root = nullptr;
  }
}

JsonDocument::~JsonDocument() = default;

JsonNode JsonDocument::root() { return {this, tree_->root.is_null() ? nullptr : &tree_->root}; }

void JsonNode::Fail(std::string_view why, std::string_view member) const {
  if (!document_->status_.ok()) return;
  std::string path;
  if (value_ != nullptr) FindPath(document_->tree_->root, value_, path);
  if (!member.empty()) {
    if (!path.empty()) path += '.';
    path += member;
  }
  document_->status_ = Invalid(path + ": " + std::string(why));
}

JsonNode JsonNode::operator[](std::string_view key) const {
  if (value_ == nullptr) return *this;
  const json::object* object = value_->if_object();
  if (object == nullptr) {
    Fail("not an object");
    return {document_, nullptr};
  }
  const json::value* member = object->if_contains(json::string_view(key.data(), key.size()));
  if (member != nullptr && member->is_null()) member = nullptr;
  return {document_, member};
}

std::string JsonNode::Text(std::string_view otherwise) const {
  if (value_ == nullptr) return std::string(otherwise);
  if (const json::string* text = value_->if_string()) return {text->data(), text->size()};
  Fail("not a string");
  return std::string(otherwise);
}

std::optional<bool> JsonNode::MaybeFlag() const {
  if (value_ == nullptr) return std::nullopt;
  if (const bool* flag = value_->if_bool()) return *flag;
  Fail("not a boolean");
  return std::nullopt;
}

bool JsonNode::Flag(bool otherwise) const { return MaybeFlag().value_or(otherwise); }

std::optional<int64_t> JsonNode::Number(int64_t least, int64_t most) const {
  if (value_ == nullptr) return std::nullopt;
  if (value_->is_double()) {
    Fail("not a whole number");
    return std::nullopt;
  }
  if (!value_->is_number()) {
    Fail("not a number");
    return std::nullopt;
  }
  const int64_t* number = value_->if_int64();
  if (number == nullptr || *number < least || *number > most) {
    Fail("not in " + std::to_string(least) + ".." + std::to_string(most));
    return std::nullopt;
  }
  return *number;
}

int32_t JsonNode::Count() const { return static_cast<int32_t>(Number(0, INT32_MAX).value_or(0)); }

std::optional<uint16_t> JsonNode::Port() const {
  const std::optional<int64_t> number = Number(1, 65535);
  if (!number) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

std::string JsonNode::NumberOrText() const {
  if (value_ == nullptr) return {};
  if (value_->is_string()) return Text();
  const std::optional<int64_t> number = Number(INT32_MIN, INT32_MAX);
  return number ? std::to_string(*number) : std::string();
}

std::optional<WallTime> JsonNode::Time() const {
  if (value_ == nullptr) return std::nullopt;
  const std::optional<WallTime> time = ParseTimestamp(Text());
  if (!time) Fail("not a timestamp");
  return time;
}

std::map<std::string, std::string> JsonNode::TextMap() const {
  std::map<std::string, std::string> map;
  if (value_ == nullptr) return map;
  const json::object* object = value_->if_object();
  if (object == nullptr) {
    Fail("not an object");
    return map;
  }
  for (const auto& member : *object) {
    const JsonNode node(document_, &member.value());
    map.emplace(std::string(member.key()), node.Text());
  }
  return map;
}

std::vector<std::string> JsonNode::TextList() const {
  std::vector<std::string> list;
  Each([&](JsonNode node) { list.push_back(node.Text()); });
  return list;
}

void JsonNode::Each(absl::FunctionRef<void(JsonNode)> visit) const {
  if (value_ == nullptr) return;
  const json::array* array = value_->if_array();
  if (array == nullptr) {
    Fail("not a list");
    return;
  }
  for (const json::value& element : *array) visit({document_, &element});
}

}  // namespace rouse::k8s
