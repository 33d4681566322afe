// WebSockets over HTTP/2 (RFC 8441): every pairing of versions, and how tunnels end.

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "tests/integration/proxy_h2_rig.h"

namespace rouse::proxy::testing {
namespace {

using namespace net::testing;  // NOLINT: frame names

using Request = H2Origin::Request;

constexpr uint16_t kEnableConnect = 8;

H2Fields ConnectTo(std::string path, H2Fields more = {}) {
  H2Fields fields = H2Get(std::move(path), std::move(more));
  fields[0].second = "CONNECT";
  fields.insert(fields.begin() + 1, {":protocol", "websocket"});
  fields.emplace_back("sec-websocket-version", "13");
  return fields;
}

FakeAnswer Switch(const FakeRequest& request) {
  const std::string protocol = request.Field("sec-websocket-protocol");
  return {.bytes =
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
              "Upgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n" +
              (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n") + "\r\n",
          .after = FakeAnswer::After::kEcho};
}

std::string RandomBytes(size_t size, uint64_t seed) {
  Random random(seed);
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(random.Next());
  return bytes;
}

/// Opens a tunnel to the HTTP/1.1 pod.
H2Wire& OpenTunnel(H2Rig& rig, uint32_t stream = 1) {
  rig.upstream().SetAnswer(Switch);
  H2Wire& wire = rig.Dial();
  wire.Headers(stream, ConnectTo("/ws"), false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(stream).status != 0; }));
  REQUIRE(wire.stream(stream).status == 200);
  return wire;
}

TEST_CASE("an extended CONNECT becomes an upgrade at an HTTP/1.1 pod (W01)") {
  H2Rig rig;
  rig.upstream().SetAnswer(Switch);
  H2Wire& wire = rig.Dial();
  wire.Headers(
      1, ConnectTo("/ws?a=b", {{"sec-websocket-protocol", "chat"}, {"origin", "http://o"}}), false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).status != 0; }));
  H2Answer& answer = wire.stream(1);
  CHECK(answer.status == 200);
  CHECK(answer.Field("sec-websocket-protocol") == "chat");
  CHECK(answer.Field("sec-websocket-accept").empty());
  CHECK(answer.Field("upgrade").empty());
  CHECK(answer.Field("connection").empty());
  CHECK_FALSE(answer.ended);
  const FakeRequest& seen = rig.upstream().requests().at(0);
  CHECK(seen.Line() == "GET /ws?a=b HTTP/1.1");
  CHECK(seen.Field("upgrade") == "websocket");
  CHECK(seen.Field("connection") == "upgrade");
  CHECK(seen.Field("sec-websocket-version") == "13");
  CHECK(seen.Field("sec-websocket-key").size() == 24);
  CHECK(seen.Field("origin") == "http://o");
}

TEST_CASE("a tunnel carries bytes of every size as they are") {
  const size_t size =
      GENERATE(1, 2, 125, 126, 127, 128, 1000, 4095, 4096, 4097, 8192, 15000, 16000);
  const size_t each = GENERATE(1, 7, 1024, 16000);
  if (size / each > 600) return;  // one-byte frames are counted
  H2Rig rig;
  H2Wire& wire = OpenTunnel(rig);
  const std::string sent = RandomBytes(size, size * 31 + each);
  for (size_t at = 0; at < sent.size(); at += each) wire.Data(1, sent.substr(at, each), false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).body.size() == sent.size(); }));
  CHECK(wire.stream(1).body == sent);
  wire.Data(1, "", true);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet() && wire.stream(1).over(); }));
  CHECK(rig.plane().pool().open() == 0);
}

