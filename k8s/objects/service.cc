#include "k8s/objects/service.h"

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<Service> Service::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Service service;
  service.meta = DecodeMeta(root);
  const JsonNode spec = root["spec"];
  service.type = spec["type"].Text("ClusterIP");
  service.cluster_ip = spec["clusterIP"].Text();
  service.selector = spec["selector"].TextMap();
  service.publish_not_ready_addresses = spec["publishNotReadyAddresses"].Flag();
  spec["ports"].Each([&](JsonNode node) {
    ServicePort port;
    port.name = node["name"].Text();
    port.protocol = node["protocol"].Text("TCP");
    port.app_protocol = node["appProtocol"].Text();
    port.port = node["port"].Port().value_or(uint16_t{0});
    port.target_port = node["targetPort"].NumberOrText();
    service.ports.push_back(std::move(port));
  });
  if (!document.status().ok()) return document.status();
  return service;
}

}  // namespace rouse::k8s
