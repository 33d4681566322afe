#pragma once
// What:  what people look at: /metrics as text, /workloads and /config as JSON.
// Owner: functions over samples. Control thread.
// Never: shows secrets, or anything of a request.

#include <string>

#include "common/app/options.h"
#include "proxy/control/kubernetes_side.h"
#include "proxy/data_plane.h"
#include "proxy/tls_material.h"

namespace rouse::proxy {

[[nodiscard]] std::string MetricsText(const Sample& sample, const TlsMaterial* tls = nullptr,
                                      const KubernetesSide* side = nullptr);
/// Endpoints with state, in flight and limit; parked count, bytes and the oldest one's age.
[[nodiscard]] std::string WorkloadsJson(const Sample& sample);
/// Every option with its value (secrets masked) and source.
[[nodiscard]] std::string ConfigJson(const app::Options& options);

}  // namespace rouse::proxy