TEST_CASE("a long tunnel moves as its windows do") {
  H2Rig rig;
  H2Wire& wire = OpenTunnel(rig);
  const std::string sent = RandomBytes(400'000, 3);
  size_t at = 0;
  size_t credited = 0;
  REQUIRE(rig.RunUntil([&] {
    const uint64_t window = 16 * 1024 + wire.read().credit(1);
    while (at < sent.size() && at + 8000 <= window) {
      wire.Data(1, sent.substr(at, 8000), false);
      at += 8000;
    }
    const size_t got = wire.stream(1).body.size();
    if (got - credited > 16'000) {
      wire.Update(1, static_cast<uint32_t>(got - credited));
      wire.Update(0, static_cast<uint32_t>(got - credited));
      credited = got;
    }
    return got == sent.size();
  }));
  CHECK(wire.stream(1).body == sent);
}

TEST_CASE("tunnels and requests share a connection") {
  H2Rig rig;
  H2Wire& wire = OpenTunnel(rig);
  wire.Headers(3, ConnectTo("/ws2"), false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(3).status == 200; }));
  wire.Data(1, "one", false);
  wire.Data(3, "three", false);
  REQUIRE(
      rig.RunUntil([&] { return wire.stream(1).body == "one" && wire.stream(3).body == "three"; }));
  rig.upstream().SetAnswer(SayLine);
  CHECK(rig.Ask(wire, 5, H2Get("/plain")).body == "GET /plain HTTP/1.1");
  wire.Data(1, "more", false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).body == "onemore"; }));
}

TEST_CASE("a pod that refuses the upgrade is heard, and nothing leaks (W03)") {
  const std::string status = GENERATE("200 OK", "400 Bad Request", "403 Forbidden", "404 Not Found",
                                      "426 Upgrade Required", "500 Oops");
  H2Rig rig;
  rig.upstream().SetAnswer([&](const FakeRequest&) {
    return FakeAnswer{.bytes = "HTTP/1.1 " + status + "\r\nContent-Length: 2\r\n\r\nno"};
  });
  H2Wire& wire = rig.Dial();
  wire.Headers(1, ConnectTo("/ws"), false);
  wire.Data(1, "early bytes", false);
  H2Answer& answer = rig.Wait(wire, 1);
  CHECK(answer.status == std::stoi(status));
  CHECK(answer.body == "no");
  CHECK(answer.ended);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.upstream().malformed().empty());
  rig.upstream().SetAnswer(SayLine);
  CHECK(rig.Ask(wire, 3, H2Get()).status == 200);
}

TEST_CASE("a tunnel ends as its ends do") {
  H2Rig rig;
  H2Wire& wire = OpenTunnel(rig);
  SECTION("the client resets") {
    wire.Reset(1, 8);
    REQUIRE(rig.RunUntil([&] { return rig.Quiet() && rig.upstream().open() == 0; }));
  }
  SECTION("the client's connection goes") {
    wire.client().Close(true);
    REQUIRE(rig.RunUntil([&] { return rig.Quiet() && rig.upstream().open() == 0; }));
  }
  SECTION("the pod goes") {
    rig.upstream().CloseAll(true);
    REQUIRE(rig.RunUntil([&] { return wire.stream(1).over(); }));
    CHECK(wire.stream(1).reset);
    rig.upstream().SetAnswer(SayLine);
    CHECK(rig.Ask(wire, 3, H2Get()).status == 200);
  }
  SECTION("both half-close") {
    wire.Data(1, "last", true);
    REQUIRE(rig.RunUntil([&] { return wire.stream(1).ended; }));
    CHECK(wire.stream(1).body == "last");
    CHECK_FALSE(wire.stream(1).reset);
  }
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.sample().workloads.front().in_flight == 0);
}

TEST_CASE("a tunnel waits for its pod") {
  H2Rig rig;
  rig.view().workloads.front().endpoints.clear();
  rig.Publish();
  rig.upstream().SetAnswer(Switch);
  H2Wire& wire = rig.Dial();
  wire.Headers(1, ConnectTo("/ws"), false);
  wire.Data(1, "early", false);
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.front().parked == 1; }));
  rig.view().workloads.front().endpoints = {rig.upstream().address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).body == "early"; }));
}

