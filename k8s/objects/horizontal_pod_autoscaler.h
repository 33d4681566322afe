#pragma once
// What:  HorizontalPodAutoscaler (autoscaling/v2): what else in the cluster scales which object.
// Owner: a value. Any thread.

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct HorizontalPodAutoscaler {
  static constexpr ResourceType kType{"autoscaling", "v2", "horizontalpodautoscalers",
                                      "HorizontalPodAutoscaler"};

  ObjectMeta meta;
  // Its scaleTargetRef.
  std::string target_group;
  std::string target_resource;  ///< plural, guessed from the kind as kubectl does
  std::string target_name;

  [[nodiscard]] static absl::StatusOr<HorizontalPodAutoscaler> Decode(std::string_view json);
};

/// "deployments" of "Deployment", "proxies" of "Proxy", "ingresses" of "Ingress".
[[nodiscard]] std::string GuessResource(std::string_view kind);

}  // namespace rouse::k8s
