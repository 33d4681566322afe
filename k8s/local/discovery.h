#pragma once
// What:      the discovery documents: /version, /api, /apis, /api/v1, /apis/GROUP[/VERSION].
// Owner:     nobody; a function over the table of kinds. Any thread.

#include <optional>
#include <string>
#include <string_view>

namespace rouse::k8s::local {

/// nullopt where `path` is no discovery path.
[[nodiscard]] std::optional<std::string> DiscoveryText(std::string_view path);

}  // namespace rouse::k8s::local
