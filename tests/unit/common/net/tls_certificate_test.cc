#include "common/net/tls_certificate.h"

#include <catch2/catch.hpp>

#include "tests/support/net/test_pki.h"

namespace rouse::net {
namespace {

using testing::TestAuthority;
using testing::TestCertificate;

WallTime Now() { return SteadyClock().wall(); }

absl::StatusOr<TlsCertificatePtr> Make(const TestCertificate& from,
                                       const std::string& staple = {}) {
  return TlsCertificate::Make(
      {.chain_pem = from.chain_pem, .key_pem = from.key_pem, .staple_der = staple}, Now());
}

bool Says(const absl::StatusOr<TlsCertificatePtr>& made, const std::string& what) {
  INFO(made.status().ToString());
  return !made.ok() && std::string(made.status().message()).find(what) != std::string::npos;
}

TEST_CASE("a certificate is read with its names, kind of key and end") {
  TestAuthority authority;
  const auto made =
      Make(authority.Issue({.names = {"Shop.Example", "*.b.example", "spiffe://x/ns/a"}}));
  REQUIRE(made.ok());
  CHECK((*made)->names() == std::vector<std::string>{"shop.example", "*.b.example"});
  CHECK((*made)->uri() == "spiffe://x/ns/a");
  CHECK((*made)->fingerprint().size() == 32);
  CHECK((*made)->not_after() > Now() + std::chrono::hours(24 * 29));
  const auto rsa = Make(authority.Issue({.names = {"a.example"}, .rsa = true}));
  REQUIRE(rsa.ok());
  CHECK((*rsa)->key_kind() != (*made)->key_kind());
}

TEST_CASE("what cannot be served is refused, and says why") {
  TestAuthority authority;
  const TestCertificate good = authority.Issue({.names = {"a.example"}});
  const TestCertificate other = authority.Issue({.names = {"a.example"}});
  TestAuthority stranger("stranger");
  CHECK(Says(Make({good.chain_pem, other.key_pem}), "does not belong"));
  CHECK(Says(Make({"", good.key_pem}), "no certificate"));
  CHECK(Says(Make({good.chain_pem.substr(0, 300), good.key_pem}), "no certificate"));
  CHECK(Says(Make({good.chain_pem, good.key_pem.substr(0, 60)}), "no private key"));
  CHECK(Says(Make({good.chain_pem + stranger.pem(), good.key_pem}), "not in order"));
  CHECK(Says(Make(authority.Issue({.from_seconds = -7200, .until_seconds = -60})), "expired"));
  CHECK(Says(Make(authority.Issue({.from_seconds = 3600})), "not valid yet"));
  CHECK(Says(Make(authority.Issue({.must_staple = true})), "must be stapled"));
  CHECK(Says(Make({std::string(kCertificatePemMax + 1, 'x'), good.key_pem}), "too long"));
}

TEST_CASE("a staple is taken while it says good of this certificate") {
  TestAuthority authority;
  const TestCertificate good = authority.Issue({.names = {"a.example"}, .must_staple = true});
  const TestCertificate other = authority.Issue({.names = {"a.example"}});
  const auto made = Make(good, authority.Staple(good));
  REQUIRE(made.ok());
  CHECK_FALSE((*made)->StapleAt(Now()).empty());
  CHECK((*made)->StapleAt(Now() + std::chrono::hours(2)).empty());
  CHECK(Says(Make(good, "nonsense"), "no successful OCSP response"));
  CHECK(Says(Make(good, authority.Staple(other)), "not about this certificate"));
  CHECK(Says(Make(good, authority.Staple(good, false)), "does not say good"));
  CHECK(Says(Make(good, authority.Staple(good, true, -60)), "out of date"));
}

TEST_CASE("names match exactly, or by one label under a wildcard") {
  CHECK(NameMatches("a.example", "a.example"));
  CHECK(NameMatches("*.example", "a.example"));
  CHECK_FALSE(NameMatches("*.example", "b.a.example"));
  CHECK_FALSE(NameMatches("*.example", "example"));
  CHECK_FALSE(NameMatches("*.example", ".example"));
  CHECK_FALSE(NameMatches("a.example", "b.example"));
}

TEST_CASE("the exact name comes before the wildcard, and kinds of key stand side by side") {
  TestAuthority authority;
  const auto exact = *Make(authority.Issue({.names = {"a.example"}}));
  const auto again = *Make(authority.Issue({.names = {"a.example"}}));
  const auto rsa = *Make(authority.Issue({.names = {"a.example"}, .rsa = true}));
  const auto wild = *Make(authority.Issue({.names = {"*.example"}}));
  const TlsCertificates all({{wild, wild->names()},
                             {exact, exact->names()},
                             {again, again->names()},
                             {rsa, rsa->names()}});
  const auto* const found = all.Find("a.example");
  REQUIRE(found != nullptr);
  CHECK((*found)->certificates == std::vector<TlsCertificatePtr>{exact, rsa});
  REQUIRE(all.Find("b.example") != nullptr);
  CHECK((*all.Find("b.example"))->certificates == std::vector<TlsCertificatePtr>{wild});
  CHECK((*all.Find("b.example"))->Covers("c.example"));
  CHECK_FALSE((*found)->Covers("c.example"));
  CHECK(all.Find("c.b.example") == nullptr);
  CHECK(all.Find("") == nullptr);
  CHECK(all.first() == *all.Find("b.example"));
  CHECK((*found)->digest != (*all.Find("b.example"))->digest);
}

TEST_CASE("a certificate answers to no name that it does not carry") {
  TestAuthority authority;
  const auto wild = *Make(authority.Issue({.names = {"*.example"}}));
  const TlsCertificates all({{wild, {"a.example", "a.other"}}});
  CHECK(all.Find("a.example") != nullptr);
  CHECK(all.Find("b.example") == nullptr);
  CHECK(all.Find("a.other") == nullptr);
  CHECK(TlsCertificates({}).first() == nullptr);
}

}  // namespace
}  // namespace rouse::net
