#pragma once
// What:      the HttpClient of real sockets: HTTP/1.1 calls over pooled connections to one origin.
// Owner:     the caller. Calls may outlive their client; their connections are then not kept.
// Shard:     the control thread. Handlers never run inline from Start.
// Limits:    HttpLimits of each call; idle connections are closed after 30 s.
// Invariant: a call is repeated at most once, only if a kept connection died before the first byte
//            of the answer, and only if its method is idempotent (RFC 9110 section 9.2.2).
// Never:     follows redirects; decompresses.

#include <memory>

#include "common/control/asio_loop.h"
#include "common/control/channel.h"

namespace rouse::control {

[[nodiscard]] std::unique_ptr<HttpClient> NewHttpClient(AsioLoop& loop, Origin origin);

}  // namespace rouse::control
