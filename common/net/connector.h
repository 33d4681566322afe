#pragma once
// What:      Connect, dials one address with a deadline.
// Owner:     the caller owns the transport that comes out. Runs on `shard`.
// Limits:    the caller's deadline; it dials again itself, or another address meanwhile.
// Invariant: every error is retry_safe, since no byte was sent: kConnectRefused (a refusal, no way
//            there), kConnectTimeout (the deadline), kOverloaded (our own descriptors or ports are
//            exhausted).

#include <memory>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/net/socket_address.h"
#include "common/net/task.h"
#include "common/net/transport.h"

namespace rouse::net {

class Shard;

[[nodiscard]] Task<Result<std::unique_ptr<Transport>>> Connect(Shard& shard, SocketAddress to,
                                                               TimePoint deadline);

}  // namespace rouse::net
