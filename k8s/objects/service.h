#pragma once
// What:   Service, the part of it that routing and policy read.
// Owner:  a value. Any thread.
// Limits: JsonLimits (json_node.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct ServicePort {
  std::string name;  ///< may be empty where it is the only port
  std::string protocol = "TCP";
  std::string app_protocol;
  uint16_t port = 0;
  std::string target_port;  ///< number or name of a container's port, as text; empty: same as port
};

struct Service {
  static constexpr ResourceType kType{"", "v1", "services", "Service"};

  ObjectMeta meta;
  std::string type = "ClusterIP";
  std::string cluster_ip;
  std::vector<ServicePort> ports;
  std::map<std::string, std::string> selector;
  bool publish_not_ready_addresses = false;

  [[nodiscard]] static absl::StatusOr<Service> Decode(std::string_view json);
};

}  // namespace rouse::k8s
