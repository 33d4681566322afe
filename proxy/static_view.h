#pragma once
// What:      StaticView, workloads and routes as the configuration file fixes them (15.12); and the
//            snapshots made of it.
// Owner:     Config; StaticSnapshots: the program. Control thread.
// Invariant: a view that parses is whole: every route names a workload of the same file. A workload
//            keeps its place across reloads.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "common/app/config_node.h"
#include "common/base/object_key.h"
#include "proxy/model/snapshot.h"
#include "proxy/model/workload_policy.h"

namespace rouse::proxy {

struct StaticWorkload {
  ObjectKey key;
  std::vector<std::string> endpoints;  ///< ADDRESS:PORT
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  WorkloadPolicy policy;
  net::TlsClientPtr tls = nullptr;  ///< null: its endpoints speak in the clear
};

struct StaticRoute {
  std::string host = "*";
  std::string path = "/";
  ObjectKey workload;
};

struct StaticView {
  std::vector<StaticWorkload> workloads;
  std::vector<StaticRoute> routes;

  [[nodiscard]] absl::Status TakeWorkloads(const app::ConfigNode& node);
  [[nodiscard]] absl::Status TakeRoutes(const app::ConfigNode& node);
  /// Routes against workloads.
  [[nodiscard]] absl::Status Check() const;
};

class StaticSnapshots {
 public:
  struct Handles {
    std::function<std::shared_ptr<EndpointSlots>(const EndpointKey&)> endpoint;
    std::function<std::shared_ptr<WorkloadSlots>(const ObjectKey&)> workload;
  };
  explicit StaticSnapshots(Handles handles) : handles_(std::move(handles)) {}
  [[nodiscard]] SnapshotPtr Build(const StaticView& view, TimePoint now);

 private:
  EndpointSetPtr BuildSet(const StaticWorkload& workload);

  Handles handles_;
  uint64_t version_ = 0;
  std::map<ObjectKey, uint32_t> places_;
};

}  // namespace rouse::proxy
