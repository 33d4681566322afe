#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

using std::chrono::milliseconds;

const std::string kUpgrade = Get("/ws",
                                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n");

FakeAnswer Switch(const FakeRequest&) {
  return {
      .bytes =
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      .after = FakeAnswer::After::kEcho};
}

WireClient& OpenTunnel(ProxyRig& rig) {
  rig.upstream().SetAnswer(Switch);
  WireClient& client = rig.Connect();
  client.Send(kUpgrade);
  REQUIRE(rig.RunUntil([&] { return Has(client.received(), "\r\n\r\n"); }));
  REQUIRE(client.received().starts_with("HTTP/1.1 101 "));
  CHECK(Has(client.received(), "upgrade: websocket"));
  client.Forget();
  return client;
}

TEST_CASE("an upgraded connection carries bytes both ways as they are") {
  ProxyRig rig;
  WireClient& client = OpenTunnel(rig);
  CHECK(rig.upstream().requests().front().Field("upgrade") == "websocket");
  Random random(3);
  std::string sent;
  SECTION("byte by byte") {
    for (int i = 0; i < 300; ++i) sent += static_cast<char>(random.Next());
    client.SendSlowly(sent);
  }
  SECTION("a lot") {
    for (int i = 0; i < (1 << 21); ++i) sent += static_cast<char>(random.Next());
    client.Send(sent);
  }
  REQUIRE(rig.RunUntil([&] { return client.received().size() == sent.size(); }));
  CHECK(client.received() == sent);
  CHECK(rig.sample().workloads.front().in_flight == 1);
  client.HalfClose();
  REQUIRE(rig.RunUntil([&] { return client.ended() && rig.Quiet(); }));
  CHECK_FALSE(client.broken());
  CHECK(rig.plane().pool().open() == 0);
}

TEST_CASE("bytes behind the upgrade request reach the pod after the 101") {
  ProxyRig rig;
  rig.upstream().SetAnswer(Switch);
  WireClient& client = rig.Connect();
  client.Send(kUpgrade + "early");
  REQUIRE(rig.RunUntil([&] { return client.received().ends_with("\r\n\r\nearly"); }));
}

TEST_CASE("a forgotten tunnel ends at its idle timeout, a used one does not") {
  ProxyRig rig;
  rig.policy().tunnel_idle_timeout = milliseconds(120);
  rig.Publish();
  WireClient& client = OpenTunnel(rig);
  for (size_t i = 1; i <= 5; ++i) {
    rig.RunFor(milliseconds(50));
    client.Send("x");
    REQUIRE(rig.RunUntil([&] { return client.received().size() == i; }));
  }
  REQUIRE(rig.RunUntil([&] { return client.ended() && rig.Quiet(); }));
}

TEST_CASE("a tunnel ends at both ends when either breaks") {
  ProxyRig rig;
  WireClient& client = OpenTunnel(rig);
  SECTION("the client") { client.Close(true); }
  SECTION("the pod") { rig.upstream().CloseAll(true); }
  REQUIRE(rig.RunUntil([&] { return rig.Quiet() && rig.plane().pool().open() == 0; }));
}

TEST_CASE("an upgrade that the pod declines is an ordinary answer") {
  ProxyRig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"};
  });
  const std::string answer = rig.Ask(kUpgrade);
  CHECK(answer.starts_with("HTTP/1.1 426 "));
  CHECK(answer.ends_with("no"));
}

TEST_CASE("an upgrade to anything else, or on a POST, is stripped") {
  ProxyRig rig;
  (void)rig.Ask(Get("/", "Connection: Upgrade\r\nUpgrade: foo\r\n"));
  (void)rig.Ask(Post("", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  (void)rig.Ask(Get("/", "Upgrade: websocket\r\n"));
  REQUIRE(rig.upstream().requests().size() == 3);
  for (const FakeRequest& request : rig.upstream().requests())
    CHECK(request.Field("upgrade").empty());
}

TEST_CASE(
    "draining: idle connections end, running and parked requests are served, tunnels are waited "
    "for") {
  ProxyRig rig;
  WireClient& idle = rig.Connect();
  idle.Send(Get());
  REQUIRE(rig.RunUntil([&] { return idle.responses() == 1 && rig.Quiet(); }));
  WireClient& running = rig.Connect();
  rig.upstream().Hold();
  running.Send(Get());
  REQUIRE(rig.RunUntil([&] { return rig.plane().active() == 1; }));
  rig.view().workloads.push_back({.key = {"ns", "cold"}, .endpoints = {}, .policy = {}});
  rig.view().routes.push_back({.host = "cold", .path = "/", .workload = {"ns", "cold"}});
  rig.Publish();
  WireClient& parked = rig.Connect();
  parked.Send("GET / HTTP/1.1\r\nHost: cold\r\n\r\n");
  REQUIRE(rig.RunUntil([&] { return rig.plane().active() == 2; }));

  rig.plane().Drain();
  REQUIRE(rig.RunUntil([&] { return idle.ended(); }));
  CHECK_FALSE(rig.plane().idle());
  rig.upstream().Release();
  REQUIRE(rig.RunUntil([&] { return running.ended(); }));
  CHECK(running.received().starts_with("HTTP/1.1 200 "));
  CHECK(Has(running.received(), "connection: close"));
  rig.view().workloads.back().endpoints = {rig.upstream().address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return parked.ended(); }));
  CHECK(parked.received().starts_with("HTTP/1.1 200 "));
  CHECK(rig.RunUntil([&] { return rig.plane().idle(); }));
}

}  // namespace
}  // namespace rouse::proxy::testing
