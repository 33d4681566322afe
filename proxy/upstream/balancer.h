#pragma once
// What:      choose an endpoint of a workload and take a slot there; eject endpoints that refuse
//            connections. Two random choices by in-flight where the limit is 0 or above
//            kFirstFreeMost; else the first free one.
// Owner:     Workload holds one Balancer; functions of plain data. One shard.
// Limits:    ejection lasts kEjectFirst, doubling to kEjectMost.
// Invariant: never the last one: where all are ejected, all are used.

#include <chrono>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "proxy/upstream/local_endpoint.h"

namespace rouse::proxy {

class Balancer {
 public:
  static constexpr uint32_t kFirstFreeMost = 3;
  static constexpr Duration kEjectFirst = std::chrono::seconds(1);
  static constexpr Duration kEjectMost = std::chrono::seconds(30);

  /// The endpoints that may take requests, and the limit of each (0: none). Pointers outlive their
  /// use here.
  void Set(std::vector<LocalEndpoint*> ready, uint32_t limit);
  [[nodiscard]] bool empty() const { return ready_.empty(); }
  [[nodiscard]] std::span<LocalEndpoint* const> ready() const { return ready_; }

  /// An endpoint with its slot taken (in_flight raised); null where none is free. `avoid` is used
  /// only where there is no other ready endpoint.
  [[nodiscard]] LocalEndpoint* Take(const LocalEndpoint* avoid, TimePoint now, Random& random);
  /// Gives the slot back without looking for a successor.
  static void Release(LocalEndpoint& endpoint);

  /// A dial failed: ejects it for a while.
  void ConnectFailed(LocalEndpoint& endpoint, TimePoint now);
  static void Connected(LocalEndpoint& endpoint) {
    endpoint.connect_failures = 0;
    endpoint.ejected_until = TimePoint{};
  }
  /// When the first ejected one comes back; kNever where none is out.
  [[nodiscard]] TimePoint NextReturn(TimePoint now) const;
  /// Whether it is out of use for now.
  [[nodiscard]] bool ejected(const LocalEndpoint& endpoint, TimePoint now) const {
    return now < ejected_until_ && now < endpoint.ejected_until;
  }

 private:
  bool TryTake(LocalEndpoint& endpoint) const;
  LocalEndpoint* TakeOfTwo(const LocalEndpoint* avoid, TimePoint now, Random& random);
  LocalEndpoint* TakeLeast(const LocalEndpoint* avoid, TimePoint now);
  LocalEndpoint* TakeFirstFree(const LocalEndpoint* avoid, TimePoint now);
  static uint32_t LoadOf(const LocalEndpoint& endpoint);

  std::vector<LocalEndpoint*> ready_;
  uint32_t limit_ = 0;
  TimePoint
      ejected_until_{};  ///< no endpoint is ejected from here on: one comparison on the warm path
};

}  // namespace rouse::proxy
