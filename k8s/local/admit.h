#pragma once
// What:      what the API server does to an object before it is stored: fills in the defaults that
//            clients and controllers rely on, and refuses what is wrong, in Kubernetes' words.
// Owner:     nobody; pure functions. Any thread.
// Invariant: defaults are filled in before an object is checked; both may be repeated without harm.
// Never:     complete: only fields that rouse-local or Rouse read are looked at.

#include "k8s/local/api_error.h"
#include "k8s/local/json.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

void FillDefaults(const ResourceKind& kind, Json& object);

/// `before` is the object that is replaced, or nullptr.
[[nodiscard]] ApiError CheckObject(const ResourceKind& kind, const Json& object,
                                   const Json* before);

}  // namespace rouse::k8s::local
