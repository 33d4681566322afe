#pragma once
// What:   ConfigNode, a configuration file as a plain tree whose every node knows its line.
// Owner:  a value. Any thread.
// Limits: kConfigDepthMost levels; a file of kConfigBytesMost.
// Never:  shows the YAML library; keeps comments.

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace rouse::app {

inline constexpr int kConfigDepthMost = 32;
inline constexpr size_t kConfigBytesMost = 16 << 20;

struct ConfigNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  std::string file;
  int line = 0;                   ///< from 1
  std::string text;               ///< scalars
  std::vector<ConfigNode> items;  ///< lists
  std::vector<Entry> entries;     ///< maps, in their order; no key comes twice

  [[nodiscard]] bool is_scalar() const { return kind == Kind::kScalar; }
  [[nodiscard]] bool is_list() const { return kind == Kind::kList; }
  [[nodiscard]] bool is_map() const { return kind == Kind::kMap; }
  /// The value of a key of a map; null where absent.
  [[nodiscard]] const ConfigNode* Find(std::string_view key) const;
  /// kInvalidArgument as `file:line: message`.
  [[nodiscard]] absl::Status Error(std::string_view message) const;
  /// OK where this is a map whose keys are all in `known`; else an error that names the nearest
  /// known key.
  [[nodiscard]] absl::Status CheckKeys(const std::vector<std::string>& known) const;
};

struct ConfigNode::Entry {
  std::string key;
  int line = 0;
  ConfigNode value;
};

/// YAML. `file` is for messages only.
[[nodiscard]] absl::StatusOr<ConfigNode> ParseConfig(const std::string& text,
                                                     const std::string& file);
[[nodiscard]] absl::StatusOr<ConfigNode> ReadConfig(const std::string& file);

}  // namespace rouse::app
