#pragma once
// What:      the messages between proxies and autoscalers as plain structs, and their bytes:
// Knative's
//            WireStatMessages (protobuf), carried as one binary WebSocket message each.
// Owner:     values; pure functions. Any thread.
// Limits:    kReportBytesMax, kStatsMax per message; names as Kubernetes bounds them; numbers in
// [0, 1e9]. Invariant: Decode(Encode(x)) == x for every x within the limits; own fields have
// numbers above 1000. Never:     shows a protobuf type; accepts a part of a malformed message.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/object_key.h"

namespace rouse::wire {

inline constexpr size_t kReportBytesMax = 1 << 20;
inline constexpr size_t kStatsMax = 16 * 1024;
inline constexpr size_t kNamespaceBytesMax = 63;
inline constexpr size_t kNameBytesMax = 253;
inline constexpr double kNumberMax = 1e9;

/// The demand of one workload at one sender over the period since its last report (usually one
/// second).
struct Stat {
  std::string pod_name = {};               ///< the sender
  double average_concurrent_requests = 0;  ///< time average over the period, parked included
  double average_proxied_concurrent_requests = 0;  ///< the part already counted by an activator
  double request_count = 0;          ///< requests that arrived in the period, per second
  double proxied_request_count = 0;  ///< the part already counted by an activator
  double process_uptime_seconds = 0;
  int64_t timestamp = 0;       ///< unused by receivers; 0 from Knative and from us
  double parked_requests = 0;  ///< ours: requests waiting for a pod at the end

  bool operator==(const Stat&) const = default;
};

struct WorkloadStat {
  ObjectKey workload;  ///< the Service (in Knative: the revision)
  Stat stat;

  bool operator==(const WorkloadStat&) const = default;
};

/// One message. A rouse-proxy names itself in `proxy` in each one. The last message of a period
/// carries `complete`: a workload named in none of the period's messages had no demand. A message
/// without it adds to the period, such as the wake that is sent at once. Knative's activator sets
/// neither.
struct Report {
  std::string proxy = {};
  bool complete = false;
  std::vector<WorkloadStat> stats = {};

  bool operator==(const Report&) const = default;
};

/// The bytes of one binary message; an idle Report without a proxy name is the empty message.
[[nodiscard]] std::string Encode(const Report& report);

/// kInvalidArgument where the bytes are no such message or break a limit; the text says which.
[[nodiscard]] absl::StatusOr<Report> Decode(std::string_view bytes);

}  // namespace rouse::wire
