#pragma once
// What:      the HttpListener of real sockets: accepts connections and gives each to an
//            HttpSession.
// Owner:     the caller; the service outlives it. Destroying it cuts its connections, and silences
//            them.
// Shard:     the control thread.
// Limits:    ListenOptions::connections_max; what comes beyond is closed at once.
// Never:     calls the service once it is destroyed. WebSockets that were accepted belong to their
//            holder.

#include <memory>

#include <absl/status/statusor.h>

#include "common/control/asio_loop.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::control {

[[nodiscard]] absl::StatusOr<std::unique_ptr<HttpListener>> ListenHttp(AsioLoop& loop,
                                                                       obs::Log& log,
                                                                       ListenOptions options,
                                                                       HttpService& service);

}  // namespace rouse::control
