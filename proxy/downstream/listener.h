#pragma once
// What:      Listener, one address on which this shard takes connections, and hands them to its
//            sessions. OpenListeners binds one address for all shards.
// Owner:     DataPlane. One shard.
// Limits:    those of net::Acceptor and Sessions.

#include <string>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "common/net/acceptor.h"
#include "common/net/listener.h"
#include "common/net/shard.h"
#include "common/net/socket_address.h"
#include "proxy/downstream/listener_traits.h"
#include "proxy/downstream/session.h"

namespace rouse::proxy {

class Listener {
 public:
  Listener(net::Shard& shard, net::Descriptor socket, Sessions& sessions, ListenerTraits traits);

  void Start() { acceptor_.Start(); }
  void StopAccepting() { acceptor_.StopAccepting(); }
  [[nodiscard]] net::Acceptor& acceptor() { return acceptor_; }
  [[nodiscard]] uint16_t port() const { return acceptor_.port(); }
  /// What the next handshakes go by.
  void AdoptTls(net::TlsServerPtr server) { traits_.server = std::move(server); }

 private:
  ListenerTraits traits_;
  net::Acceptor acceptor_;
};

/// One socket per shard, all on the same address; port 0: any, the same for all.
[[nodiscard]] absl::StatusOr<std::vector<net::Descriptor>> OpenListeners(
    const std::string& address, size_t shards, const net::ListenOptions& options);

}  // namespace rouse::proxy
