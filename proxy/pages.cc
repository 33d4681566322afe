#include "proxy/pages.h"

#include <string_view>

#include <absl/strings/str_cat.h>

#include "common/app/admin_server.h"
#include "common/obs/metrics.h"

namespace rouse::proxy {
namespace {

void AppendEndpoint(const WorkloadRow::EndpointRow& row, std::string& out) {
  const std::string_view state = row.probed_ready ? "probed_ready" : NameOf(row.state);
  absl::StrAppend(&out, "{\"address\":", app::JsonText(row.address),
                  ",\"pod\":", app::JsonText(row.pod), ",\"state\":", app::JsonText(state),
                  ",\"ejected\":", row.ejected ? "true" : "false", ",\"in_flight\":", row.in_flight,
                  "}");
}

void AppendWorkload(const WorkloadRow& row, std::string& out) {
  absl::StrAppend(&out, "{\"name\":", app::JsonText(row.workload.text()),
                  ",\"in_flight\":", row.in_flight,
                  ",\"concurrency_limit\":", row.concurrency_limit, ",\"parked\":", row.parked,
                  ",\"parked_bytes\":", row.parked_bytes,
                  ",\"oldest_parked_ms\":", Milliseconds(row.oldest), ",\"endpoints\":[");
  for (size_t i = 0; i < row.endpoints.size(); ++i) {
    if (i > 0) out += ',';
    AppendEndpoint(row.endpoints[i], out);
  }
  out += "]}";
}

}  // namespace

std::string MetricsText(const Sample& sample, const TlsMaterial* tls, const KubernetesSide* side) {
  obs::MetricPage page;
  sample.stats.AddTo(page);
  for (const WorkloadRow& row : sample.workloads) row.stats.AddTo(page, row.workload);
  if (tls != nullptr) tls->AddTo(page);
  if (side != nullptr) side->AddTo(page);
  return page.Text();
}

std::string WorkloadsJson(const Sample& sample) {
  std::string out = "{\"workloads\":[";
  for (size_t i = 0; i < sample.workloads.size(); ++i) {
    if (i > 0) out += ",\n";
    AppendWorkload(sample.workloads[i], out);
  }
  return out + "]}\n";
}

std::string ConfigJson(const app::Options& options) {
  std::string out = "{";
  for (const app::Options::Row& row : options.rows()) {
    if (out.size() > 1) out += ",\n";
    absl::StrAppend(&out, app::JsonText(row.name),
                    ":{\"value\":", app::JsonText(row.secret ? "***" : row.show()),
                    ",\"source\":", app::JsonText(row.source), "}");
  }
  return out + "}\n";
}

}  // namespace rouse::proxy
