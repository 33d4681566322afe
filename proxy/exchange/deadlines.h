#pragma once
// What:      the deadlines of one exchange (15.3): how long it may wait for a slot, and when it
//            must be over.
// Owner:     the exchange; pure.
// Invariant: hold <= arrival + hold_timeout. What the client asked for can only shorten.

#include <optional>
#include <string_view>

#include "common/base/clock.h"
#include "common/http/message.h"
#include "proxy/exchange/forward_headers.h"
#include "proxy/model/workload_policy.h"

namespace rouse::proxy {

struct Deadlines {
  TimePoint hold = kNever;      ///< arrival + hold_timeout
  TimePoint exchange = kNever;  ///< of the client or the workload's request-timeout; kNever: none
  TimePoint grpc = kNever;      ///< what `grpc-timeout` said
  TimePoint request = kNever;   ///< what `x-request-timeout` said
  TimePoint envoy = kNever;     ///< what `x-envoy-expected-rq-timeout-ms` of a trusted peer said

  /// What of the client's own deadlines is left to forward at `now`.
  [[nodiscard]] RemainingTime Remaining(TimePoint now) const;
};

/// `trusted`: the proxies in front of us are believed.
[[nodiscard]] Deadlines DeadlinesOf(const http::RequestHead& head, const WorkloadPolicy& policy,
                                    TimePoint arrival, bool trusted = false);

/// gRPC over HTTP/2, "Timeout": 1 to 8 digits and one of H M S m u n.
[[nodiscard]] std::optional<Duration> ParseGrpcTimeout(std::string_view text);
/// `X-Request-Timeout`: 1 to 9 digits, then `ms`, `s` or `m`; bare digits are seconds.
[[nodiscard]] std::optional<Duration> ParseRequestTimeout(std::string_view text);
/// Envoy's: 1 to 9 digits, milliseconds; zero is none.
[[nodiscard]] std::optional<Duration> ParseEnvoyTimeout(std::string_view text);

}  // namespace rouse::proxy
