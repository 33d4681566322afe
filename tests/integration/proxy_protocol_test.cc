// The PROXY protocol in front of HTTP and of TLS: who is believed, and what is refused.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_tls_rig.h"

namespace rouse::proxy::testing {
namespace {

const std::string kV1 = "PROXY TCP4 192.0.2.7 192.0.2.2 12345 80\r\n";
const std::string kV2 = std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16) +
                        std::string("\xc0\0\2\x08\xc0\0\2\2\x30\x39\0\x50", 12);

ListenerTraits Trusting(const char* range) {
  ListenerTraits traits;
  traits.proxies = *net::AddressRanges::Parse({range});
  traits.handshake_timeout = std::chrono::milliseconds(200);
  return traits;
}

struct Room : TlsProxyRig {
  explicit Room(const char* range = "127.0.0.0/8")
      : TlsProxyRig({}, Defaults(), Trusting(range)), port(Listen(Trusting(range)).port()) {}

  /// What comes back for `bytes`, in the clear.
  std::string Say(const std::string& bytes, bool slowly = false) {
    WireClient client(shard(), net::SocketAddress::Loopback(port));
    if (slowly)
      client.SendSlowly(bytes);
    else
      client.Send(bytes);
    (void)RunUntil([&] {
      client.Step();
      return client.ended() || client.responses() >= 1;
    });
    return client.received();
  }
  uint16_t port;
};

TEST_CASE("a trusted proxy says who the client is, in either version, however it is split") {
  Room room;
  for (const bool slowly : {false, true}) {
    CHECK(Has(room.Say(kV1 + Get(), slowly), "HTTP/1.1 200"));
    CHECK(room.upstream().requests().back().Field("x-forwarded-for") == "192.0.2.7");
    CHECK(Has(room.Say(kV2 + Get(), slowly), "HTTP/1.1 200"));
    CHECK(room.upstream().requests().back().Field("x-forwarded-for") == "192.0.2.8");
  }
  CHECK(Has(room.Say("PROXY UNKNOWN\r\n" + Get()), "HTTP/1.1 200"));
  CHECK(room.upstream().requests().back().Field("x-forwarded-for") == "127.0.0.1");
}

TEST_CASE("a trusted proxy that says nothing, or nonsense, is cut") {
  Room room;
  CHECK(room.Say(Get()).empty());
  CHECK(room.Say("PROXY TCP4 192.0.2.7\r\n" + Get()).empty());
  CHECK(room.Say("PROXY TCP4 192.0.2.7 ").empty());  // and then waits: the deadline
  CHECK(room.upstream().requests().empty());
  CHECK(room.sample().stats.proxy_headers_refused.value == 3);
}

TEST_CASE("anybody else's header is no HTTP") {
  Room room("192.0.2.0/24");
  CHECK(room.Say(kV1 + Get()).empty());
  CHECK(room.upstream().requests().empty());
  CHECK(Has(room.Say(Get()), "HTTP/1.1 200"));
  CHECK(room.upstream().requests().back().Field("x-forwarded-for") == "127.0.0.1");
}

TEST_CASE("the limit per client counts the client, not the proxy") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.per_client_max = 2;
  TlsProxyRig rig({}, options);
  const uint16_t port = rig.Listen(Trusting("127.0.0.0/8")).port();
  std::vector<std::unique_ptr<WireClient>> clients;
  const auto add = [&](const std::string& header) {
    clients.push_back(
        std::make_unique<WireClient>(rig.shard(), net::SocketAddress::Loopback(port)));
    WireClient& client = *clients.back();
    client.Send(header + Get());
    (void)rig.RunUntil([&] {
      client.Step();
      return client.ended() || client.responses() == 1;
    });
    return client.responses();
  };
  for (int i = 0; i < 2; ++i) CHECK(add(kV1) == 1);
  CHECK(add(kV1) == 0);
  for (int i = 0; i < 2; ++i) CHECK(add(kV2) == 1);
  rig.plane().CheckInvariants();
}

}  // namespace
}  // namespace rouse::proxy::testing
