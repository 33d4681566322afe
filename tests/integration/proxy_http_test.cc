#include <catch2/catch.hpp>

#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

TEST_CASE("a request is forwarded in canonical form, and its answer brought back") {
  ProxyRig rig;
  const std::string answer = rig.Ask(Get("/a/../b?x=1", "X-Mine: yes\r\n"));
  REQUIRE(rig.upstream().requests().size() == 1);
  const FakeRequest& seen = rig.upstream().requests().front();
  CHECK(seen.Line() == "GET /b?x=1 HTTP/1.1");
  CHECK(seen.Field("host") == "fn.example");
  CHECK(seen.Field("x-mine") == "yes");
  CHECK(seen.Field("x-forwarded-for") == "127.0.0.1");
  CHECK(seen.Field("x-forwarded-proto") == "http");
  CHECK(seen.Field("via") == "1.1 rouse");
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.ends_with("\r\n\r\nGET /b?x=1 HTTP/1.1"));
  CHECK(Has(answer, "x-request-id: " + seen.Field("x-request-id")));
  CHECK(rig.upstream().malformed().empty());
}

TEST_CASE("requests of one connection, and of several, share upstream connections") {
  ProxyRig rig;
  WireClient& client = rig.Connect();
  for (size_t i = 1; i <= 20; ++i) {
    client.Send(Get());
    REQUIRE(rig.RunUntil([&] { return client.responses() == i && rig.Quiet(); }));
  }
  (void)rig.Ask(Get());
  CHECK(rig.upstream().requests().size() == 21);
  CHECK(rig.upstream().connections() == 1);
  CHECK(rig.sample().stats.pool_reuses.value == 20);
}

TEST_CASE("pipelined requests are answered in order") {
  ProxyRig rig;
  const std::string answers =
      rig.Ask(Get("/1") + Get("/2") + Get("/3", "Connection: close\r\n"), 3);
  const size_t first = answers.find("GET /1 HTTP");
  const size_t second = answers.find("GET /2 HTTP");
  const size_t third = answers.find("GET /3 HTTP");
  REQUIRE(third != std::string::npos);
  CHECK(first < second);
  CHECK(second < third);
  CHECK(rig.upstream().requests().size() == 3);
}

TEST_CASE("a pipelined request behind a refused one is never answered") {
  ProxyRig rig;
  const std::string bad = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
  const std::string answers = rig.Ask(bad + Get("/after"), 2);
  CHECK(answers.starts_with("HTTP/1.1 400 "));
  CHECK(answers.find("HTTP/1.1 ", 9) == std::string::npos);
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("behind the last request of a connection nothing is answered, and no answer is lost") {
  ProxyRig rig;
  WireClient& client = rig.Connect();
  client.Send(Get("/last", "Connection: close\r\n") + Get("/after"));
  REQUIRE(rig.RunUntil([&] { return client.ended() && rig.Quiet(); }));
  CHECK(client.responses() == 1);
  CHECK(client.received().ends_with("GET /last HTTP/1.1"));
  CHECK_FALSE(client.broken());
  CHECK(rig.upstream().requests().size() == 1);
}

TEST_CASE("a client that reads slowly has all of a last answer before its end") {
  ProxyRig rig;
  const std::string body(16 << 20, 'x');
  rig.upstream().SetAnswer([&](const FakeRequest&) { return Ok(body); });
  WireClient& client = rig.Connect();
  client.StopReading(true);
  client.Send(Get("/", "Connection: close\r\n"));
  REQUIRE(rig.RunUntil([&] { return rig.plane().active() == 1; }));
  rig.RunFor(std::chrono::milliseconds(20));  // until the sockets are full
  client.StopReading(false);
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK_FALSE(client.broken());
  CHECK(client.received().size() > body.size());
  CHECK(client.received().ends_with("xxxx"));
}

TEST_CASE("a sized body reaches the pod with the head, and a chunked one is chunked again") {
  ProxyRig rig;
  (void)rig.Ask(Post("hello"));
  (void)rig.Ask(
      "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\n002\r\nde\r\n0\r\n\r\n");
  REQUIRE(rig.upstream().requests().size() == 2);
  CHECK(rig.upstream().requests()[0].body == "hello");
  CHECK(rig.upstream().requests()[0].Field("content-length") == "5");
  CHECK(rig.upstream().requests()[1].body == "abcde");
  CHECK(rig.upstream().requests()[1].Field("transfer-encoding") == "chunked");
  CHECK(rig.upstream().malformed().empty());
  CHECK(rig.upstream().connections() == 1);
}

TEST_CASE("a chunked answer keeps its chunks, and its trailers where the client takes them") {
  ProxyRig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes =
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n"};
  });
  const std::string plain = rig.Ask(Get());
  CHECK(Has(plain, "transfer-encoding: chunked"));
  CHECK_FALSE(Has(plain, "X-Sum"));
  const std::string with = rig.Ask(Get("/", "TE: trailers\r\nConnection: TE\r\n"));
  CHECK(Has(with, "X-Sum: 7"));
  CHECK(Has(with, "abc"));
}

