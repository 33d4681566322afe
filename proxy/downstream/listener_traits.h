#pragma once
// What:  ListenerTraits, what connections of one listener have in common.
// Owner: the shard's Listener; its sessions read it. One shard.

#include <cstdint>

#include "common/base/clock.h"
#include "common/net/address_ranges.h"
#include "common/net/tls_context.h"

namespace rouse::proxy {

struct ListenerTraits {
  bool tls = false;
  /// The certificates of the moment; connections under way keep theirs. Null: none shakes hands.
  net::TlsServerPtr server;
  /// Requests are sent to this port by https; 0: they are served.
  uint16_t redirect_port = 0;
  /// Other proxies forward to it what this one is home to (15.6).
  bool internal = false;
  /// Peers that begin with a PROXY header, and are believed.
  net::AddressRanges proxies;
  /// For the PROXY header and the TLS handshake together.
  Duration handshake_timeout = std::chrono::seconds(10);
};

}  // namespace rouse::proxy
