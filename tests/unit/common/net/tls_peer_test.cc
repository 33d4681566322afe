#include "common/net/tls_peer.h"

#include <catch2/catch.hpp>

#include "tests/unit/common/net/tls_rig.h"

namespace rouse::net {
namespace {

using testing::TlsRig;
using testing::TlsWireClient;

std::string Described(const testing::CertificateWish& wish) {
  testing::TestAuthority clients("clients");
  const auto certificate = clients.Issue(wish);
  TlsRig rig({.client_auth = TlsClientAuth::kOptional, .client_ca_pem = clients.pem()});
  rig.Serve({rig.authority().Issue({.names = {"a.example", "spiffe://us/proxy"}})});
  TlsWireClient client(rig.port(),
                       {.certificate_pem = certificate.chain_pem, .key_pem = certificate.key_pem});
  REQUIRE(rig.Shake(client));
  return rig.last().transport->tls_peer()->client_certificate;
}

TEST_CASE("a client's certificate is described as Envoy does") {
  const std::string text = Described(
      {.names = {"spiffe://x/ns/a", "me.example", "you.example"}, .common_name = "me, \"myself\""});
  INFO(text);
  CHECK(text.starts_with("By=spiffe://us/proxy;Hash="));
  CHECK(text.find(";Subject=\"CN=me\\\\, \\\\\\\"myself\\\\\\\"\"") != std::string::npos);
  CHECK(text.ends_with(";URI=spiffe://x/ns/a;DNS=me.example;DNS=you.example"));
  const std::string hash = text.substr(text.find("Hash=") + 5, 64);
  CHECK(hash.find_first_not_of("0123456789abcdef") == std::string::npos);
}

TEST_CASE("what would break the list is quoted or left out, and length is bounded") {
  CHECK(Described({.names = {"urn://a;b=c"}}).find(";URI=\"urn://a;b=c\"") != std::string::npos);
  std::vector<std::string> many;
  for (int i = 0; i < 200; ++i) many.push_back("spiffe://x/" + std::string(60, 'a'));
  const std::string text = Described({.names = many});
  CHECK(text.size() == 5 + 64);
  CHECK(DescribeClient(nullptr, "spiffe://us").empty());
}

TEST_CASE("a host belongs on a connection that named it, or whose certificate covers it") {
  TlsPeer peer;
  CHECK(peer.MayServe("any.example"));
  peer.server_name = "a.example";
  CHECK(peer.MayServe("a.example"));
  CHECK_FALSE(peer.MayServe("b.example"));
  testing::TestAuthority authority;
  const auto pem = authority.Issue({.names = {"a.example", "*.w.example"}});
  const auto made = TlsCertificate::Make({pem.chain_pem, pem.key_pem, {}}, SteadyClock().wall());
  REQUIRE(made.ok());
  auto served = std::make_shared<TlsIdentity>();
  served->certificates = {*made};
  peer.served = served;
  CHECK(peer.MayServe("x.w.example"));
  CHECK_FALSE(peer.MayServe("b.example"));
}

}  // namespace
}  // namespace rouse::net
