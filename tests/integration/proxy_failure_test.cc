#include <catch2/catch.hpp>

#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

constexpr auto kShort = std::chrono::milliseconds(60);

/// Makes the pooled connection die as soon as the next request is on it.
FakeAnswer DieOnce(bool& died, FakeAnswer::After how) {
  if (std::exchange(died, true)) return Ok("second");
  return {.bytes = {}, .after = how};
}

TEST_CASE("a GET whose pooled connection dies untouched is repeated once, on a fresh one") {
  ProxyRig rig;
  const auto how = GENERATE(FakeAnswer::After::kClose, FakeAnswer::After::kReset);
  (void)rig.Ask(Get());
  bool died = false;
  rig.upstream().SetAnswer([&](const FakeRequest&) { return DieOnce(died, how); });
  CHECK(rig.Ask(Get()).ends_with("second"));
  CHECK(rig.upstream().connections() == 2);
  CHECK(rig.sample().workloads.front().stats.retries.value == 1);
}

TEST_CASE("a POST on a pooled connection that dies is not repeated") {
  ProxyRig rig;
  (void)rig.Ask(Get());
  bool died = false;
  rig.upstream().SetAnswer(
      [&](const FakeRequest&) { return DieOnce(died, FakeAnswer::After::kClose); });
  const std::string answer = rig.Ask(Post("x"));
  CHECK(answer.starts_with("HTTP/1.1 502 "));
  CHECK(Has(answer, "x-rouse-error: upstream_reset"));
  CHECK(rig.upstream().requests().size() == 2);
}

TEST_CASE("a GET in the hands of a pod that ends is repeated once, on a fresh connection too") {
  ProxyRig rig;
  bool died = false;
  rig.upstream().SetAnswer(
      [&](const FakeRequest&) { return DieOnce(died, FakeAnswer::After::kReset); });
  CHECK(rig.Ask(Get()).ends_with("second"));
  CHECK(rig.upstream().requests().size() == 2);
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes = {}, .after = FakeAnswer::After::kClose};
  });
  CHECK(rig.Ask(Get()).starts_with("HTTP/1.1 502 "));
  CHECK(rig.upstream().requests().size() == 4);
}

