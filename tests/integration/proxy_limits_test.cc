#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a slow head is refused with 408 at its absolute deadline, however it drips") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.head_timeout = milliseconds(60);
  ProxyRig rig(options);
  WireClient& client = rig.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
  for (int i = 0; i < 200 && !client.ended(); ++i) {
    client.Send("a");
    rig.RunFor(milliseconds(5));
  }
  CHECK(client.received().starts_with("HTTP/1.1 408 "));
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("a silent connection is closed without a word") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.first_byte_timeout = milliseconds(30);
  ProxyRig rig(options);
  WireClient& client = rig.Connect();
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().empty());
}

TEST_CASE("a body that stops coming ends with 408, and its pod's connection too") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.body.read_idle_timeout = milliseconds(40);
  ProxyRig rig(options);
  WireClient& client = rig.Connect();
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().starts_with("HTTP/1.1 408 "));
  CHECK(rig.RunUntil([&] { return rig.upstream().open() == 0; }));
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("a body over the limit is refused before anything is forwarded, or cut") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.body.body_bytes_max = 8;
  ProxyRig rig(options);
  CHECK(rig.Ask(Post("123456789")).starts_with("HTTP/1.1 413 "));
  CHECK(rig.upstream().connections() == 0);
  const std::string chunked = rig.Ask(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n");
  CHECK(chunked.starts_with("HTTP/1.1 413 "));
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("a client that never reads is cut, and holds no more than its sockets do") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.body.write_idle_timeout = milliseconds(80);
  ProxyRig rig(options);
  const std::string body(16 << 20, 'x');
  rig.upstream().SetAnswer([&](const FakeRequest&) { return Ok(body); });
  WireClient& client = rig.Connect();
  client.StopReading(true);
  client.Send(Get());
  REQUIRE(rig.RunUntil([&] { return rig.plane().active() == 1; }));
  size_t most = 0;
  REQUIRE(rig.RunUntil([&] {
    most = std::max(most, rig.shard().buffers().loaned_bytes());
    return rig.Quiet();
  }));
  CHECK(most <= 256 * 1024);
  CHECK(rig.RunUntil([&] { return rig.records().size() == 1; }));
  CHECK(rig.records().front().error == ErrorKind::kDownstreamTimeout);
}

TEST_CASE("long bodies pass both ways at once, in bounded memory") {
  ProxyRig rig;
  const std::string body(24 << 20, 'y');
  rig.upstream().SetAnswer([](const FakeRequest& request) { return Ok(request.body); });
  WireClient& client = rig.Connect();
  client.Send(Post(body));
  client.Discard();
  size_t most = 0;
  REQUIRE(rig.RunUntil([&] {
    most = std::max(most, rig.shard().buffers().loaned_bytes());
    return client.received_bytes() > body.size() && rig.Quiet();
  }));
  CHECK(most <= 512 * 1024);
  CHECK(rig.upstream().requests().front().body == body);
}

TEST_CASE("a client has only so many connections, and gets its room back") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.per_client_max = 2;
  ProxyRig rig(options);
  WireClient& first = rig.Connect();
  (void)rig.Connect();
  REQUIRE(rig.RunUntil([&] { return rig.plane().sessions().size() == 2; }));
  WireClient& third = rig.Connect();
  REQUIRE(rig.RunUntil([&] { return third.ended(); }));
  WireClient& fourth = rig.Connect();
  REQUIRE(rig.RunUntil([&] { return fourth.ended(); }));
  CHECK(rig.sample().stats.connections_refused.value == 2);
  CHECK(rig.refused() == std::vector<std::string>{"127.0.0.1"});  // told once a minute
  first.Close(false);
  REQUIRE(rig.RunUntil([&] { return rig.plane().sessions().size() == 1; }));
  CHECK(rig.Ask(Get()).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("under pressure the connection idle for longest makes room") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.connections_max = 4;
  options.sessions.pressure_share = 0.5;
  ProxyRig rig(options);
  WireClient& first = rig.Connect();
  first.Send(Get());
  REQUIRE(rig.RunUntil([&] { return first.responses() == 1 && rig.Quiet(); }));
  WireClient& second = rig.Connect();
  second.Send(Get());
  REQUIRE(rig.RunUntil([&] { return second.responses() == 1 && rig.Quiet(); }));
  first.Send(Get());
  REQUIRE(rig.RunUntil([&] { return first.responses() == 2 && rig.Quiet(); }));
  WireClient& third = rig.Connect();
  REQUIRE(rig.RunUntil([&] { return second.ended(); }));
  CHECK_FALSE(first.ended());
  CHECK_FALSE(third.ended());
}

