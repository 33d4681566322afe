#include "proxy/telemetry/shard_stats.h"

#include <algorithm>
#include <vector>

namespace rouse::proxy {

namespace {

constexpr std::string_view kRequests = "rouse_proxy_requests_total";
constexpr std::string_view kRequestsHelp = "Requests ended, by the class of their final status";
constexpr std::string_view kConcurrency = "rouse_proxy_concurrency";
constexpr std::string_view kConcurrencyHelp = "Requests open, parked ones included";
constexpr std::string_view kParked = "rouse_proxy_parked_requests";
constexpr std::string_view kParkedHelp = "Requests waiting for a slot";
constexpr std::string_view kEndpointsReady = "rouse_proxy_endpoints_ready";
constexpr std::string_view kEndpointsReadyHelp = "Endpoints that take requests";
constexpr std::string_view kHandshakes = "rouse_proxy_tls_handshakes_total";
constexpr std::string_view kHandshakesHelp =
    "TLS handshakes with clients, by how they ended and the version spoken";
constexpr std::string_view kErrors = "rouse_proxy_errors_total";
constexpr std::string_view kErrorsHelp = "Exchanges that ended with an error, by its kind";

}  // namespace

std::string_view NameOf(CodeClass code_class) {
  constexpr std::array<std::string_view, kCodeClasses> kNames = {"1xx", "2xx", "3xx",
                                                                 "4xx", "5xx", "none"};
  return kNames[static_cast<size_t>(code_class)];
}

void WorkloadStats::Merge(const WorkloadStats& other) {
#define ROUSE_MERGE(field, name, help) field.Merge(other.field);
  ROUSE_WORKLOAD_COUNTERS(ROUSE_MERGE)
  ROUSE_WORKLOAD_HISTOGRAMS(ROUSE_MERGE)
#undef ROUSE_MERGE
  for (size_t i = 0; i < kCodeClasses; ++i) requests[i].Merge(other.requests[i]);
  concurrency.Merge(other.concurrency);
  parked.Merge(other.parked);
  // Every shard counts the same endpoints.
  endpoints_ready.Set(std::max(endpoints_ready.value, other.endpoints_ready.value));
}

void WorkloadStats::AddTo(obs::MetricPage& page, const ObjectKey& workload) const {
  const obs::Labels labels = {{"workload", workload.text()}};
#define ROUSE_ADD(field, name, help) page.Add(name, help, labels, field);
  ROUSE_WORKLOAD_COUNTERS(ROUSE_ADD)
  ROUSE_WORKLOAD_HISTOGRAMS(ROUSE_ADD)
#undef ROUSE_ADD
  page.Add(kConcurrency, kConcurrencyHelp, labels, concurrency);
  page.Add(kParked, kParkedHelp, labels, parked);
  page.Add(kEndpointsReady, kEndpointsReadyHelp, labels, endpoints_ready);
  for (size_t i = 0; i < kCodeClasses; ++i) {
    if (requests[i].value == 0) continue;
    const std::string code(NameOf(static_cast<CodeClass>(i)));
    page.Add(kRequests, kRequestsHelp, {{"workload", workload.text()}, {"code", code}},
             requests[i]);
  }
}

void ShardStats::Merge(const ShardStats& other) {
#define ROUSE_MERGE(field, name, help) field.Merge(other.field);
  ROUSE_SHARD_COUNTERS(ROUSE_MERGE)
  ROUSE_SHARD_GAUGES(ROUSE_MERGE)
#undef ROUSE_MERGE
  tls_12.Merge(other.tls_12);
  tls_13.Merge(other.tls_13);
  tls_timeouts.Merge(other.tls_timeouts);
  for (size_t i = 0; i < net::kTlsFailures; ++i) tls_failures[i].Merge(other.tls_failures[i]);
  for (size_t i = 0; i < kErrorKinds; ++i) errors[i].Merge(other.errors[i]);
}

void ShardStats::AddTo(obs::MetricPage& page) const {
#define ROUSE_ADD(field, name, help) page.Add(name, help, {}, field);
  ROUSE_SHARD_COUNTERS(ROUSE_ADD)
  ROUSE_SHARD_GAUGES(ROUSE_ADD)
#undef ROUSE_ADD
  const auto handshakes = [&page](std::string_view result, std::string_view version,
                                  const obs::Counter& count) {
    const obs::Labels labels = {{"result", std::string(result)}, {"version", std::string(version)}};
    if (count.value > 0) page.Add(kHandshakes, kHandshakesHelp, labels, count);
  };
  handshakes("ok", "1.2", tls_12);
  handshakes("ok", "1.3", tls_13);
  handshakes("timeout", "", tls_timeouts);
  for (size_t i = 1; i < net::kTlsFailures; ++i)
    handshakes(net::NameOf(static_cast<net::TlsFailure>(i)), "", tls_failures[i]);
  for (size_t i = 1; i < kErrorKinds; ++i) {
    if (errors[i].value == 0) continue;
    const std::string kind(CodeOf(static_cast<ErrorKind>(i)));
    page.Add(kErrors, kErrorsHelp, {{"kind", kind}}, errors[i]);
  }
}

std::string MetricLine(const MetricRow& row) {
  std::string text = "| `";
  text += row.name;
  text += "` | ";
  text += row.kind;
  text += " | ";
  text += row.labels;
  text += " | ";
  text += row.help;
  return text + " |\n";
}

std::string MetricTable() {
  std::vector<MetricRow> rows;
#define ROUSE_ROW(field, name, help) rows.push_back({name, "counter", "", help});
  ROUSE_SHARD_COUNTERS(ROUSE_ROW)
#undef ROUSE_ROW
#define ROUSE_ROW(field, name, help) rows.push_back({name, "gauge", "", help});
  ROUSE_SHARD_GAUGES(ROUSE_ROW)
#undef ROUSE_ROW
  rows.push_back({kHandshakes, "counter", "result, version", kHandshakesHelp});
  rows.push_back({kErrors, "counter", "kind", kErrorsHelp});
#define ROUSE_ROW(field, name, help) rows.push_back({name, "counter", "workload", help});
  ROUSE_WORKLOAD_COUNTERS(ROUSE_ROW)
#undef ROUSE_ROW
#define ROUSE_ROW(field, name, help) rows.push_back({name, "histogram", "workload", help});
  ROUSE_WORKLOAD_HISTOGRAMS(ROUSE_ROW)
#undef ROUSE_ROW
  rows.push_back({kRequests, "counter", "workload, code", kRequestsHelp});
  rows.push_back({kConcurrency, "gauge", "workload", kConcurrencyHelp});
  rows.push_back({kParked, "gauge", "workload", kParkedHelp});
  rows.push_back({kEndpointsReady, "gauge", "workload", kEndpointsReadyHelp});

  std::string text = "| Metric | Kind | Labels | Means |\n|---|---|---|---|\n";
  for (const MetricRow& row : rows) text += MetricLine(row);
  return text;
}

}  // namespace rouse::proxy
