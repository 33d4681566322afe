#include "proxy/downstream/listener.h"

#include <utility>

#include <absl/strings/str_cat.h>

namespace rouse::proxy {

Listener::Listener(net::Shard& shard, net::Descriptor socket, Sessions& sessions,
                   ListenerTraits traits)
    : traits_(std::move(traits)),
      acceptor_(shard, std::move(socket),
                [this, &sessions](std::unique_ptr<net::Transport> transport) {
                  sessions.Accept(std::move(transport), traits_);
                }) {}

absl::StatusOr<std::vector<net::Descriptor>> OpenListeners(const std::string& address,
                                                           size_t shards,
                                                           const net::ListenOptions& options) {
  std::optional<net::SocketAddress> at = net::SocketAddress::Parse(address);
  if (!at) return absl::InvalidArgumentError(absl::StrCat("'", address, "' is no ADDRESS:PORT"));
  std::vector<net::Descriptor> sockets;
  for (size_t i = 0; i < shards; ++i) {
    absl::StatusOr<net::Descriptor> socket = net::Listen(*at, options);
    if (!socket.ok()) return socket.status();
    at = net::SocketAddress::OfSocket(socket->get());
    sockets.push_back(*std::move(socket));
  }
  return sockets;
}

}  // namespace rouse::proxy
