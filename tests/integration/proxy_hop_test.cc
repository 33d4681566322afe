// The hop from one proxy to another that is home to a limited workload (15.6): two data sides and a
// pod, over real sockets.

#include <catch2/catch.hpp>

#include "proxy/exchange/hop_headers.h"
#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

using std::chrono::milliseconds;

/// `near` is asked by clients, `home` has the pod. Both are turned by near's Step.
struct HopRig {
  HopRig() {
    home.policy().concurrency_limit = 1;
    home.Publish();
    auto sockets = OpenListeners("127.0.0.1:0", 1, {.defer_accept = true});
    CHECK(sockets.ok());
    ListenerTraits traits;
    traits.internal = true;
    Listener& listener = home.plane().AddListener(std::move(sockets->front()), traits);
    listener.Start();
    internal = listener.port();
    near.AlsoStep([this] { home.Step(); });
    Move(near, true);
  }

  /// A snapshot in which the workload is at home elsewhere, behind the internal port; or here, with
  /// the pod.
  void Move(ProxyRig& rig, bool away) {
    StaticView view = home.view();
    StaticSnapshots builder({.endpoint = [](const EndpointKey&) { return nullptr; },
                             .workload = [](const ObjectKey&) { return nullptr; }});
    Snapshot snapshot = *builder.Build(view, {});
    snapshot.version = ++version;
    auto set = std::make_shared<EndpointSet>(*snapshot.workloads.at(0));
    set->policy.concurrency_limit = 0;
    set->away = away;
    if (away) {
      Endpoint hop;
      hop.key = {"proxy/127.0.0.1", internal};
      hop.addresses = {"127.0.0.1"};
      hop.protocol = UpstreamProtocol::kHttp2;
      hop.hop = true;
      set->endpoints = {std::move(hop)};
    }
    snapshot.workloads.at(0) = std::move(set);
    rig.plane().Adopt(std::make_shared<const Snapshot>(std::move(snapshot)));
  }

  [[nodiscard]] std::string Ask(std::string_view bytes) {
    const std::string answer = near.Ask(bytes);
    CHECK(near.RunUntil([this] { return near.Quiet() && home.Quiet(); }));
    return answer;
  }

  uint64_t version = 100;
  uint16_t internal = 0;
  ProxyRig home;
  ProxyRig near;
};

TEST_CASE("a request goes to its pod by way of the home, and both are told of the client alone") {
  HopRig rig;
  rig.home.upstream().SetAnswer(
      [](const FakeRequest& request) { return Ok("for " + request.body, "X-Of-The-Pod: 1\r\n"); });
  const std::string answer =
      rig.Ask(Post("us", "X-Forwarded-For: 6.6.6.6\r\nX-Rouse-Hop: 9\r\nX-Own: 2\r\n"));
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.ends_with("\r\n\r\nfor us"));
  CHECK(Has(answer, "x-of-the-pod: 1\r\n"));
  REQUIRE(rig.home.upstream().requests().size() == 1);
  const FakeRequest& seen = rig.home.upstream().requests().front();
  CHECK(seen.Line() == "POST /p HTTP/1.1");
  CHECK(seen.Field("host") == "fn.example");
  CHECK(seen.Field("x-own") == "2");
  CHECK(seen.Field("x-forwarded-for") == "127.0.0.1");
  CHECK(seen.Field(kHopField).empty());
  CHECK(rig.near.upstream().connections() == 0);
  CHECK(rig.near.sample().stats.hops.value == 1);
  CHECK(rig.home.sample().stats.hops.value == 0);
}

TEST_CASE("long bodies pass through both proxies, both ways") {
  HopRig rig;
  const std::string body(8 << 20, 'z');
  rig.home.upstream().SetAnswer([](const FakeRequest& request) { return Ok(request.body); });
  WireClient& client = rig.near.Connect();
  client.Send(Post(body));
  REQUIRE(rig.near.RunUntil([&] { return client.received().ends_with("\r\n\r\n" + body); }));
  CHECK(client.received().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("what hops and what comes to the home itself share its one slot, and wait there") {
  HopRig rig;
  rig.home.upstream().Hold();
  WireClient& direct = rig.home.Connect();
  WireClient& first = rig.near.Connect();
  WireClient& second = rig.near.Connect();
  for (WireClient* each : {&first, &second, &direct}) each->Send(Get());
  REQUIRE(rig.near.RunUntil([&] { return rig.home.sample().workloads.at(0).parked == 2; }));
  CHECK(rig.home.plane().active() == 3);
  CHECK(rig.near.sample().workloads.at(0).parked == 0);
  CHECK(rig.home.upstream().connections() == 1);
  rig.home.upstream().Release();
  REQUIRE(rig.near.RunUntil([&] {
    return first.responses() == 1 && second.responses() == 1 && direct.responses() == 1;
  }));
  CHECK(rig.home.upstream().requests().size() == 3);
  CHECK(rig.home.upstream().connections() == 1);
}

TEST_CASE(
    "where two take each other for the home nothing goes round, and one asks until it knows") {
  HopRig rig;
  rig.Move(rig.home, true);
  WireClient& client = rig.near.Connect();
  client.Send(Get());
  REQUIRE(rig.near.RunUntil([&] { return rig.near.sample().stats.hops_again.value >= 2; }));
  CHECK(client.received().empty());
  CHECK(rig.home.sample().stats.hops.value == 0);
  rig.Move(rig.near, false);
  REQUIRE(rig.near.RunUntil([&] { return client.responses() == 1; }));
  CHECK(client.received().starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(rig.home.upstream().requests().size() == 1);
}

TEST_CASE("a request that waits for its home ends at the hold deadline, with the reason") {
  HopRig rig;
  rig.home.view().workloads.front().policy.hold_timeout = milliseconds(60);
  rig.Move(rig.near, true);
  rig.Move(rig.home, true);
  const std::string answer = rig.Ask(Get());
  CHECK(answer.starts_with("HTTP/1.1 503 "));
  CHECK(Has(answer, "x-rouse-error: not_home\r\n"));
  CHECK(rig.home.upstream().connections() == 0);
}

TEST_CASE("the internal port serves what another proxy has marked, and nobody else") {
  HopRig rig;
  WireClient client(rig.near.shard(), net::SocketAddress::Loopback(rig.internal));
  client.Send(Get());
  REQUIRE(rig.near.RunUntil([&] {
    client.Step();
    return client.ended();
  }));
  CHECK(client.received().starts_with("HTTP/1.1 400 "));
  CHECK(rig.home.upstream().connections() == 0);
}

TEST_CASE("a client that leaves is gone from the home and its pod too") {
  HopRig rig;
  rig.home.upstream().Hold();
  WireClient& client = rig.near.Connect();
  client.Send(Get());
  REQUIRE(rig.near.RunUntil([&] { return rig.home.upstream().open() == 1; }));
  client.Close(true);
  REQUIRE(rig.near.RunUntil([&] { return rig.near.Quiet() && rig.home.Quiet(); }));
  rig.home.upstream().Release();
  CHECK(rig.near.RunUntil([&] { return rig.home.upstream().open() == 0; }));
}

}  // namespace
}  // namespace rouse::proxy::testing
