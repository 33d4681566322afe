#pragma once
// What:      Snapshot, one immutable numbered view of all routes and endpoints.
// Owner:     shared_ptr; handed to every shard. Any thread.
// Invariant: versions grow. A workload keeps its place in `workloads` for as long as it exists; a
//            place may be null, and may later go to another workload (compare the key). Unchanged
//            parts are shared with the version before, so that adopting compares pointers.

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "proxy/model/endpoint_set.h"
#include "proxy/model/route_table.h"

namespace rouse::proxy {

struct Snapshot {
  uint64_t version = 0;
  TimePoint made{};
  std::shared_ptr<const RouteTable> routes;
  std::vector<EndpointSetPtr> workloads;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace rouse::proxy
