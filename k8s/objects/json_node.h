#pragma once
// What:      JsonDocument parses one JSON text; JsonNode walks it. A wrong type is remembered with
//            its path (`spec.ports[1].port: not a number`) and reads as absent, so that decoders
//            have no error branches.
// Owner:     a decoder, on its stack; nodes live as long as their document.
// Limits:    JsonLimits.
// Never:     shows Boost.JSON.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>

#include "common/base/clock.h"

namespace boost::json {
class value;
}

namespace rouse::k8s {

struct JsonLimits {
  size_t bytes_max = 16 << 20;
  size_t depth_max = 64;
};

class JsonDocument;

class JsonNode {
 public:
  JsonNode(JsonDocument* document, const boost::json::value* value)
      : document_(document), value_(value) {}

  /// False where absent or null.
  [[nodiscard]] bool present() const { return value_ != nullptr; }
  /// A member; absent where there is none.
  [[nodiscard]] JsonNode operator[](std::string_view key) const;

  [[nodiscard]] std::string Text(std::string_view otherwise = {}) const;
  [[nodiscard]] bool Flag(bool otherwise = false) const;
  [[nodiscard]] std::optional<bool> MaybeFlag() const;
  [[nodiscard]] std::optional<int64_t> Number(int64_t least, int64_t most) const;
  [[nodiscard]] int32_t Count() const;                 ///< a number in [0, 2^31); 0 where absent
  [[nodiscard]] std::optional<uint16_t> Port() const;  ///< [1, 65535]
  [[nodiscard]] std::string NumberOrText() const;      ///< an IntOrString as text
  [[nodiscard]] std::optional<WallTime> Time() const;
  [[nodiscard]] std::map<std::string, std::string> TextMap() const;
  [[nodiscard]] std::vector<std::string> TextList() const;
  void Each(absl::FunctionRef<void(JsonNode)> visit) const;  ///< elements of an array

  /// Records that this node, or a member of it, is not what it should be. The first failure stays.
  void Fail(std::string_view why, std::string_view member = {}) const;

 private:
  JsonDocument* document_;
  const boost::json::value* value_;
};

class JsonDocument {
 public:
  explicit JsonDocument(std::string_view text, JsonLimits limits = {});
  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  [[nodiscard]] JsonNode root();
  /// OK, or the first thing that was wrong (kInvalidArgument).
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  friend class JsonNode;
  struct Tree;
  std::unique_ptr<Tree> tree_;
  absl::Status status_;
};

}  // namespace rouse::k8s
