#include "proxy/static_snapshot.h"

#include <map>
#include <utility>

#include "common/app/admin_server.h"
#include "common/base/check.h"

namespace rouse::proxy {
namespace {

EndpointSetPtr BuildSet(const StaticWorkload& workload, const ObjectKey& key, SlotTable& slots) {
  auto set = std::make_shared<EndpointSet>();
  set->workload = key;
  set->policy = workload.policy;
  set->policy.early_probe = false;
  set->slots = slots.Workload(key);
  for (const std::string& text : workload.endpoints) {
    const auto address = app::ParseHostPort(text);
    CHECK(address.ok());  // the configuration was checked
    Endpoint endpoint;
    // No pod stands behind it: its address is what it is known by.
    endpoint.key = {"static:" + key.text() + ":" + address->host, address->port};
    endpoint.addresses = {address->host};
    endpoint.state = EndpointState::kReady;
    endpoint.pod_name = text;
    endpoint.slots = slots.Endpoint(endpoint.key);
    set->endpoints.push_back(std::move(endpoint));
  }
  return set;
}

}  // namespace

SnapshotPtr BuildStaticSnapshot(const StaticConfig& fixed, const SnapshotPtr& before,
                                SlotTable& slots, TimePoint now) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = before ? before->version + 1 : 1;
  snapshot->made = now;
  std::map<std::string, uint32_t> places;
  if (before) {
    for (uint32_t i = 0; i < before->workloads.size(); ++i) {
      if (before->workloads[i]) places[before->workloads[i]->workload.text()] = i;
    }
    snapshot->workloads.resize(before->workloads.size());
  }
  for (const StaticWorkload& workload : fixed.workloads) {
    const auto [place, added] =
        places.try_emplace(workload.name, static_cast<uint32_t>(snapshot->workloads.size()));
    if (added) snapshot->workloads.emplace_back();
    snapshot->workloads[place->second] =
        BuildSet(workload, *ObjectKey::Parse(workload.name), slots);
  }
  std::vector<Route> routes;
  for (const StaticRoute& route : fixed.routes) {
    routes.push_back({route.host, route.path, places.at(route.workload)});
  }
  if (routes.empty() && !fixed.workloads.empty()) {
    routes.push_back({"*", "/", places.at(fixed.workloads.front().name)});
  }
  snapshot->routes = std::make_shared<RouteTable>(std::move(routes));
  return snapshot;
}

}  // namespace rouse::proxy
