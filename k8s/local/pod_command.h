#pragma once
// What:      PodCommand: the command line and environment of a pod's first container.
// Owner:     a value made by PodProcess at each start. Control thread.
// Invariant: a later variable may use earlier ones as $(NAME), and $$(NAME) stays text, as in
//            Kubernetes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

struct PodPlace {
  std::string address;  ///< the pod's own
  uint16_t port = 0;    ///< and its PORT
};

struct PodCommand {
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string working_dir;

  /// kInvalidArgument says what is missing, in words for an Event.
  [[nodiscard]] static absl::StatusOr<PodCommand> Of(const ObjectStore& store,
                                                     const StoredObject& pod,
                                                     const PodPlace& place);
};

/// The first container of a pod; an empty object where there is none.
[[nodiscard]] const Json& FirstContainer(const StoredObject& pod);

/// The PORT that somebody fixed: by annotation, or as a plain variable of the container.
[[nodiscard]] std::optional<uint16_t> FixedPort(const StoredObject& pod);

}  // namespace rouse::k8s::local
