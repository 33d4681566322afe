#include "autoscaler/observe/cluster_view.h"

#include <set>
#include <string_view>
#include <utility>

namespace rouse::autoscaler {

void ClusterView::OnUpsert(k8s::EndpointSlice slice) {
  const ObjectKey key = slice.meta.key();
  const ObjectKey service{slice.meta.ns, slice.service_name()};
  const auto known = service_of_.find(key);
  if (known != service_of_.end() && known->second != service) Forget(key);
  if (service.name.empty()) return;
  service_of_[key] = service;

  std::vector<Endpoint> endpoints = EndpointsOf(slice);
  std::vector<Endpoint>& before = services_[service][key.name];
  if (before == endpoints) return;
  before = std::move(endpoints);
  on_change_(service);
}

void ClusterView::OnDelete(const ObjectKey& slice, const std::string&) { Forget(slice); }

void ClusterView::Forget(const ObjectKey& slice) {
  const auto found = service_of_.find(slice);
  if (found == service_of_.end()) return;
  const ObjectKey service = found->second;
  service_of_.erase(found);
  Slices& slices = services_[service];
  slices.erase(slice.name);
  if (slices.empty()) services_.erase(service);
  on_change_(service);
}

std::vector<ClusterView::Endpoint> ClusterView::EndpointsOf(const k8s::EndpointSlice& slice) {
  std::vector<Endpoint> endpoints;
  endpoints.reserve(slice.endpoints.size());
  for (const k8s::SliceEndpoint& endpoint : slice.endpoints) {
    if (endpoint.addresses.empty()) continue;
    const bool named = endpoint.target.kind == "Pod";
    endpoints.push_back({.id = named ? endpoint.target.uid : endpoint.addresses.front(),
                         .pod = named ? endpoint.target.name : std::string(),
                         .ready = endpoint.ready && !endpoint.terminating});
  }
  return endpoints;
}

int ClusterView::ReadyOf(const ObjectKey& service) const {
  const auto found = services_.find(service);
  if (found == services_.end()) return 0;
  std::set<std::string_view> ready;
  for (const auto& [name, endpoints] : found->second) {
    for (const Endpoint& endpoint : endpoints) {
      if (endpoint.ready) ready.insert(endpoint.id);
    }
  }
  return static_cast<int>(ready.size());
}

std::vector<std::string> ClusterView::PodsOf(const ObjectKey& service) const {
  const auto found = services_.find(service);
  if (found == services_.end()) return {};
  std::set<std::string> pods;
  for (const auto& [name, endpoints] : found->second) {
    for (const Endpoint& endpoint : endpoints) {
      if (!endpoint.pod.empty()) pods.insert(endpoint.pod);
    }
  }
  return {pods.begin(), pods.end()};
}

}  // namespace rouse::autoscaler
