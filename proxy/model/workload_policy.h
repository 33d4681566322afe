#pragma once
// What:      WorkloadPolicy, what the data path needs to know of a workload's annotations; plain
//            values with their defaults. The control side fills it from
//            k8s/objects/workload_policy.
// Owner:     the EndpointSet of a snapshot; immutable there.

#include <chrono>
#include <cstdint>

#include "common/base/clock.h"

namespace rouse::proxy {

struct WorkloadPolicy {
  /// Requests in flight per endpoint; 0: no limit.
  uint32_t concurrency_limit = 0;
  /// How long a request may wait for a pod.
  Duration hold_timeout = std::chrono::seconds(60);
  /// For the whole exchange; zero: none.
  Duration request_timeout = Duration::zero();
  /// From the request's last byte to the response head; zero: the program's default.
  Duration response_start_timeout = Duration::zero();
  /// Ends a tunnel without bytes; zero: never.
  Duration tunnel_idle_timeout = Duration::zero();
  /// Exchanges parked at once over all shards.
  uint32_t parked_max = 10000;
  /// `Server-Timing` on cold-started responses.
  bool server_timing = false;
  /// Starting endpoints may be probed (15.5).
  bool early_probe = true;

  bool operator==(const WorkloadPolicy&) const = default;
};

}  // namespace rouse::proxy
