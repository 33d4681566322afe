#include "k8s/objects/endpoint_slice.h"

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

EndpointSlice::AddressType DecodeAddressType(const JsonNode& node) {
  const std::string text = node.Text();
  if (text == "IPv4") return EndpointSlice::AddressType::kIpv4;
  if (text == "IPv6") return EndpointSlice::AddressType::kIpv6;
  if (text != "FQDN") node.Fail("not IPv4, IPv6 or FQDN");
  return EndpointSlice::AddressType::kFqdn;
}

SliceEndpoint DecodeEndpoint(const JsonNode& node) {
  SliceEndpoint endpoint;
  endpoint.addresses = node["addresses"].TextList();
  const JsonNode conditions = node["conditions"];
  endpoint.ready = conditions["ready"].Flag(true);
  endpoint.serving = conditions["serving"].Flag(endpoint.ready);
  endpoint.terminating = conditions["terminating"].Flag(false);
  const JsonNode target = node["targetRef"];
  endpoint.target = {target["kind"].Text(), target["namespace"].Text(), target["name"].Text(),
                     target["uid"].Text()};
  endpoint.node_name = node["nodeName"].Text();
  return endpoint;
}

}  // namespace

absl::StatusOr<EndpointSlice> EndpointSlice::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  EndpointSlice slice;
  slice.meta = DecodeMeta(root);
  if (root["addressType"].present()) {
    slice.address_type = DecodeAddressType(root["addressType"]);
  } else {
    root.Fail("missing", "addressType");
  }
  root["endpoints"].Each([&](JsonNode node) { slice.endpoints.push_back(DecodeEndpoint(node)); });
  root["ports"].Each([&](JsonNode node) {
    slice.ports.push_back({node["name"].Text(), node["protocol"].Text("TCP"),
                           node["appProtocol"].Text(), node["port"].Port()});
  });
  if (!document.status().ok()) return document.status();
  return slice;
}

}  // namespace rouse::k8s
