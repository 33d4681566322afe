#pragma once
// What:  ObjectKey, the name of a namespaced Kubernetes object, and so of a workload:
//        `namespace/name`.
// Owner: a value. Any thread.

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rouse {

struct ObjectKey {
  std::string ns;
  std::string name;

  [[nodiscard]] std::string text() const { return ns + "/" + name; }

  /// Parses `namespace/name`; nullopt unless there is exactly one slash and both parts are
  /// non-empty.
  [[nodiscard]] static std::optional<ObjectKey> Parse(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size())
      return std::nullopt;
    if (text.find('/', slash + 1) != std::string_view::npos) return std::nullopt;
    return ObjectKey{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  }

  auto operator<=>(const ObjectKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H state, const ObjectKey& key) {
    return H::combine(std::move(state), key.ns, key.name);
  }
};

}  // namespace rouse
