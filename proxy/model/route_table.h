#pragma once
// What:      RouteTable: exact host, else the longest `*.` suffix, else `*`; within a host the
//            longest path prefix on a segment boundary. A host without a matching prefix falls back
//            to the next pattern.
// Owner:     snapshots, by shared_ptr; immutable, any thread.
// Invariant: Match costs O(length of host and path), however many routes there are; it allocates
//            nothing.

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/model/route.h"

namespace rouse::proxy {

class RouteTable {
 public:
  /// Of two routes with the same host and path the first one stays.
  explicit RouteTable(std::vector<Route> routes);
  ~RouteTable();
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  /// `host` lower case, without port; `path` normalised, a query is ignored. Null: no route. The
  /// route lives as long as the table: use it before the first wait, keep the workload.
  [[nodiscard]] const Route* Match(std::string_view host, std::string_view path) const;
  [[nodiscard]] std::span<const Route> routes() const { return routes_; }
  void CheckInvariants() const;

 private:
  struct Hosts;
  std::vector<Route> routes_;  ///< by host, then the longest path first
  std::unique_ptr<Hosts> hosts_;
};

}  // namespace rouse::proxy
