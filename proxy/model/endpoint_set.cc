#include "proxy/model/endpoint_set.h"

#include <absl/container/flat_hash_set.h>

#include "common/base/check.h"

namespace rouse::proxy {

std::string_view NameOf(EndpointState state) {
  switch (state) {
    case EndpointState::kStarting:
      return "starting";
    case EndpointState::kReady:
      return "ready";
    case EndpointState::kDraining:
      return "draining";
  }
  UNREACHABLE();
}

const char* FaultOf(const EndpointSet& set) {
  if (set.workload.name.empty() || set.workload.ns.empty()) return "a set without a workload";
  absl::flat_hash_set<EndpointKey> seen;
  for (const Endpoint& endpoint : set.endpoints) {
    if (endpoint.key.pod_uid.empty()) return "an endpoint without a pod";
    if (endpoint.key.port == 0) return "an endpoint without a port";
    if (endpoint.addresses.empty() || endpoint.addresses.size() > 2) {
      return "an endpoint with no address, or more than two";
    }
    if (!seen.insert(endpoint.key).second) return "two endpoints with the same key";
  }
  return nullptr;
}

}  // namespace rouse::proxy
