#pragma once
// What:      TlsConnect, the client's handshake on a connection that has been dialled.
// Owner:     the caller owns the transport that comes out. Runs on `shard`.
// Limits:    the caller's deadline.
// Invariant: every error is retry_safe, since no byte of a request was sent: kUpstreamTls, or
//            kConnectTimeout at the deadline.

#include <memory>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/net/task.h"
#include "common/net/tls_context.h"
#include "common/net/transport.h"

namespace rouse::net {

class Shard;

/// `protocols`: what is offered by ALPN, a length byte before each name; outlives the call.
[[nodiscard]] Task<Result<std::unique_ptr<Transport>>> TlsConnect(Shard& shard,
                                                                  std::unique_ptr<Transport> below,
                                                                  TlsClientPtr client,
                                                                  std::string_view protocols,
                                                                  TimePoint deadline);

}  // namespace rouse::net
