#pragma once
// What:      the Scale (autoscaling/v1) of an object with `spec.replicas`: shown, and written back.
// Owner:     nobody; functions. Control thread.
// Invariant: `spec.replicas` is left out where it is 0, as the real API does (omitempty).

#include <string>

#include "k8s/local/api_error.h"
#include "k8s/local/json.h"
#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

[[nodiscard]] Json ScaleOf(const StoredObject& object);
[[nodiscard]] std::string ScaleText(const StoredObject& object);

/// Writes the replica count of `scale` into the object; its resourceVersion and uid, where given,
/// must be the object's.
[[nodiscard]] ApiResult<ObjectRef> WriteScale(ObjectStore& store, const StoredObject& object,
                                              const Json& scale);

}  // namespace rouse::k8s::local
