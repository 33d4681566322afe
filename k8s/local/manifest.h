#pragma once
// What:      ParseManifest: the objects in a YAML (or JSON) text of one or several documents.
// Owner:     nobody; a function. Any thread.
// Limits:    JsonBounds, for each document; aliases are expanded within them.

#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/local/json.h"

namespace rouse::k8s::local {

/// Empty documents are left out; a `List` is replaced by its items. kInvalidArgument names the
/// line.
[[nodiscard]] absl::StatusOr<std::vector<Json>> ParseManifest(std::string_view text,
                                                              JsonBounds bounds = {});

}  // namespace rouse::k8s::local
