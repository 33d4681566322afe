#pragma once
// What:  Pod: addresses, containers with their probes, and how far each container has come.
// Owner: a value. Any thread.
// Limits: JsonLimits (json_node.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/objects/container.h"
#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct ContainerStatus {
  std::string name;
  bool ready = false;
  bool started = false;
  int restart_count = 0;
  bool running = false;
  std::optional<WallTime> started_at;  ///< of the run that is running
  std::string container_id;
};

struct Pod {
  static constexpr ResourceType kType{"", "v1", "pods", "Pod"};
  enum class Phase : uint8_t { kUnknown, kPending, kRunning, kSucceeded, kFailed };

  ObjectMeta meta;
  Phase phase = Phase::kUnknown;
  std::vector<std::string> ips;  ///< the primary first
  std::string node_name;
  bool host_network = false;
  std::vector<Container> containers;
  std::vector<std::string> readiness_gates;
  std::vector<ContainerStatus> container_statuses;
  bool ready = false;                        ///< condition Ready is True
  std::optional<WallTime> ready_transition;  ///< when that condition last changed

  [[nodiscard]] const ContainerStatus* status_of(std::string_view container) const;

  [[nodiscard]] static absl::StatusOr<Pod> Decode(std::string_view json);
};

}  // namespace rouse::k8s
