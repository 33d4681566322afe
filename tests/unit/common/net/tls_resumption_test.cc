// Resumption by tickets: across replicas and epochs, and never across rules.

#include <catch2/catch.hpp>

#include "tests/unit/common/net/tls_rig.h"

namespace rouse::net {
namespace {

using testing::TlsRig;
using testing::TlsWireClient;
using testing::TlsWish;
using Session = std::shared_ptr<ssl_session_st>;

Session SessionOf(TlsRig& rig, const TlsWish& wish) {
  TlsWireClient client(rig.port(), wish);
  REQUIRE(rig.Shake(client));
  REQUIRE(rig.Echo(client));
  REQUIRE(client.session() != nullptr);
  return client.session();
}

bool Resumes(TlsRig& rig, TlsWish wish, const Session& session) {
  wish.session = session;
  TlsWireClient client(rig.port(), wish);
  REQUIRE(rig.Shake(client));
  REQUIRE(rig.Echo(client));
  CHECK(client.resumed() == rig.last().transport->tls_peer()->resumed);
  return client.resumed();
}

std::shared_ptr<TlsTicketKeys> Keys(char seed, WallTime now = SteadyClock().wall()) {
  return std::make_shared<TlsTicketKeys>(std::string(32, seed), now);
}

TEST_CASE("a session is resumed, at another replica with the same seed too") {
  const auto certificate = testing::TestAuthority().Issue({.names = {"a.example"}});
  for (const int version : {0x0303, 0x0304}) {
    TlsRig one;
    TlsRig two;
    one.Serve({certificate});
    two.Serve({certificate});
    const TlsWish wish{.server_name = "a.example", .version_most = version};
    // Each is good for one use (RFC 8446 appendix C.4).
    CHECK(Resumes(one, wish, SessionOf(one, wish)));
    CHECK(Resumes(two, wish, SessionOf(one, wish)));
    const Session session = SessionOf(one, wish);
    two.SetTickets(Keys('t'));
    CHECK_FALSE(Resumes(two, wish, session));
    one.SetTickets(nullptr);
    CHECK_FALSE(Resumes(one, wish, session));
  }
}

TEST_CASE("no session goes to another certificate, or past other rules for clients") {
  testing::TestAuthority authority;
  const auto a = authority.Issue({.names = {"a.example"}});
  const auto b = authority.Issue({.names = {"b.example"}});
  for (const int version : {0x0303, 0x0304}) {
    TlsRig rig;
    rig.Serve({a, b});
    const TlsWish wish{.server_name = "a.example", .version_most = version};
    const Session session = SessionOf(rig, wish);
    TlsWish other = wish;
    other.server_name = "b.example";
    CHECK_FALSE(Resumes(rig, other, session));

    TlsRig asks({.client_auth = TlsClientAuth::kOptional, .client_ca_pem = authority.pem()});
    asks.Serve({a, b});
    CHECK_FALSE(Resumes(asks, wish, session));
    TlsRig elsewhere({.scope = "another listener"});
    elsewhere.Serve({a, b});
    CHECK_FALSE(Resumes(elsewhere, wish, session));
    CHECK(Resumes(rig, wish, session));
  }
}

TEST_CASE("a resumed session still says who the client is") {
  testing::TestAuthority clients("clients");
  const auto me = clients.Issue({.names = {"spiffe://x/a"}});
  TlsRig rig({.client_auth = TlsClientAuth::kRequired, .client_ca_pem = clients.pem()});
  const TlsWish wish{.certificate_pem = me.chain_pem, .key_pem = me.key_pem};
  const Session session = SessionOf(rig, wish);
  const std::string first = rig.last().transport->tls_peer()->client_certificate;
  CHECK(Resumes(rig, wish, session));
  CHECK(rig.last().transport->tls_peer()->client_certificate == first);
  CHECK_FALSE(first.empty());
}

}  // namespace
}  // namespace rouse::net
