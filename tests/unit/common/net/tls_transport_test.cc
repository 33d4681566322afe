#include "common/net/tls_transport.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "tests/support/net/pipe_transport.h"
#include "tests/support/net/sim_shards.h"
#include "tests/unit/common/net/tls_rig.h"

namespace rouse::net {
namespace {

using testing::Loopback;
using testing::TlsRig;
using testing::TlsWireClient;

std::string Noise(size_t bytes) {
  Random random(7);
  std::string data(bytes, '\0');
  for (char& c : data) c = static_cast<char>(random.Next());
  return data;
}

TEST_CASE("bytes go both ways, whatever their number") {
  TlsRig rig;
  for (const int version : {0x0303, 0x0304}) {
    TlsWireClient client(rig.port(), {.version_most = version});
    REQUIRE(rig.Shake(client));
    CHECK(rig.last().transport->tls_peer()->version == client.version());
    for (const size_t size : {1, 2, 1000, 8192}) CHECK(rig.Echo(client, Noise(size)));
  }
}

TEST_CASE("an end is an end only after close_notify") {
  TlsRig rig;
  TlsWireClient polite(rig.port(), {});
  REQUIRE(rig.Shake(polite));
  polite.End(true);
  CHECK(rig.Until(polite, [&] { return rig.last().ended; }));
  TlsWireClient rude(rig.port(), {});
  REQUIRE(rig.Shake(rude));
  rude.End(false);
  CHECK(rig.Until(rude, [&] { return rig.last().broken; }));
  CHECK_FALSE(rig.last().ended);
}

TEST_CASE("closing says close_notify, cutting does not") {
  TlsRig rig;
  for (const bool reset : {false, true}) {
    TlsWireClient client(rig.port(), {});
    REQUIRE(rig.Shake(client));
    rig.last().transport->Close(reset);
    CHECK(rig.Until(client, [&] { return client.ended(); }));
    CHECK(client.notified() == !reset);
    char bytes[16];
    CHECK(rig.last().transport->Read(bytes).status == IoStatus::kBroken);
  }
}

TEST_CASE("renegotiation is refused") {
  TlsRig rig;
  TlsWireClient client(rig.port(), {.version_most = 0x0303});
  REQUIRE(rig.Shake(client));
  client.Renegotiate();
  constexpr int kNoRenegotiation = 100;
  CHECK(rig.Until(client, [&] { return client.alert() >= 0; }));
  CHECK(client.alert() == kNoRenegotiation);
}

TEST_CASE("a few key updates are served, a flood ends the connection") {
  TlsRig rig;
  TlsWireClient client(rig.port(), {});
  REQUIRE(rig.Shake(client));
  client.UpdateKeys(20);
  CHECK(rig.Echo(client));
  client.UpdateKeys(2 * TlsHello::kKeyUpdatesPerSecond);
  CHECK(rig.Until(client, [&] { return rig.last().broken; }));
}

TEST_CASE("garbage in place of a record breaks the connection, by an alert") {
  TlsRig rig;
  TlsWireClient client(rig.port(), {});
  REQUIRE(rig.Shake(client));
  // An application record of 16 KiB + 257 bytes.
  client.SendRaw(std::string("\x17\x03\x03\x41\x01", 5) + std::string(0x4101, 'x'));
  CHECK(rig.Until(client, [&] { return rig.last().broken; }));
  CHECK(rig.Until(client, [&] { return client.alert() >= 0 || client.ended(); }));
}

TEST_CASE("what is no TLS fails the handshake") {
  TlsRig rig;
  TlsWireClient client(rig.port(), {});
  client.SendRaw("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(rig.Until(client, [&] { return !rig.served().empty() && rig.last().failed; }));
  CHECK(NameOf(rig.last().transport->failure()) == "malformed");
  TlsWireClient leaves(rig.port(), {});
  leaves.SendRaw("\x16");
  leaves.End(false);
  CHECK(rig.Until(leaves, [&] { return rig.served().size() == 2 && rig.last().failed; }));
  CHECK(NameOf(rig.last().transport->failure()) == "closed");
}

/// Shakes hands as either role.
Task<void> Shake(TlsTransport& transport, TimePoint deadline, bool& done) {
  for (;;) {
    const TlsTransport::Step step = transport.Handshake();
    done = step == TlsTransport::Step::kDone;
    if (step != TlsTransport::Step::kMustWait) co_return;
    const Wake why = co_await transport.WaitReadable(deadline);
    if (why == Wake::kDeadline) co_return;
  }
}

Task<void> Send(TlsTransport& transport, std::string_view data, TimePoint deadline, bool& ok) {
  bool done = false;
  co_await Shake(transport, deadline, done);
  ok = done;
  if (!done) co_return;
  co_await testing::WriteAll(transport, data, deadline, ok);
  transport.ShutdownWrite();
}

Task<void> Receive(TlsTransport& transport, TimePoint deadline, std::string& out, bool& ended) {
  bool done = false;
  co_await Shake(transport, deadline, done);
  if (!done) co_return;
  co_await testing::ReadToEnd(transport, deadline, out, ended);
}

TEST_CASE("a long body passes a wire that splits and delays, its end with it") {
  testing::TestAuthority authority;
  const auto pem = authority.Issue({.names = {"a.example"}});
  TlsServer server;
  server.context = *TlsServerContext::Make({});
  const auto certificate =
      *TlsCertificate::Make({pem.chain_pem, pem.key_pem, {}}, SteadyClock().wall());
  server.certificates = std::make_shared<TlsCertificates>(
      std::vector<TlsCertificates::Entry>{{certificate, certificate->names()}});
  const auto client =
      *TlsClientContext::Make({.ca_pem = authority.pem(), .server_name = "a.example"});
  const std::string data = Noise(600'000);
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    SimClock clock;
    testing::SimShards shards(clock, seed, 1);
    Shard& shard = shards.shard();
    testing::PipeOptions options{.seed = seed, .window = size_t{1} << (6 + seed)};
    options.from_first =
        options.from_second = {.split = true, .delay_most = std::chrono::milliseconds(2)};
    auto pipe = testing::PipeTransport::Make(shard, shard, options);
    TlsTransport sends(shard, std::move(pipe.first), std::make_shared<TlsServer>(server));
    TlsTransport receives(shard, std::move(pipe.second), client, {});
    std::string out;
    bool ok = false;
    bool ended = false;
    Detach(Send(sends, data, kNever, ok));
    Detach(Receive(receives, kNever, out, ended));
    for (int i = 0; i < 1000 && !ended; ++i) shards.Advance(std::chrono::seconds(1));
    CHECK(ok);
    CHECK(ended);
    CHECK(out == data);
  }
}

}  // namespace
}  // namespace rouse::net
