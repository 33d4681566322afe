#pragma once
// What:  Lease (coordination.k8s.io/v1), by which replicas agree on a leader.
// Owner: a value. Any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct Lease {
  static constexpr ResourceType kType{"coordination.k8s.io", "v1", "leases", "Lease"};

  ObjectMeta meta;
  std::string holder;  ///< empty: nobody
  int32_t duration_seconds = 0;
  int32_t transitions = 0;
  std::optional<WallTime> acquire_time;
  std::optional<WallTime> renew_time;

  [[nodiscard]] static absl::StatusOr<Lease> Decode(std::string_view json);
  /// For create and update: with metadata.resourceVersion where there is one.
  [[nodiscard]] std::string Encode() const;
};

}  // namespace rouse::k8s
