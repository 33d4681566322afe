#pragma once
// What:  Route, host and path prefix -> workload.
// Owner: the RouteTable of a snapshot; immutable, any thread.

#include <cstdint>
#include <string>

namespace rouse::proxy {

struct Route {
  /// Lower case: exact, `*.suffix` (one label or more in front of the suffix), or `*`.
  std::string host;
  /// Begins with '/'; matches on segment boundaries.
  std::string path_prefix = "/";
  /// Place in Snapshot::workloads.
  uint32_t workload = 0;
};

}  // namespace rouse::proxy
