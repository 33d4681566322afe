#pragma once
// What:  Scale (autoscaling/v1), the subresource that a replica count is read from and written to;
//        ScaleTarget, the object behind it.
// Owner: values. Any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

/// What scales, in the namespace of its Service.
struct ScaleTarget {
  std::string group = "apps";
  std::string version = "v1";
  std::string resource = "deployments";  ///< plural
  std::string name;

  auto operator<=>(const ScaleTarget&) const = default;
  /// "deployments/NAME" for apps/v1, else "GROUP/VERSION/RESOURCE/NAME".
  [[nodiscard]] std::string text() const;
  /// Path of the object, or of its `scale` subresource.
  [[nodiscard]] std::string ObjectPath(std::string_view ns) const;
  [[nodiscard]] std::string ScalePath(std::string_view ns) const;

  template <typename H>
  friend H AbslHashValue(H state, const ScaleTarget& target) {
    return H::combine(std::move(state), target.group, target.version, target.resource, target.name);
  }
};

struct Scale {
  ObjectMeta meta;
  int32_t spec_replicas = 0;  ///< absent means 0: the API omits a zero
  int32_t status_replicas = 0;
  std::string selector;  ///< of the status, as text

  [[nodiscard]] static absl::StatusOr<Scale> Decode(std::string_view json);
};

/// The merge patch that sets `spec.replicas`; with a version it is refused (409) if the object has
/// moved on.
[[nodiscard]] std::string EncodeScalePatch(int32_t replicas, std::string_view resource_version);

}  // namespace rouse::k8s
