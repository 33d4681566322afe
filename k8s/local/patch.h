#pragma once
// What:      the two patches of the API: merge patch (RFC 7386) and JSON patch (RFC 6902).
// Owner:     nobody; pure functions. Any thread.
// Limits:    kPatchOperationsMax operations, as the API server has it.
// Invariant: a patch that fails leaves its target in an unspecified state: patch a copy.
// Never:     strategic merge by list keys; rouse-local takes such a patch as a merge patch, except
//            for lists of containers and environment variables, merged by name.

#include <string_view>

#include <absl/status/status.h>

#include "k8s/local/json.h"

namespace rouse::k8s::local {

inline constexpr size_t kPatchOperationsMax = 10000;

void MergePatch(Json& target, const Json& patch);

/// As a merge patch, but lists whose elements all have a `name` are merged by it.
void StrategicMergePatch(Json& target, const Json& patch);

/// kInvalidArgument: the patch is malformed. kFailedPrecondition: it does not fit, or a `test`
/// failed.
[[nodiscard]] absl::Status JsonPatch(Json& target, const Json& operations);

}  // namespace rouse::k8s::local