TEST_CASE(
    "under pressure new connections are not closed for newer ones before their first request") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.connections_max = 100;
  options.sessions.pressure_share = 0.01;
  options.sessions.http1.fresh_for = std::chrono::hours(1);
  options.sessions.http1.first_byte_timeout = std::chrono::hours(1);
  ProxyRig rig(options);
  std::vector<WireClient*> clients;
  for (size_t i = 0; i < 40; ++i) clients.push_back(&rig.Connect());
  REQUIRE(rig.RunUntil([&] { return rig.plane().sessions().size() == clients.size(); }));
  for (WireClient* client : clients) client->Send(Get());
  REQUIRE(rig.RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(),
                       [](WireClient* one) { return one->responses() == 1 || one->ended(); });
  }));
  for (const WireClient* client : clients) CHECK(client->responses() == 1);
}

TEST_CASE("the last request of a connection says so") {
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.requests_max = 2;
  ProxyRig rig(options);
  const std::string answers = rig.Ask(Get() + Get() + Get(), 3);
  CHECK(rig.upstream().requests().size() == 2);
  CHECK(Has(answers, "connection: close"));
}

TEST_CASE("parking is bounded, and a refusal says when to come again") {
  ProxyRig rig;
  rig.view().workloads.front().endpoints.clear();
  rig.policy().parked_max = 1;
  rig.policy().hold_timeout = milliseconds(80);
  rig.Publish();
  WireClient& waiting = rig.Connect();
  waiting.Send(Get());
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.front().parked == 1; }));
  const std::string refused = rig.Ask(Get("/", "Accept: application/json\r\n"));
  CHECK(refused.starts_with("HTTP/1.1 503 "));
  CHECK(Has(refused, "x-rouse-error: parked_full"));
  CHECK(Has(refused, "retry-after: "));
  REQUIRE(rig.RunUntil([&] { return waiting.responses() == 1; }));
  CHECK(waiting.received().starts_with("HTTP/1.1 504 "));
  CHECK(Has(waiting.received(), "x-rouse-error: cold_start_timeout"));
  CHECK(Has(waiting.received(), "retry-after: "));
}

TEST_CASE("a concurrency limit holds at the pod, and connections never exceed it") {
  ProxyRig rig;
  rig.policy().concurrency_limit = 2;
  rig.Publish();
  rig.upstream().Hold();
  std::vector<WireClient*> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(&rig.Connect());
    clients.back()->Send(Get("/" + std::to_string(i)));
  }
  REQUIRE(rig.RunUntil([&] { return rig.sample().workloads.front().parked == 4; }));
  CHECK(rig.plane().pool().open() <= 2);
  rig.upstream().Release();
  REQUIRE(rig.RunUntil([&] {
    for (const WireClient* client : clients)
      if (client->responses() != 1) return false;
    return rig.Quiet();
  }));
  CHECK(rig.upstream().connections() <= 2);
  CHECK(rig.upstream().requests().size() == 6);
}

TEST_CASE("a cold start is served, measured, and shown where the workload asks for it") {
  ProxyRig rig;
  rig.view().workloads.front().endpoints.clear();
  rig.policy().server_timing = true;
  rig.Publish();
  WireClient& client = rig.Connect();
  client.Send(Post("body held back"));
  REQUIRE(rig.RunUntil([&] { return rig.wakes().size() == 1; }));
  CHECK(rig.wakes().front() == ObjectKey{"ns", "fn"});
  rig.plane().MarkReported({"ns", "fn"});
  rig.view().workloads.front().endpoints = {rig.upstream().address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return client.responses() == 1 && rig.Quiet(); }));
  CHECK(Has(client.received(), "x-rouse-cold-start: true"));
  CHECK(Has(client.received(), "server-timing: held;dur="));
  CHECK(rig.upstream().requests().front().body == "body held back");
  REQUIRE(rig.RunUntil([&] { return rig.records().size() == 1; }));
  CHECK(rig.records().front().cold.cold);
  CHECK(rig.sample().workloads.front().stats.cold_start.count() == 1);
}

TEST_CASE("with nobody to wake a workload, a cold request is told at once") {
  ProxyRig rig;
  rig.view().workloads.front().endpoints.clear();
  rig.Publish();
  rig.plane().SetCanWake(false);
  const std::string answer = rig.Ask(Get());
  CHECK(answer.starts_with("HTTP/1.1 503 "));
  CHECK(Has(answer, "no_autoscaler"));
}

}  // namespace
}  // namespace rouse::proxy::testing
