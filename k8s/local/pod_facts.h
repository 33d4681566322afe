#pragma once
// What:      what controllers and the runner read out of a pod: owner, readiness, and which number
//            each of its ports has.
// Owner:     nobody; pure functions. Any thread.
// Invariant: the first port of the first container is the pod's own PORT (design 15.13) once the
//            runner has given it one.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/local/json.h"
#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

/// Annotations of pods. The runner writes the first two; the others are people's.
inline constexpr std::string_view kPortAnnotation = "local.rouse.dev/port";
inline constexpr std::string_view kExecTimeAnnotation = "local.rouse.dev/exec-time-ns";
inline constexpr std::string_view kStartDelayAnnotation = "local.rouse.dev/start-delay";

[[nodiscard]] bool IsReady(const Json& pod);
/// Neither Succeeded nor Failed nor on its way out.
[[nodiscard]] bool IsActive(const StoredObject& pod);
/// The uid of the controller in ownerReferences; empty without one.
[[nodiscard]] std::string OwnerUid(const Json& object);
/// An ownerReferences element for `owner`.
[[nodiscard]] Json OwnerReference(const StoredObject& owner);

/// The PORT that the runner has given to a pod.
[[nodiscard]] std::optional<uint16_t> OwnPort(const Json& pod);
/// The number behind a port's name or number in a Service or a probe of a pod whose PORT is `own`;
/// nullopt where no container has that name.
[[nodiscard]] std::optional<uint16_t> PodPort(const Json& pod, std::string_view name_or_number,
                                              std::optional<uint16_t> own);

/// Owned by the object with `uid`, of whatever kind.
[[nodiscard]] std::vector<ObjectRef> DependentsOf(const ObjectStore& store, std::string_view uid);

}  // namespace rouse::k8s::local