struct PodRig : H2Rig {
  explicit PodRig(bool takes_connect = true)
      : pod(UsePod(takes_connect ? H2Setting(kEnableConnect, 1) : std::string())) {
    pod.SetAnswerAtHead([](const Request& request) {
      return H2Frame(kHeaders, kEndHeaders, request.stream, Hpack({{":status", "200"}}));
    });
  }
  ~PodRig() { pod.CloseAll(); }
  H2Origin& pod;
};

TEST_CASE("an upgrade becomes an extended CONNECT at a pod that speaks HTTP/2") {
  PodRig rig;
  WireClient& client = rig.Connect();
  // Key and answer of RFC 6455 section 1.3.
  client.Send(Get("/ws",
                  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  REQUIRE(rig.RunUntil([&] { return Has(client.received(), "\r\n\r\n"); }));
  CHECK(client.received().starts_with("HTTP/1.1 101 "));
  CHECK(Has(client.received(), "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  const H2Answer& seen = rig.pod.on(0, 1);
  CHECK(seen.Field(":method") == "CONNECT");
  CHECK(seen.Field(":protocol") == "websocket");
  CHECK(seen.Field(":path") == "/ws");
  CHECK(seen.Field("sec-websocket-key").empty());
  CHECK(seen.Field("sec-websocket-version") == "13");
  client.Forget();
  client.Send("up");
  REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).body == "up"; }));
  rig.pod.Send(0, H2Frame(kData, 0, 1, "down"));
  REQUIRE(rig.RunUntil([&] { return client.received() == "down"; }));
  SECTION("the pod ends") {
    rig.pod.Send(0, H2Frame(kData, kEndStream, 1, ""));
    REQUIRE(rig.RunUntil([&] { return client.ended(); }));
    client.HalfClose();
  }
  SECTION("the client ends") {
    client.HalfClose();
    REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).ended; }));
    rig.pod.Send(0, H2Frame(kData, kEndStream, 1, ""));
  }
  SECTION("the client is cut off") {
    client.Close(true);
    REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).reset.has_value(); }));
  }
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.plane().pool().idle() == 1);
}

TEST_CASE("an extended CONNECT passes on to a pod that speaks HTTP/2") {
  PodRig rig;
  H2Wire& wire = rig.Dial();
  wire.Headers(1, ConnectTo("/ws"), false);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).status == 200; }));
  const std::string sent = RandomBytes(10'000, 9);
  wire.Data(1, sent, false);
  REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).body == sent; }));
  rig.pod.Send(0, H2Frame(kData, 0, 1, "down"));
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).body == "down"; }));
  wire.Data(1, "", true);
  REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).ended; }));
  rig.pod.Send(0, H2Frame(kData, kEndStream, 1, ""));
  CHECK(rig.Wait(wire, 1).ended);
  CHECK_FALSE(wire.stream(1).reset);
}

TEST_CASE("a pod without extended CONNECT cannot be upgraded to") {
  PodRig rig(false);
  H2Wire& wire = rig.Dial();
  wire.Headers(1, ConnectTo("/ws"), false);
  CHECK(rig.Wait(wire, 1).status == 502);
}

TEST_CASE("a pod's refusal of an extended CONNECT is heard") {
  PodRig rig;
  rig.pod.SetAnswerAtHead([](const Request& request) {
    return H2Frame(kHeaders, kEndHeaders, request.stream,
                   Hpack({{":status", "403"}, {"content-length", "2"}})) +
           H2Frame(kData, kEndStream, request.stream, "no");
  });
  SECTION("over HTTP/1.1") {
    const std::string answer =
        rig.Ask(Get("/ws",
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    CHECK(answer.starts_with("HTTP/1.1 403"));
    CHECK(answer.ends_with("no"));
  }
  SECTION("over HTTP/2") {
    H2Wire& wire = rig.Dial();
    wire.Headers(1, ConnectTo("/ws"), false);
    CHECK(rig.Wait(wire, 1).status == 403);
    CHECK(wire.stream(1).body == "no");
  }
}

}  // namespace
}  // namespace rouse::proxy::testing
