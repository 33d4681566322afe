#pragma once
// What:      ShardStats and WorkloadStats: every proxy metric by name, unit and label, as plain
//            numbers.
// Owner:     each shard one ShardStats, each Workload one WorkloadStats; copies are merged for the
//            page.
// Shard:     one; the merged copy belongs to the control side.
// Limits:    labels: workload, code class, error kind, TLS version. Never path, client or pod.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/error.h"
#include "common/base/object_key.h"
#include "common/net/tls_transport.h"
#include "common/obs/metrics.h"

namespace rouse::proxy {

/// Rows: field, name, help. Counters of a shard without labels.
#define ROUSE_SHARD_COUNTERS(X)                                                                    \
  X(connections, "rouse_proxy_downstream_connections_total", "Client connections accepted")        \
  X(connections_refused, "rouse_proxy_downstream_connections_refused_total",                       \
    "Client connections closed at once over a limit")                                              \
  X(proxy_headers_refused, "rouse_proxy_proxy_headers_refused_total",                              \
    "Connections closed for a bad PROXY header")                                                   \
  X(tls_resumed, "rouse_proxy_tls_resumptions_total", "TLS sessions resumed")                      \
  X(accept_errors, "rouse_proxy_accept_errors_total", "accept calls that failed")                  \
  X(dials, "rouse_proxy_upstream_dials_total", "Connections opened to pods")                       \
  X(dial_failures, "rouse_proxy_upstream_dial_failures_total", "Connections to pods that failed")  \
  X(pool_reuses, "rouse_proxy_upstream_reuses_total", "Exchanges sent on an idle connection")      \
  X(bytes_received, "rouse_proxy_downstream_received_bytes_total",                                 \
    "Request body bytes from clients")                                                             \
  X(bytes_sent, "rouse_proxy_downstream_sent_bytes_total", "Response body bytes to clients")       \
  X(probes, "rouse_proxy_early_probes_total", "Early readiness probes sent")                       \
  X(probes_ready, "rouse_proxy_early_probes_ready_total", "Early readiness probes answered ready") \
  X(grants_sent, "rouse_proxy_slots_handed_over_total", "Freed slots given to another shard")      \
  X(hops, "rouse_proxy_hops_total", "Requests forwarded to the proxy that is their home")          \
  X(hops_again, "rouse_proxy_hops_repeated_total", "Of these sent again: no home was there")       \
  X(access_records_dropped, "rouse_proxy_access_log_dropped_total", "Access records dropped")

#define ROUSE_SHARD_GAUGES(X)                                                          \
  X(connections_open, "rouse_proxy_downstream_connections", "Client connections open") \
  X(upstream_open, "rouse_proxy_upstream_connections", "Connections to pods open")     \
  X(upstream_idle, "rouse_proxy_upstream_connections_idle",                            \
    "Connections to pods without an exchange")                                         \
  X(buffer_bytes, "rouse_proxy_buffer_bytes", "Bytes of buffers on loan")              \
  X(parked_bytes, "rouse_proxy_parked_bytes", "Bytes held for parked requests")        \
  X(snapshot_version, "rouse_proxy_snapshot_version",                                  \
    "Version of the routing snapshot, over all shards")

/// Counters of a workload, labelled `workload`.
#define ROUSE_WORKLOAD_COUNTERS(X)                                                           \
  X(parked_total, "rouse_proxy_parked_requests_total", "Requests that waited for a slot")    \
  X(cold_starts, "rouse_proxy_cold_starts_total", "Times parking found no endpoint")         \
  X(wakes, "rouse_proxy_wakes_total", "Times the autoscaler was asked to wake the workload") \
  X(retries, "rouse_proxy_retries_total", "Exchanges sent a second time")                    \
  X(ejections, "rouse_proxy_endpoint_ejections_total", "Endpoints ejected after failed dials")

/// Histograms of a workload: the phases of a cold start, and the whole.
#define ROUSE_WORKLOAD_HISTOGRAMS(X)                                                              \
  X(held_to_reported, "rouse_proxy_cold_start_reported_seconds", "From parking to the wake sent") \
  X(reported_to_known, "rouse_proxy_cold_start_endpoint_seconds",                                 \
    "From the wake to the first endpoint known")                                                  \
  X(known_to_ready, "rouse_proxy_cold_start_probe_seconds",                                       \
    "From the endpoint known to its readiness")                                                   \
  X(slot_to_first_byte, "rouse_proxy_cold_start_first_byte_seconds",                              \
    "From the slot to the first response byte")                                                   \
  X(cold_start, "rouse_proxy_cold_start_seconds", "From parking to the first response byte")      \
  X(wait, "rouse_proxy_wait_seconds", "Time parked, of requests that were")                       \
  X(request, "rouse_proxy_request_seconds", "From the request head to the end of the response")

enum class CodeClass : uint8_t { k1xx, k2xx, k3xx, k4xx, k5xx, kNone };
inline constexpr size_t kCodeClasses = 6;
/// "1xx" ... "5xx"; "none" where the client got no response.
[[nodiscard]] std::string_view NameOf(CodeClass code_class);
[[nodiscard]] constexpr CodeClass CodeClassOf(int status) {
  if (status < 100 || status > 599) return CodeClass::kNone;
  return static_cast<CodeClass>(status / 100 - 1);
}

struct WorkloadStats {
#define ROUSE_FIELD(field, name, help) obs::Counter field;
  ROUSE_WORKLOAD_COUNTERS(ROUSE_FIELD)
#undef ROUSE_FIELD
#define ROUSE_FIELD(field, name, help) obs::Histogram field;
  ROUSE_WORKLOAD_HISTOGRAMS(ROUSE_FIELD)
#undef ROUSE_FIELD
  std::array<obs::Counter, kCodeClasses> requests;  ///< by CodeClass of the final response
  obs::Gauge concurrency;
  obs::Gauge parked;
  obs::Gauge endpoints_ready;

  void Merge(const WorkloadStats& other);
  void AddTo(obs::MetricPage& page, const ObjectKey& workload) const;
};

struct ShardStats {
#define ROUSE_FIELD(field, name, help) obs::Counter field;
  ROUSE_SHARD_COUNTERS(ROUSE_FIELD)
#undef ROUSE_FIELD
#define ROUSE_FIELD(field, name, help) obs::Gauge field;
  ROUSE_SHARD_GAUGES(ROUSE_FIELD)
#undef ROUSE_FIELD
  obs::Counter tls_12;  ///< handshakes that succeeded, by version
  obs::Counter tls_13;
  obs::Counter tls_timeouts;
  std::array<obs::Counter, net::kTlsFailures> tls_failures;
  std::array<obs::Counter, kErrorKinds> errors;  ///< exchanges that ended with an error, by kind

  void Merge(const ShardStats& other);
  void AddTo(obs::MetricPage& page) const;
};

/// A row of the table of metrics (deploy/docs/metrics.md).
struct MetricRow {
  std::string_view name;
  std::string_view kind;
  std::string_view labels;
  std::string_view help;
};
/// As a line of the table.
[[nodiscard]] std::string MetricLine(const MetricRow& row);
/// The table as Markdown, in the order of the rows above.
[[nodiscard]] std::string MetricTable();

}  // namespace rouse::proxy