TEST_CASE("answers to HEAD, 204 and 304 have no body") {
  ProxyRig rig;
  SECTION("HEAD keeps the length that a GET would have") {
    rig.upstream().SetAnswer([](const FakeRequest&) {
      return FakeAnswer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"};
    });
    const std::string answer = rig.Ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(Has(answer, "content-length: 77"));
    CHECK(answer.ends_with("\r\n\r\n"));
  }
  SECTION("204 and 304 end at the head, and the connection goes on") {
    rig.upstream().SetAnswer([](const FakeRequest& request) {
      const bool not_modified = Has(request.head, "/304");
      return FakeAnswer{.bytes = not_modified ? "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"
                                              : "HTTP/1.1 204 No Content\r\n\r\n"};
    });
    const std::string answers = rig.Ask(Get("/204") + Get("/304"), 2);
    CHECK(Has(answers, "HTTP/1.1 204 "));
    CHECK(Has(answers, "HTTP/1.1 304 "));
    CHECK_FALSE(Has(answers, "chunked"));
    CHECK(rig.upstream().connections() == 1);
  }
  SECTION("body bytes behind a 204 are not forwarded, and their connection not used again") {
    rig.upstream().SetAnswer([](const FakeRequest&) {
      return FakeAnswer{.bytes =
                            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nX: evil\r\n\r\n"};
    });
    CHECK_FALSE(Has(rig.Ask(Get()), "evil"));
    CHECK_FALSE(Has(rig.Ask(Get()), "evil"));
    CHECK(rig.upstream().connections() == 2);
  }
}

TEST_CASE(
    "HTTP/1.0 clients get an answer without chunks, and keep their connection only if they ask") {
  ProxyRig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{
        .bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"};
  });
  const std::string closed = rig.Ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  CHECK_FALSE(Has(closed, "chunked"));
  CHECK(closed.ends_with("\r\n\r\nabc"));
  rig.upstream().SetAnswer([](const FakeRequest&) { return Ok("abc"); });
  WireClient& client = rig.Connect();
  client.Send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(rig.RunUntil([&] { return client.responses() == 1 && rig.Quiet(); }));
  CHECK(Has(client.received(), "connection: keep-alive"));
  client.Send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.responses() == 2);
}

TEST_CASE("an answer that ends with its connection is chunked for HTTP/1.1") {
  ProxyRig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return FakeAnswer{.bytes = "HTTP/1.1 200 OK\r\n\r\nuntil the end",
                      .after = FakeAnswer::After::kClose};
  });
  const std::string answer = rig.Ask(Get("/", "Connection: close\r\n"));
  CHECK(Has(answer, "transfer-encoding: chunked"));
  CHECK(Has(answer, "until the end"));
  CHECK(answer.ends_with("0\r\n\r\n"));
}

TEST_CASE("100 Continue is said once a slot is granted, and not before") {
  ProxyRig rig;
  rig.view().workloads.front().endpoints.clear();  // the workload sleeps
  rig.Publish();
  WireClient& client = rig.Connect();
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(rig.RunUntil([&] { return !rig.wakes().empty(); }));
  rig.RunFor(std::chrono::milliseconds(30));
  CHECK(client.received().empty());

  rig.view().workloads.front().endpoints = {rig.upstream().address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return Has(client.received(), "HTTP/1.1 100 Continue\r\n\r\n"); }));
  client.Send("hello");
  REQUIRE(rig.RunUntil([&] { return client.responses() == 2 && rig.Quiet(); }));
  CHECK(rig.upstream().requests().front().body == "hello");
  CHECK(rig.upstream().requests().front().Field("expect").empty());
}

TEST_CASE("1xx answers are relayed, but not to HTTP/1.0, nor without end") {
  ProxyRig rig;
  const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  SECTION("relayed") {
    rig.upstream().SetAnswer(
        [&](const FakeRequest&) { return FakeAnswer{.bytes = hint + Ok("x").bytes}; });
    const std::string answer = rig.Ask(Get(), 2);
    CHECK(answer.starts_with("HTTP/1.1 103 "));
    CHECK(Has(answer, "HTTP/1.1 200 "));
    CHECK_FALSE(Has(rig.Ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), " 103 "));
  }
  SECTION("a flood is the pod's fault") {
    rig.upstream().SetAnswer([&](const FakeRequest&) {
      std::string flood;
      for (int i = 0; i < 50; ++i) flood += hint;
      return FakeAnswer{.bytes = flood};
    });
    CHECK(Has(rig.Ask(Get(), 9), "HTTP/1.1 502 "));
  }
}

