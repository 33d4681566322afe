#include "common/net/tls_connect.h"

#include <catch2/catch.hpp>

#include "tests/unit/common/net/tls_rig.h"

namespace rouse::net {
namespace {

using testing::TestAuthority;
using testing::TlsRig;

struct Outcome {
  std::optional<Result<std::unique_ptr<Transport>>> result;
};

Task<void> ConnectInto(Shard& shard, SocketAddress to, TlsClientPtr client,
                       std::string_view protocols, TimePoint deadline, Outcome& outcome) {
  Result<std::unique_ptr<Transport>> below = co_await Connect(shard, to, deadline);
  if (!below) co_return;
  outcome.result =
      co_await TlsConnect(shard, std::move(*below), std::move(client), protocols, deadline);
}

/// Empty where the handshake succeeds, else the error's code.
std::string Failure(TlsRig& rig, const TlsClientPolicy& policy,
                    std::string_view protocols = "\x08http/1.1") {
  auto client = TlsClientContext::Make(policy);
  REQUIRE(client.ok());
  Outcome outcome;
  Shard& shard = rig.loopback().shard();
  Detach(ConnectInto(shard, rig.loopback().address(), *client, protocols, rig.loopback().soon(),
                     outcome));
  while (!outcome.result) rig.Step();
  if (outcome.result->has_value()) return {};
  CHECK(outcome.result->error().retry_safe);
  return std::string(CodeOf(outcome.result->error().kind));
}

TEST_CASE("a pod's certificate must be signed by whom we trust, for the name we ask") {
  TlsRig rig;
  const std::string& ca = rig.authority().pem();
  rig.Serve({rig.authority().Issue(
      {.names = {"a.example", "*.w.example", "spiffe://x/ns/a", "127.0.0.1"}})});
  CHECK(Failure(rig, {.ca_pem = ca, .server_name = "a.example"}).empty());
  CHECK(Failure(rig, {.ca_pem = ca, .server_name = "b.w.example"}).empty());
  CHECK(Failure(rig, {.ca_pem = ca, .names = {"spiffe://x/ns/a"}}).empty());
  CHECK(Failure(rig, {.ca_pem = ca, .names = {"127.0.0.1"}}).empty());
  CHECK(Failure(rig, {.ca_pem = ca, .names = {"other.example", "a.example"}}).empty());
  for (const char* name : {"b.example", "w.example", "c.b.w.example", "spiffe://x/ns/ab",
                           "spiffe://x/ns", "127.0.0.2"})
    CHECK(Failure(rig, {.ca_pem = ca, .names = {name}}) == "upstream_tls_failed");
  TestAuthority stranger("stranger");
  CHECK(Failure(rig, {.ca_pem = stranger.pem(), .server_name = "a.example"}) ==
        "upstream_tls_failed");
  CHECK(Failure(rig, {.server_name = "a.example"}) == "upstream_tls_failed");  // system roots
  CHECK(Failure(rig, {.verify = false}).empty());
}

TEST_CASE("we show our certificate to a pod that asks, and speak what both speak") {
  TestAuthority ours("ours");
  const auto me = ours.Issue({.common_name = "rouse"});
  TlsRig rig({.client_auth = TlsClientAuth::kRequired,
              .client_ca_pem = ours.pem(),
              .protocols = {"h2", "http/1.1"}});
  TlsClientPolicy policy{.certificate_pem = me.chain_pem,
                         .key_pem = me.key_pem,
                         .server_name = "a.example",
                         .verify = false};
  CHECK(Failure(rig, policy).empty());
  CHECK(rig.Until([&] { return rig.last().transport->tls_peer() != nullptr; }));
  CHECK(rig.last().transport->tls_peer()->protocol == "http/1.1");
  CHECK(rig.last().transport->tls_peer()->server_name == "a.example");
  CHECK_FALSE(rig.last().transport->tls_peer()->client_certificate.empty());
  CHECK(Failure(rig, policy, "\x08http/1.1\x02h2").empty());
  CHECK(rig.Until([&] { return rig.last().transport->tls_peer() != nullptr; }));
  CHECK(rig.last().transport->tls_peer()->protocol == "h2");
  CHECK(Failure(rig, policy,
                "\x03"
                "ftp") == "upstream_tls_failed");
  policy.key_pem = ours.Issue({}).key_pem;
  CHECK_FALSE(TlsClientContext::Make(policy).ok());
}

TEST_CASE("a pod that says nothing is given up at the deadline") {
  TlsRig rig;
  auto client = TlsClientContext::Make({.verify = false});
  REQUIRE(client.ok());
  Outcome outcome;
  testing::Loopback silent;
  Shard& shard = silent.shard();
  Detach(ConnectInto(shard, silent.address(), *client, {},
                     Later(shard.now(), std::chrono::milliseconds(30)), outcome));
  REQUIRE(silent.RunUntil([&] { return outcome.result.has_value(); }));
  REQUIRE(outcome.result->has_error());
  CHECK(outcome.result->error().kind == ErrorKind::kConnectTimeout);
}

}  // namespace
}  // namespace rouse::net
