#pragma once
// What:   Deployment, or anything else with `spec.replicas` and a `spec.template`: what a workload
//         scales.
// Owner:  a value. Any thread.
// Limits: JsonLimits (json_node.h).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/objects/container.h"
#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

/// Also decodes StatefulSets, ReplicaSets and custom kinds of the same shape.
struct Deployment {
  static constexpr ResourceType kType{"apps", "v1", "deployments", "Deployment"};

  ObjectMeta meta;
  std::optional<int32_t> replicas;  ///< of the spec
  int32_t status_replicas = 0;
  int32_t ready_replicas = 0;
  std::map<std::string, std::string> template_labels;
  std::vector<Container> containers;         ///< of the template
  std::vector<std::string> readiness_gates;  ///< of the template

  [[nodiscard]] static absl::StatusOr<Deployment> Decode(std::string_view json);
};

struct StatefulSet : Deployment {
  static constexpr ResourceType kType{"apps", "v1", "statefulsets", "StatefulSet"};
  [[nodiscard]] static absl::StatusOr<StatefulSet> Decode(std::string_view json);
};

}  // namespace rouse::k8s