TEST_CASE("a pooled connection that the pod has closed is not used") {
  ProxyRig rig;
  (void)rig.Ask(Get());
  rig.upstream().CloseAll(false);
  REQUIRE(rig.RunUntil([&] { return rig.plane().pool().open() == 0; }));
  CHECK(rig.Ask(Post("x")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("a refused connection goes to another pod, whatever the method") {
  ProxyRig rig;
  FakeUpstream dead(rig.shard());
  const std::string address = dead.address().text();
  dead.StopAccepting();
  rig.view().workloads.front().endpoints.push_back(address);
  rig.Publish();
  for (int i = 0; i < 20; ++i) CHECK(rig.Ask(Post("x")).starts_with("HTTP/1.1 200 "));
  CHECK(rig.upstream().requests().size() == 20);
}

TEST_CASE("where the only pod refuses, the client is told") {
  ProxyRig rig;
  rig.upstream().StopAccepting();
  const std::string answer = rig.Ask(Get());
  CHECK(answer.starts_with("HTTP/1.1 502 "));
  CHECK(Has(answer, "upstream_connect_refused"));
}

TEST_CASE("a truncated answer never looks complete") {
  ProxyRig rig;
  SECTION("sized") {
    rig.upstream().SetAnswer([](const FakeRequest&) {
      return FakeAnswer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                        .after = FakeAnswer::After::kClose};
    });
  }
  SECTION("chunked") {
    rig.upstream().SetAnswer([](const FakeRequest&) {
      return FakeAnswer{
          .bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          .after = FakeAnswer::After::kClose};
    });
  }
  WireClient& client = rig.Connect();
  client.Send(Get());
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().ends_with("abc") != client.received().ends_with("abc\r\n"));
  REQUIRE(rig.RunUntil([&] { return rig.records().size() == 1; }));
  CHECK(rig.records().front().error == ErrorKind::kUpstreamTruncated);
  CHECK(rig.plane().pool().idle() == 0);
}

TEST_CASE("a malformed answer becomes 502, and its connection is not used again") {
  const char* const bad = GENERATE(
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n", "garbage\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
  ProxyRig rig;
  rig.upstream().SetAnswer([&](const FakeRequest&) { return FakeAnswer{.bytes = bad}; });
  const std::string answer = rig.Ask(Get());
  CHECK(answer.starts_with("HTTP/1.1 502 "));
  CHECK(Has(answer, "upstream_protocol_error"));
  rig.upstream().SetAnswer([](const FakeRequest&) { return Ok("fine"); });
  CHECK(rig.Ask(Get()).ends_with("fine"));  // O4: nothing is left of it
  CHECK(rig.upstream().connections() == 2);
}

TEST_CASE("a silent pod is answered for at the response-start timeout") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.exchange.response_start_timeout = kShort;
  ProxyRig rig(options);
  rig.upstream().Hold();
  SECTION("without a body") {
    const std::string answer = rig.Ask(Get());
    CHECK(answer.starts_with("HTTP/1.1 504 "));
    CHECK(Has(answer, "upstream_response_timeout"));
  }
  SECTION("the clock starts at the request's last byte") {
    WireClient& client = rig.Connect();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    rig.RunFor(kShort * 3);
    CHECK(client.received().empty());
    client.Send("b");
    REQUIRE(rig.RunUntil([&] { return client.responses() == 1; }));
    CHECK(client.received().starts_with("HTTP/1.1 504 "));
  }
}

TEST_CASE("the client's own deadline ends an exchange, and what is left of it is forwarded") {
  ProxyRig rig;
  SECTION("forwarded") {
    (void)rig.Ask(Get("/", "X-Request-Timeout: 5s\r\ngrpc-timeout: 9S\r\n"));
    const FakeRequest& seen = rig.upstream().requests().front();
    CHECK(std::atoi(seen.Field("x-request-timeout").c_str()) <= 5000);
    CHECK(std::atoi(seen.Field("x-request-timeout").c_str()) > 4000);
    CHECK(seen.Field("grpc-timeout").ends_with("u"));
  }
  SECTION("passed") {
    rig.upstream().Hold();
    const std::string answer = rig.Ask(Get("/", "X-Request-Timeout: 50ms\r\n"));
    CHECK(answer.starts_with("HTTP/1.1 504 "));
    CHECK(Has(answer, "deadline_exceeded"));
  }
  SECTION("passed while parked") {
    rig.view().workloads.front().endpoints.clear();
    rig.Publish();
    CHECK(Has(rig.Ask(Get("/", "X-Request-Timeout: 50ms\r\n")), "deadline_exceeded"));
  }
}

TEST_CASE("a client that resets takes its request with it") {
  ProxyRig rig;
  WireClient& client = rig.Connect();
  SECTION("in flight: the pod's connection is closed") {
    rig.upstream().Hold();
    client.Send(Get());
    REQUIRE(rig.RunUntil(
        [&] { return rig.plane().pool().open() == 1 && rig.upstream().connections() == 1; }));
    client.Close(true);
    REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
    CHECK(rig.plane().pool().idle() == 0);
    rig.upstream().Release();
  }
  SECTION("parked: it no longer counts") {
    rig.view().workloads.front().endpoints.clear();
    rig.Publish();
    client.Send(Get());
    REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.front().parked == 1; }));
    client.Close(true);
    REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
    CHECK(rig.sample().workloads.front().parked == 0);
    CHECK(rig.upstream().requests().empty());
  }
}

TEST_CASE("a half-closed client still gets its answer once dispatched") {
  ProxyRig rig;
  WireClient& client = rig.Connect();
  client.Send(Get());
  client.HalfClose();
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().starts_with("HTTP/1.1 200 "));
}

TEST_CASE("an answer that comes before the request's end is delivered, and nothing is reused") {
  ProxyRig rig;
  rig.upstream().SetAnswerAtHead([](const FakeRequest&) {
    return FakeAnswer{.bytes = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"};
  });
  WireClient& client = rig.Connect();
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nfirst bytes");
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().starts_with("HTTP/1.1 413 "));
  CHECK(Has(client.received(), "connection: close"));
  CHECK(client.received().ends_with("no"));
  CHECK(rig.RunUntil([&] { return rig.Quiet() && rig.plane().pool().open() == 0; }));
}

TEST_CASE("a request body that fails never looks complete to the pod") {
  ProxyRig rig;
  WireClient& client = rig.Connect();
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  REQUIRE(rig.RunUntil([&] { return rig.upstream().bytes_received() > 0; }));
  SECTION("bad framing") {
    client.Send("zz\r\n");
    REQUIRE(rig.RunUntil([&] { return client.ended(); }));
    CHECK(client.received().starts_with("HTTP/1.1 400 "));
  }
  SECTION("the client leaves") {
    client.HalfClose();
    REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  }
  REQUIRE(rig.RunUntil([&] { return rig.Quiet() && rig.upstream().open() == 0; }));
  CHECK(rig.upstream().requests().empty());
  CHECK(rig.upstream().cut_short() == 1);
}

}  // namespace
}  // namespace rouse::proxy::testing
