#pragma once
// What:   EndpointSlice (discovery.k8s.io/v1): some of a Service's pod addresses with their
//         conditions.
// Owner:  a value. Any thread.
// Limits: JsonLimits (json_node.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

/// The label by which a slice names its Service.
inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";

struct EndpointTarget {
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
};

struct SliceEndpoint {
  std::vector<std::string> addresses;
  bool ready = true;    ///< absent means ready
  bool serving = true;  ///< absent means what ready says
  bool terminating = false;
  EndpointTarget target;  ///< kind is empty where there is no targetRef
  std::string node_name;
};

struct SlicePort {
  std::string name;
  std::string protocol = "TCP";
  std::string app_protocol;
  std::optional<uint16_t> port;  ///< absent: every port
};

struct EndpointSlice {
  static constexpr ResourceType kType{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"};
  enum class AddressType : uint8_t { kIpv4, kIpv6, kFqdn };

  ObjectMeta meta;
  AddressType address_type = AddressType::kIpv4;
  std::vector<SliceEndpoint> endpoints;
  std::vector<SlicePort> ports;

  /// From the label; empty where the slice names no Service.
  [[nodiscard]] std::string service_name() const {
    return std::string(meta.label(kServiceNameLabel));
  }

  [[nodiscard]] static absl::StatusOr<EndpointSlice> Decode(std::string_view json);
};

}  // namespace rouse::k8s
