#include "common/net/tls_context.h"

#include <catch2/catch.hpp>

#include "tests/unit/common/net/tls_rig.h"

namespace rouse::net {
namespace {

using testing::TestAuthority;
using testing::TestCertificate;
using testing::TlsRig;
using testing::TlsWireClient;
using testing::TlsWish;

constexpr int kTls12 = 0x0303;
constexpr int kTls13 = 0x0304;
constexpr int kUnrecognizedName = 112;
constexpr int kNoApplicationProtocol = 120;
constexpr int kHandshakeFailure = 40;
constexpr int kProtocolVersion = 70;
constexpr int kCertificateRequired = 116;

/// The alert by which the server refused; 0 where it did not.
int Refusal(TlsRig& rig, const TlsWish& wish) {
  TlsWireClient client(rig.port(), wish);
  if (rig.Shake(client) && rig.Echo(client)) return 0;
  (void)rig.Until(client, [&] { return client.alert() >= 0 || client.ended(); });
  return client.alert();
}

TEST_CASE("the profiles differ in their least version, and none has weak ciphers") {
  TlsRig intermediate;
  TlsRig modern({.profile = TlsProfile::kModern});
  const TlsWish at_most_12{.version_most = kTls12};
  CHECK(Refusal(intermediate, at_most_12) == 0);
  CHECK(Refusal(modern, at_most_12) == kProtocolVersion);
  CHECK(Refusal(modern, {}) == 0);
  CHECK(Refusal(intermediate, {.version_least = 0x0301, .version_most = 0x0302}) ==
        kProtocolVersion);
  for (const char* ciphers : {"ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                              "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA"})
    CHECK(Refusal(intermediate, {.version_most = kTls12, .ciphers = ciphers}) == kHandshakeFailure);
}

TEST_CASE("the server's order of ciphers counts") {
  TlsRig rig;
  TlsWireClient client(rig.port(),
                       {.version_most = kTls12,
                        .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"});
  REQUIRE(rig.Shake(client));
  CHECK(client.cipher() == "ECDHE-ECDSA-AES128-GCM-SHA256");
}

TEST_CASE("the name chooses the certificate: exact, then wildcard, then the first") {
  TlsRig rig;
  TestAuthority& authority = rig.authority();
  rig.Serve({authority.Issue({.names = {"first.example"}, .common_name = "first"}),
             authority.Issue({.names = {"*.w.example"}, .common_name = "wild"}),
             authority.Issue({.names = {"x.w.example"}, .common_name = "exact"})});
  const std::pair<const char*, const char*> rows[] = {
      {"x.w.example", "exact"},   {"X.W.Example", "exact"},     {"y.w.example", "wild"},
      {"y.x.w.example", "first"}, {"unknown.example", "first"}, {"", "first"}};
  for (const auto& [name, wanted] : rows) {
    INFO(name);
    TlsWireClient client(rig.port(), {.server_name = name});
    REQUIRE(rig.Shake(client));
    CHECK(client.peer_name() == wanted);
  }
}

TEST_CASE("strict names refuse those that nobody answers to") {
  TlsRig rig({.strict_names = true});
  CHECK(Refusal(rig, {.server_name = "a.example"}) == 0);
  CHECK(Refusal(rig, {.server_name = "unknown.example"}) == kUnrecognizedName);
  CHECK(rig.last().transport->failure() == TlsFailure::kUnknownName);
  CHECK(Refusal(rig, {}) == kUnrecognizedName);
}

TEST_CASE("of two kinds of key the client's signatures decide") {
  TlsRig rig;
  TestAuthority& authority = rig.authority();
  rig.Serve({authority.Issue({.names = {"a.example"}, .common_name = "ecdsa"}),
             authority.Issue({.names = {"a.example"}, .common_name = "rsa", .rsa = true})});
  const TlsWish wish{.server_name = "a.example", .ca_pem = authority.pem()};
  TlsWireClient usual(rig.port(), wish);
  REQUIRE(rig.Shake(usual));
  CHECK_FALSE(usual.peer_is_rsa());
  for (const int version : {kTls12, kTls13}) {
    TlsWish old = wish;
    old.version_most = version;
    old.signatures = "rsa_pss_rsae_sha256:RSA+SHA256";
    TlsWireClient client(rig.port(), old);
    REQUIRE(rig.Shake(client));
    CHECK(client.peer_is_rsa());
  }
}

TEST_CASE("ALPN takes ours in our order, refuses strangers, and may be absent") {
  TlsRig rig({.protocols = {"h2", "http/1.1"}});
  TlsWireClient both(rig.port(), {.protocols = {"http/1.1", "h2"}});
  REQUIRE(rig.Shake(both));
  CHECK(both.protocol() == "h2");
  CHECK(rig.last().transport->tls_peer()->protocol == "h2");
  TlsWireClient one(rig.port(), {.protocols = {"http/1.1"}});
  REQUIRE(rig.Shake(one));
  CHECK(one.protocol() == "http/1.1");
  TlsWireClient none(rig.port(), {});
  REQUIRE(rig.Shake(none));
  CHECK(rig.last().transport->tls_peer()->protocol.empty());
  CHECK(Refusal(rig, {.protocols = {"ftp"}}) == kNoApplicationProtocol);
  CHECK(rig.last().transport->failure() == TlsFailure::kNoProtocol);
}

TEST_CASE("client certificates are required, asked for, or not") {
  TestAuthority clients("clients");
  const TestCertificate good = clients.Issue({.names = {"spiffe://x/a"}, .common_name = "me"});
  TestAuthority stranger("stranger");
  const TestCertificate bad = stranger.Issue({.common_name = "someone"});
  TlsRig required({.client_auth = TlsClientAuth::kRequired, .client_ca_pem = clients.pem()});
  TlsRig optional({.client_auth = TlsClientAuth::kOptional, .client_ca_pem = clients.pem()});
  const TlsWish with_good{.certificate_pem = good.chain_pem, .key_pem = good.key_pem};
  const TlsWish with_bad{.certificate_pem = bad.chain_pem, .key_pem = bad.key_pem};
  CHECK(Refusal(required, {}) == kCertificateRequired);
  CHECK(required.last().transport->failure() == TlsFailure::kCertificate);
  CHECK(Refusal(required, with_good) == 0);
  CHECK(required.last().transport->tls_peer()->client_certificate.find("URI=spiffe://x/a") !=
        std::string::npos);
  CHECK(Refusal(required, with_bad) > 0);
  CHECK(Refusal(optional, {}) == 0);
  CHECK(optional.last().transport->tls_peer()->client_certificate.empty());
  CHECK(Refusal(optional, with_good) == 0);
  CHECK(Refusal(optional, with_bad) > 0);
  CHECK_FALSE(TlsServerContext::Make({.client_auth = TlsClientAuth::kRequired}).ok());
}

TEST_CASE("a staple is sent to those who ask") {
  TlsRig rig;
  const TestCertificate certificate = rig.authority().Issue({.names = {"a.example"}});
  const std::string staple = rig.authority().Staple(certificate);
  rig.Serve({certificate}, staple);
  TlsWireClient asks(rig.port(), {.ask_staple = true});
  REQUIRE(rig.Shake(asks));
  CHECK(asks.staple() == staple);
  TlsWireClient silent(rig.port(), {});
  REQUIRE(rig.Shake(silent));
  CHECK(silent.staple().empty());
}

TEST_CASE("a context that cannot be made says why") {
  CHECK_FALSE(TlsServerContext::Make({.groups = "nonsense"}).ok());
  CHECK_FALSE(TlsServerContext::Make({.protocols = {""}}).ok());
  CHECK_FALSE(TlsClientContext::Make({}).ok());  // verifying, and no name
  CHECK_FALSE(TlsClientContext::Make({.ca_pem = "nonsense", .server_name = "a.example"}).ok());
}

}  // namespace
}  // namespace rouse::net
