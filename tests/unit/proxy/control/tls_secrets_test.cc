#include "proxy/control/tls_secrets.h"

#include <catch2/catch.hpp>

#include "tests/support/net/test_pki.h"

namespace rouse::proxy {
namespace {

using net::testing::TestAuthority;
using net::testing::TestCertificate;

struct Room {
  k8s::Secret Secret(const std::string& ns, const std::string& name) {
    return Secret(ns, name, authority.Issue({.names = {"*.example"}}));
  }
  static k8s::Secret Secret(const std::string& ns, const std::string& name,
                            const TestCertificate& certificate) {
    k8s::Secret secret;
    secret.meta.ns = ns;
    secret.meta.name = name;
    secret.certificate = certificate.chain_pem;
    secret.key = certificate.key_pem;
    return secret;
  }
  struct Served {
    net::TlsCertificatePtr certificate;
    std::vector<std::string> hosts;
  };
  SteadyClock clock;
  obs::Log log{clock, {obs::Level::kError, obs::Log::Format::kText, 64, [](std::string_view) {}}};
  TestAuthority authority;
  std::map<ObjectKey, Served> served;
  int told = 0;
  TlsSecrets secrets{clock, log,
                     [this](const ObjectKey& service, net::TlsCertificatePtr certificate,
                            std::vector<std::string> hosts) {
                       ++told;
                       served[service] = {std::move(certificate), std::move(hosts)};
                     }};
};

const ObjectKey kShop{"a", "shop"};
const std::map<ObjectKey, TlsSecrets::Want> kWants = {
    {kShop, {.secret = "cert", .hosts = {"shop.example"}}}};

TEST_CASE("a Service gets the Secret of its own namespace, whichever comes first") {
  for (const bool secret_first : {true, false}) {
    Room room;
    if (secret_first) room.secrets.OnUpsert(room.Secret("a", "cert"));
    room.secrets.SetWants(kWants);
    room.secrets.OnUpsert(room.Secret("b", "cert"));
    room.secrets.OnUpsert(room.Secret("a", "other"));
    CHECK((room.served[kShop].certificate != nullptr) == secret_first);
    room.secrets.OnUpsert(room.Secret("a", "cert"));
    CHECK(room.served[kShop].certificate != nullptr);
    CHECK(room.served[kShop].hosts == std::vector<std::string>{"shop.example"});
    const int told = room.told;
    room.secrets.SetWants(kWants);  // nothing new
    CHECK(room.told == told);
  }
}

TEST_CASE("a bad Secret keeps the old certificate, a deleted one takes it away") {
  Room room;
  room.secrets.SetWants(kWants);
  room.secrets.OnUpsert(room.Secret("a", "cert"));
  const net::TlsCertificatePtr before = room.served[kShop].certificate;
  k8s::Secret bad = room.Secret("a", "cert");
  bad.key = room.authority.Issue({}).key_pem;
  room.secrets.OnUpsert(bad);
  CHECK(room.served[kShop].certificate == before);
  room.secrets.OnDelete({"a", "cert"}, "");
  CHECK(room.served[kShop].certificate == nullptr);
}

TEST_CASE("a Service that wants no Secret any more has none") {
  Room room;
  room.secrets.SetWants(kWants);
  room.secrets.OnUpsert(room.Secret("a", "cert"));
  room.secrets.SetWants({});
  CHECK(room.served[kShop].certificate == nullptr);
}

}  // namespace
}  // namespace rouse::proxy
