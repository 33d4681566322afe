#pragma once
// What:      Dial, a connection to an endpoint: connect, shake hands, settle the protocol.
// Owner:     the caller owns what comes out, and sees to it that `endpoint` outlives the call. One
//            shard.
// Limits:    DialOptions::connect_timeout for all tries together.
// Invariant: errors are those of net::Connect and net::TlsConnect; retry_safe, since no request
//            was sent.

#include <memory>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/http/h1_client.h"
#include "common/http/h2_limits.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "proxy/model/endpoint_set.h"

namespace rouse::proxy {

struct DialOptions {
  Duration connect_timeout = std::chrono::seconds(1);
  /// The first try is given up after so long, each further one after twice the one before: a SYN to
  /// a pod whose address is not routed yet is lost, and the kernel would repeat it only after a
  /// second.
  Duration first_try = std::chrono::milliseconds(25);
  /// With two addresses: the other one is tried from here on (15.6).
  Duration other_address_after = std::chrono::milliseconds(250);
  /// How soon to look again where our own ports or descriptors are exhausted.
  Duration exhausted_wait = std::chrono::milliseconds(20);
  http::H1ClientOptions http;  ///< heads and bodies of every version
  http::H2Limits http2;
};

/// `protocol`: the endpoint's own, or kHttp1 where its kAgreed would not do.
[[nodiscard]] net::Task<Result<std::unique_ptr<http::ClientConnection>>> Dial(
    net::Shard& shard, const Endpoint& endpoint, UpstreamProtocol protocol,
    const DialOptions& options, TimePoint deadline);

}  // namespace rouse::proxy
