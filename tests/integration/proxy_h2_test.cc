// HTTP/2 clients in front of HTTP/1.1 pods.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_h2_rig.h"

namespace rouse::proxy::testing {
namespace {

using namespace net::testing;  // NOLINT: frame names

TEST_CASE("a request over HTTP/2 reaches an HTTP/1.1 pod, and its answer comes back") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(wire, 1, H2Get("/a?b=c", {{"x-one", "1"}, {"accept", "*/*"}}));
  CHECK(answer.status == 200);
  CHECK(answer.body == "GET /a?b=c HTTP/1.1");
  CHECK(answer.Field("content-length") == std::to_string(answer.body.size()));
  CHECK(answer.ended);
  CHECK_FALSE(answer.reset);
  const FakeRequest& seen = rig.upstream().requests().at(0);
  CHECK(seen.Line() == "GET /a?b=c HTTP/1.1");
  CHECK(seen.Field("host") == "fn.example");
  CHECK(seen.Field("x-one") == "1");
  CHECK(rig.upstream().malformed().empty());
  CHECK(wire.read().settings_acked());
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
}

TEST_CASE("the preface decides, byte by byte too") {
  H2Rig rig;
  WireClient& client = rig.Connect();
  H2Wire wire(client);
  client.SendSlowly(std::string(kH2Preface) + H2Frame(kSettings, 0, 0, {}) +
                    H2Frame(kHeaders, kEndHeaders | kEndStream, 1, Hpack(H2Get("/slow"))));
  CHECK(rig.Wait(wire, 1).body == "GET /slow HTTP/1.1");
  CHECK(rig.Ask(Get("/h1")).ends_with("GET /h1 HTTP/1.1"));
}

TEST_CASE("what is no HTTP at all gets no answer") {
  H2Rig rig;
  WireClient& client = rig.Connect();
  client.Send("INVALID CONNECTION PREFACE\r\n\r\n");
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().empty());
}

TEST_CASE("bodies go up with a length or chunked") {
  H2Rig rig;
  rig.upstream().SetAnswer([](const FakeRequest& request) { return Ok(request.body); });
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Post("/", {{"content-length", "5"}}), "hello").body == "hello");
  CHECK(rig.upstream().requests().at(0).Field("content-length") == "5");
  wire.Headers(3, H2Post(), false);
  for (char c = 'a'; c < 'k'; ++c) wire.Data(3, std::string(1, c), false);
  wire.Data(3, "", true);
  CHECK(rig.Wait(wire, 3).body == "abcdefghij");
  CHECK(rig.upstream().requests().at(1).Field("transfer-encoding") == "chunked");
  CHECK(rig.Ask(wire, 5, H2Post("/", {{"content-length", "0"}})).status == 200);
  CHECK(rig.upstream().requests().at(2).Field("content-length") == "0");
}

TEST_CASE("a body as long as many windows comes through as it is credited") {
  H2Rig rig;
  rig.upstream().SetAnswer(
      [](const FakeRequest& request) { return Ok(std::to_string(request.body.size())); });
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post(), false);
  constexpr size_t kSize = 1'000'000;
  size_t sent = 0;
  uint64_t window = 16 * 1024;
  REQUIRE(rig.RunUntil([&] {
    const uint64_t credit = window + wire.read().credit(1);
    while (sent < kSize && sent + 8000 <= credit) {
      wire.Data(1, std::string(8000, 'x'), sent + 8000 >= kSize);
      sent += 8000;
    }
    return wire.stream(1).over();
  }));
  CHECK(wire.stream(1).body == std::to_string(kSize));
}

TEST_CASE("cookie crumbs become one line") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  H2Answer& answer =
      rig.Ask(wire, 1, H2Get("/", {{"cookie", "a=1"}, {"x-b", "y"}, {"cookie", "c=2"}}));
  CHECK(answer.status == 200);
  CHECK(rig.upstream().requests().at(0).Field("cookie") == "a=1; c=2");
}

TEST_CASE("trailers and early hints come down") {
  H2Rig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes =
                          "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"};
  });
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(wire, 1, H2Get());
  REQUIRE(answer.early.size() == 1);
  CHECK(answer.body == "abc");
  CHECK(answer.Trailer("x-sum") == "7");
  CHECK(answer.ended);
}

