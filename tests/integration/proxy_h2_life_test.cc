// The rows of security.md 2.3 about how HTTP/2 connections begin, are shared and end.

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/proxy_h2_rig.h"
#include "tests/integration/proxy_tls_rig.h"

namespace rouse::proxy::testing {
namespace {

using namespace net::testing;  // NOLINT: frame names
using std::chrono::milliseconds;

constexpr uint32_t kIdMost = 0x7fffffff;

TEST_CASE("under pressure new HTTP/2 connections are left their first request") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.pressure_share = 0.01;
  options.sessions.connections_max = 100;
  options.sessions.http1.fresh_for = options.sessions.http1.first_byte_timeout =
      std::chrono::hours(1);
  H2Rig rig(options);
  std::vector<H2Wire*> wires;
  for (size_t i = 0; i < 20; ++i) wires.push_back(&rig.Dial());
  REQUIRE(rig.RunUntil([&] {
    return std::all_of(wires.begin(), wires.end(), [](H2Wire* one) {
      return one->read().settings_acked() || one->client().ended();
    });
  }));
  for (H2Wire* wire : wires) CHECK(rig.Ask(*wire, 1, H2Get()).status == 200);
}

TEST_CASE("a preface that is wrong or cut short reaches nobody (S01)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.head_timeout = milliseconds(50);
  options.sessions.http1.linger_timeout = milliseconds(20);
  const std::string bytes = GENERATE(
      std::string("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"), std::string("PRI * HTTP/2.0\r\n\r\n"),
      std::string("PRI * HTTP/2.0\r\n\r\nSM\r"), std::string("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"),
      std::string("PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("PRI * HT"));
  INFO(bytes);
  H2Rig rig(options);
  WireClient& client = rig.Connect();
  client.Send(bytes);
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(rig.upstream().requests().empty());
  CHECK(rig.upstream().malformed().empty());
}

TEST_CASE("a client that says GOAWAY gets what it had asked for (F09)") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  rig.upstream().Hold();
  wire.Headers(1, H2Get("/running"), true);
  REQUIRE(rig.RunUntil([&] { return !rig.Quiet(); }));
  wire.Send(H2Frame(kGoAway, 0, 0, Number32(0) + Number32(0)));
  rig.upstream().Release();
  CHECK(rig.Wait(wire, 1).status == 200);
}

TEST_CASE("over HTTP/2 too, a host that the certificate is not for is misdirected (H18)") {
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial({.server_name = "fn.example", .protocols = {"h2"}});
  const auto asks = [](uint32_t stream, std::string host) {
    H2Fields fields = H2Get();
    fields[2].second = std::move(host);
    return H2Frame(kHeaders, kEndStream | kEndHeaders, stream, Hpack(fields));
  };
  client.Send(std::string(kH2Preface) + H2Frame(kSettings, 0, 0, {}) + asks(1, "other.example") +
              asks(3, "x.w.example") + asks(5, "x.y.w.example"));
  const auto status = [&](uint32_t stream) {
    H2Reader reader;
    reader.Feed(client.received());
    return reader.stream(stream).over() ? reader.stream(stream).status : 0;
  };
  REQUIRE(rig.Until([&] { return status(1) != 0 && status(3) != 0 && status(5) != 0; }));
  CHECK(status(1) == 421);
  CHECK(status(3) == 200);  // the same certificate covers it
  CHECK(status(5) == 421);
  CHECK(rig.upstream().requests().size() == 1);
}

TEST_CASE("streams that are left half-sent end by themselves, and their slots return (A08)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.body.read_idle_timeout = milliseconds(50);
  H2Rig rig(options);
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 100; ++i) {
    wire.Headers(2 * i + 1, H2Post(), false);
    wire.Data(2 * i + 1, "half", false);
  }
  for (uint32_t i = 0; i < 100; ++i) CHECK(rig.Wait(wire, 2 * i + 1).over());
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.sample().workloads.front().in_flight == 0);
  CHECK(rig.Ask(wire, 201, H2Get()).status == 200);  // there is room again
}

TEST_CASE("a client that opens streams behind a GOAWAY is cut after the grace (A09)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.requests_max = 2;
  options.sessions.http1.keep_alive_timeout = milliseconds(50);
  options.sessions.http2.goaway_notice = milliseconds(20);
  H2Rig rig(options);
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Get()).status == 200);
  wire.Headers(3, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway_ids().size() == 2; }));
  CHECK(wire.stream(3).status == 200);
  const size_t served = rig.upstream().requests().size();
  uint32_t next = wire.read().goaway_ids().back() + 2;
  REQUIRE(rig.RunUntil([&] {
    if (!wire.client().ended() && next < 2000)
      wire.Headers(std::exchange(next, next + 2), H2Get(), true);
    return wire.client().ended();
  }));
  CHECK(rig.upstream().requests().size() == served);
}

TEST_CASE("a connection whose ids run out says so while some are left (G02)") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Get()).status == 200);
  CHECK_FALSE(wire.read().goaway());
  wire.Headers(kIdMost - 1000, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return !wire.read().goaway_ids().empty(); }));
  // What was on its way is served, the last id too.
  wire.Headers(kIdMost, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return wire.stream(kIdMost).over(); }));
  CHECK(wire.stream(kIdMost - 1000).status == 200);
  CHECK(wire.stream(kIdMost).status == 200);
}

}  // namespace
}  // namespace rouse::proxy::testing
