#include "proxy/upstream/dial.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/http/h2_client.h"
#include "common/net/connector.h"
#include "common/net/event.h"
#include "common/net/socket_address.h"
#include "common/net/tls_connect.h"
#include "common/net/tls_peer.h"

namespace rouse::proxy {
namespace {

constexpr Error kNoAddress{ErrorKind::kConnectRefused, Side::kUpstream, true,
                           "the endpoint has no numeric address"};

/// Which of the addresses the next try goes to.
std::optional<net::SocketAddress> AddressFor(const Endpoint& endpoint, bool other) {
  if (endpoint.addresses.empty()) return std::nullopt;
  const size_t index = other && endpoint.addresses.size() > 1 ? 1 : 0;
  return net::SocketAddress::Parse(endpoint.addresses[index], endpoint.key.port);
}

using Wire = std::unique_ptr<http::ClientConnection>;

/// What we offer in a TLS handshake (RFC 7301), in the form of the wire.
std::string_view OfferOf(UpstreamProtocol protocol) {
  switch (protocol) {
    case UpstreamProtocol::kHttp1:
      return "\x08http/1.1";
    case UpstreamProtocol::kHttp2:
      return "\x02h2";
    case UpstreamProtocol::kAgreed:
      return "\x02h2\x08http/1.1";
  }
  UNREACHABLE();
}

/// The one place upstream that names a protocol. HTTP/2 has shown itself before anything is sent.
net::Task<Result<Wire>> Speak(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                              UpstreamProtocol protocol, const DialOptions& options,
                              TimePoint deadline) {
  const net::TlsPeer* const peer = transport->tls_peer();
  const bool http2 = protocol == UpstreamProtocol::kHttp2 ||
                     (protocol == UpstreamProtocol::kAgreed && peer && peer->protocol == "h2");
  if (!http2)
    co_return Wire(std::make_unique<http::H1Client>(shard, std::move(transport), options.http));
  auto client =
      std::make_unique<http::H2Client>(shard, std::move(transport), options.http, options.http2);
  const Result<void> settled = co_await client->Settle(deadline);
  if (!settled) co_return settled.error();
  co_return Wire(std::move(client));
}

}  // namespace

net::Task<Result<std::unique_ptr<http::ClientConnection>>> Dial(net::Shard& shard,
                                                                const Endpoint& endpoint,
                                                                UpstreamProtocol protocol,
                                                                const DialOptions& options,
                                                                TimePoint deadline) {
  const TimePoint began = shard.now();
  const TimePoint end = std::min(deadline, Later(began, options.connect_timeout));
  Duration patience = options.first_try;
  bool other = false;
  for (;;) {
    const std::optional<net::SocketAddress> address = AddressFor(endpoint, other);
    if (!address) co_return kNoAddress;
    const TimePoint give_up = std::min(end, Later(shard.now(), patience));
    Result<std::unique_ptr<net::Transport>> transport =
        co_await net::Connect(shard, *address, give_up);
    if (transport && endpoint.tls)
      transport = co_await net::TlsConnect(shard, std::move(*transport), endpoint.tls,
                                           OfferOf(protocol), end);
    if (transport) {
      Result<Wire> wire = co_await Speak(shard, std::move(*transport), protocol, options, end);
      co_return wire;
    }
    const Error failure = transport.error();
    const TimePoint now = shard.now();
    const bool more = now < end;
    if (!more) co_return failure;
    if (failure.kind == ErrorKind::kConnectTimeout) {
      patience *= 2;
      if (now - began >= options.other_address_after) other = !other;
    } else if (failure.kind == ErrorKind::kOverloaded) {
      net::Event pause(shard);
      co_await pause.Wait(std::min(end, Later(now, options.exhausted_wait)));
    } else if (!other && endpoint.addresses.size() > 1) {
      other = true;  // refused at once: the other address, if there is one
    } else {
      co_return failure;
    }
  }
}

}  // namespace rouse::proxy