TEST_CASE("hop-by-hop fields stay on their hop, both ways") {
  ProxyRig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) {
    return Ok("x", "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\n");
  });
  const std::string answer =
      rig.Ask(Get("/",
                  "Connection: x-mine\r\nX-Mine: 1\r\nProxy-Authorization: b\r\n"
                  "Upgrade: foo\r\nProxy: evil\r\nX_Under: 1\r\nKeep: 1\r\n"));
  const FakeRequest& seen = rig.upstream().requests().front();
  for (const char* gone :
       {"x-mine", "proxy-authorization", "upgrade", "proxy", "x_under", "connection"})
    CHECK(seen.Field(gone).empty());
  CHECK(seen.Field("keep") == "1");
  CHECK_FALSE(Has(answer, "X-Hop"));
  CHECK_FALSE(Has(answer, "timeout=5"));
  CHECK(Has(answer, "X-End: 2"));
}

TEST_CASE("what the proxy answers itself") {
  ProxyRig rig;
  SECTION("no route") {
    rig.view().routes.front().host = "other.example";
    rig.Publish();
    WireClient& client = rig.Connect();
    client.Send(Get("/", "Accept: application/json\r\n"));
    REQUIRE(rig.RunUntil([&] { return client.responses() == 1 && rig.Quiet(); }));
    CHECK(client.received().starts_with("HTTP/1.1 404 "));
    CHECK(Has(client.received(), "x-rouse-error: no_route"));
    CHECK(Has(client.received(), "{\"error\":\"no_route\""));
    client.Send(Get());  // the connection goes on
    REQUIRE(rig.RunUntil([&] { return client.responses() == 2; }));
  }
  SECTION("methods") {
    const std::string trace =
        rig.Ask("TRACE / HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\n\r\n");
    CHECK(trace.starts_with("HTTP/1.1 405 "));
    CHECK(Has(trace, "allow: GET"));
    CHECK_FALSE(Has(trace, "secret"));
    CHECK(rig.Ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").starts_with("HTTP/1.1 405 "));
    CHECK(rig.Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 204 "));
    CHECK(rig.Ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
              .starts_with("HTTP/1.1 204 "));
    CHECK(rig.upstream().requests().empty());
    CHECK(rig.Ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n")
              .starts_with("HTTP/1.1 200 "));
    CHECK(rig.upstream().requests().front().Field("max-forwards") == "2");
  }
  SECTION("a loop") {
    const std::string answer = rig.Ask(Get("/", "Via: 1.1 rouse, 1.1 other, 1.1 rouse\r\n"));
    CHECK(answer.starts_with("HTTP/1.1 508 "));
    CHECK(rig.upstream().requests().empty());
  }
  SECTION("gRPC gets its status in a trailers-only answer") {
    rig.view().routes.clear();
    rig.Publish();
    const std::string answer = rig.Ask(Post("", "Content-Type: application/grpc\r\n"));
    CHECK(answer.starts_with("HTTP/1.1 200 "));
    CHECK(Has(answer, "grpc-status: 12"));
  }
}

TEST_CASE("a trusted request id, and the rest of the head, survive being parked") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.exchange.forward.trusted_hops = 1;
  ProxyRig rig(options);
  rig.view().workloads.front().endpoints.clear();
  rig.Publish();
  WireClient& client = rig.Connect();
  client.Send(Get("/a/long/enough/path", "X-Request-Id: from-the-edge\r\nX-Mine: kept\r\n"));
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.front().parked == 1; }));
  for (int i = 0; i < 4; ++i) CHECK(rig.Ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 400"));
  rig.view().workloads.front().endpoints = {rig.upstream().address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return client.responses() == 1 && rig.Quiet(); }));
  const FakeRequest& seen = rig.upstream().requests().front();
  CHECK(seen.Line() == "GET /a/long/enough/path HTTP/1.1");
  CHECK(seen.Field("x-request-id") == "from-the-edge");
  CHECK(seen.Field("x-mine") == "kept");
  CHECK(Has(client.received(), "x-request-id: from-the-edge"));
}

TEST_CASE("a record says what happened to each exchange") {
  ProxyRig rig;
  (void)rig.Ask(Post("hello", "Connection: close\r\n"));
  REQUIRE(rig.RunUntil([&] { return rig.records().size() == 1; }));
  const AccessRecord& record = rig.records().front();
  CHECK(record.status == 200);
  CHECK(record.method.view() == "POST");
  CHECK(record.path.view() == "/p");
  CHECK(record.workload.view() == "ns/fn");
  CHECK(record.client.view() == "127.0.0.1");
  CHECK(record.bytes_in == 5);
  CHECK(record.attempts == 1);
  CHECK(rig.sample().workloads.front().stats.requests[static_cast<size_t>(CodeClass::k2xx)].value ==
        1);
  CHECK(rig.sample().workloads.front().in_flight == 0);
}

}  // namespace
}  // namespace rouse::proxy::testing