TEST_CASE("HEAD, 204 and 304 have no body") {
  H2Rig rig;
  rig.upstream().SetAnswer([](const FakeRequest& request) {
    if (request.Line().starts_with("HEAD"))
      return FakeAnswer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"};
    return FakeAnswer{.bytes = "HTTP/1.1 204 No Content\r\n\r\n"};
  });
  H2Wire& wire = rig.Dial();
  H2Fields head = H2Get();
  head[0].second = "HEAD";
  CHECK(rig.Ask(wire, 1, head).Field("content-length") == "42");
  CHECK(wire.stream(1).body.empty());
  CHECK(rig.Ask(wire, 3, H2Get()).status == 204);
}

TEST_CASE("100 Continue goes out when the body is wanted") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post("/", {{"expect", "100-continue"}, {"content-length", "2"}}), false);
  REQUIRE(rig.RunUntil([&] { return !wire.stream(1).early.empty(); }));
  wire.Data(1, "ok", true);
  CHECK(rig.Wait(wire, 1).status == 200);
}

TEST_CASE("a client's reset ends the request at the pod") {
  H2Rig rig;
  rig.upstream().Hold();
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Get("/slow"), true);
  REQUIRE(rig.RunUntil([&] { return rig.upstream().open() == 1 && !rig.Quiet(); }));
  wire.Reset(1, 8);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.plane().pool().open() == 0);
  rig.upstream().Release();
  CHECK(rig.Ask(wire, 3, H2Get("/next")).status == 200);
}

TEST_CASE("a pod that fails is a 502 before its head, a reset behind it") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  rig.upstream().SetAnswer([](const FakeRequest&) { return FakeAnswer{.bytes = "bad\r\n\r\n"}; });
  CHECK(rig.Ask(wire, 1, H2Get()).status == 502);
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                      .after = FakeAnswer::After::kClose};
  });
  CHECK(rig.Ask(wire, 3, H2Get()).reset == 2U);
  rig.upstream().SetAnswer(SayLine);
  CHECK(rig.Ask(wire, 5, H2Get()).status == 200);
}

TEST_CASE("an early answer stands, and the rest of the request is not wanted") {
  H2Rig rig;
  rig.upstream().SetAnswerAtHead([](const FakeRequest&) { return Ok("early"); });
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post(), false);
  H2Answer& answer = wire.stream(1);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).reset.has_value(); }));
  CHECK(answer.body == "early");
  CHECK(answer.ended);
  CHECK(answer.reset == 0U);
}

TEST_CASE("a slow reader stalls its own stream only") {
  H2Rig rig;
  rig.upstream().SetAnswer([](const FakeRequest& request) {
    return Ok(request.Line().starts_with("GET /big") ? std::string(500'000, 'b') : "small");
  });
  // No window for streams at first.
  H2Wire& wire = rig.Dial(H2Setting(4, 0));
  wire.Headers(1, H2Get("/big"), true);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).status == 200; }));
  wire.Headers(3, H2Get("/small"), true);
  wire.Update(3, 100);
  CHECK(rig.Wait(wire, 3).body == "small");
  CHECK(wire.stream(1).body.empty());
  wire.Update(1, 500'000);
  wire.Update(0, 500'000);
  CHECK(rig.Wait(wire, 1).body.size() == 500'000);
}

TEST_CASE("many streams of one connection are answered each by its own") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 100; ++i) wire.Headers(2 * i + 1, H2Get("/" + std::to_string(i)), true);
  for (uint32_t i = 0; i < 100; ++i)
    CHECK(rig.Wait(wire, 2 * i + 1).body == "GET /" + std::to_string(i) + " HTTP/1.1");
}

TEST_CASE("parked streams wait for a pod, and their siblings do not wait for them") {
  DataPlaneOptions options = H2Rig::Defaults();
  H2Rig rig(options);
  rig.view().workloads.push_back({.key = {"ns", "asleep"}, .endpoints = {}, .policy = {}});
  rig.view().routes.push_back(
      {.host = "asleep.example", .path = "/", .workload = {"ns", "asleep"}});
  rig.Publish();
  H2Wire& wire = rig.Dial();
  H2Fields sleeper = H2Post("/wake");
  sleeper[2].second = "asleep.example";
  wire.Headers(1, sleeper, false);
  wire.Data(1, std::string(16 * 1024, 'p'), true);
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.at(1).parked == 1; }));
  CHECK(rig.sample().workloads.at(1).parked_bytes >= 16 * 1024);
  CHECK(rig.Ask(wire, 3, H2Get("/awake")).status == 200);
  SECTION("the pod comes") {
    rig.upstream().SetAnswer(
        [](const FakeRequest& request) { return Ok(std::to_string(request.body.size())); });
    rig.view().workloads.at(1).endpoints = {rig.upstream().address().text()};
    rig.Publish();
    CHECK(rig.Wait(wire, 1).body == "16384");
  }
  SECTION("the client gives up") {
    wire.Reset(1, 8);
    REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
    CHECK(rig.sample().workloads.at(1).parked == 0);
  }
}

TEST_CASE("what comes while a stream is parked is there for its pod, and so is its head") {
  H2Rig rig;
  rig.view().workloads.push_back({.key = {"ns", "asleep"}, .endpoints = {}, .policy = {}});
  rig.view().routes.push_back(
      {.host = "asleep.example", .path = "/", .workload = {"ns", "asleep"}});
  rig.Publish();
  rig.upstream().SetAnswer([](const FakeRequest& request) {
    return Ok(request.Line() + "|" + request.Field("x-a") + "|" + request.Field("x-last") + "|" +
              request.body);
  });
  H2Wire& wire = rig.Dial();
  H2Fields fields =
      H2Post("/wake?q", {{"x-a", "b"}, {"expect", "100-continue"}, {"x-last", "end"}});
  fields[2].second = "asleep.example";
  wire.Headers(1, fields, false);
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.at(1).parked == 1; }));
  std::string body;
  bool rest = false;
  SECTION("a body in two pieces, and its end") {
    wire.Data(1, "one ", false);
    wire.Data(1, "two", true);
    body = "one two";
  }
  SECTION("the end alone") { wire.Data(1, "", true); }
  SECTION("half of a body") {
    wire.Data(1, "one ", false);
    body = "one two";
    rest = true;
  }
  // Its answer says that what went before has been taken.
  CHECK(rig.Ask(wire, 3, H2Get("/awake")).status == 200);
  CHECK(wire.stream(1).early.empty());
  rig.view().workloads.at(1).endpoints = {rig.upstream().address().text()};
  rig.Publish();
  if (rest) wire.Data(1, "two", true);
  CHECK(rig.Wait(wire, 1).body == "POST /wake?q HTTP/1.1|b|end|" + body);
}

TEST_CASE("a drain says so in two steps and loses nothing (G01)") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Get()).status == 200);
  rig.upstream().Hold();
  wire.Headers(3, H2Get("/running"), true);
  REQUIRE(rig.RunUntil([&] { return !rig.Quiet(); }));
  rig.plane().Drain();
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway().has_value(); }));
  CHECK(wire.read().goaway_ids() == std::vector<uint32_t>{0x7fffffff});
  // Sent before the client had heard of it.
  wire.Headers(5, H2Get("/on_its_way"), true);
  wire.Send(H2Frame(kPing, kEndStream, 0, wire.read().last_ping()));
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway_ids().size() == 2; }));
  CHECK(wire.read().goaway_ids().back() == 5);
  rig.upstream().Release();
  REQUIRE(rig.RunUntil([&] { return wire.client().ended(); }));
  CHECK(wire.stream(3).status == 200);
  CHECK(wire.stream(5).status == 200);
}

TEST_CASE("a refused gRPC call is told in trailers alone") {
  H2Rig rig;
  rig.view().routes.clear();
  rig.Publish();
  H2Wire& wire = rig.Dial();
  H2Answer& answer =
      rig.Ask(wire, 1, H2Post("/a.B/C", {{"content-type", "application/grpc"}, {"te", "trailers"}}),
              std::string(5, '\0'));
  CHECK(answer.status == 200);
  CHECK(answer.Field("grpc-status") == "12");
  CHECK(Has(answer.Field("grpc-message"), "no_route"));
  CHECK(answer.body.empty());
}

TEST_CASE("grpc-timeout ends a parked call") {
  H2Rig rig;
  rig.view().workloads.front().endpoints.clear();
  rig.Publish();
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(
      wire, 1,
      H2Post("/a.B/C",
             {{"content-type", "application/grpc"}, {"te", "trailers"}, {"grpc-timeout", "30m"}}),
      std::string(5, '\0'));
  CHECK(answer.Field("grpc-status") == "4");
}

}  // namespace
}  // namespace rouse::proxy::testing
