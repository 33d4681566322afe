// TLS at the edge through the whole data side: routing, identity, redirect, reload, and the rows of
// security.md 3.2 that a client can show without forging handshakes.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_tls_rig.h"
#include "tests/support/net/h2_wire.h"

namespace rouse::proxy::testing {
namespace {

const TlsWish kFn{.server_name = "fn.example", .protocols = {"http/1.1"}};

std::string LastField(TlsProxyRig& rig, std::string_view name) {
  REQUIRE_FALSE(rig.upstream().requests().empty());
  return rig.upstream().requests().back().Field(name);
}

TEST_CASE("a request over TLS reaches the pod, which learns of it") {
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial(kFn);
  CHECK(Has(rig.AskTls(client, Get()), "HTTP/1.1 200"));
  CHECK(LastField(rig, "x-forwarded-proto") == "https");
  CHECK(Has(LastField(rig, "forwarded"), "proto=https"));
  CHECK(client.protocol() == "http/1.1");
  CHECK(Has(rig.AskTls(client, Post("body")), "HTTP/1.1 200"));
  CHECK(rig.upstream().requests().back().body == "body");
  const ShardStats stats = rig.sample().stats;
  CHECK(stats.tls_13.value == 1);
  CHECK(stats.connections.value == 1);
}

TEST_CASE("a client that asks for h2 by ALPN is spoken to in HTTP/2") {
  using namespace net::testing;
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial({.server_name = "fn.example", .protocols = {"h2", "http/1.1"}});
  client.Send(std::string(kH2Preface) + H2Frame(kSettings, 0, 0, {}) +
              H2Frame(kHeaders, kEndStream | kEndHeaders, 1, Hpack(H2Get())));
  int status = 0;
  REQUIRE(rig.Until([&] {
    H2Reader reader;
    reader.Feed(client.received());
    status = reader.stream(1).over() ? reader.stream(1).status : 0;
    return status != 0;
  }));
  CHECK(status == 200);
  CHECK(client.protocol() == "h2");
  CHECK(LastField(rig, "x-forwarded-proto") == "https");
}

TEST_CASE("a large body goes both ways, and a slow reader gets all of it") {
  TlsProxyRig rig;
  const std::string large(3'000'000, 'x');
  rig.upstream().SetAnswer([&](const FakeRequest&) { return Ok(large); });
  TlsWireClient& client = rig.Dial(kFn);
  client.Send(Post(large));
  CHECK(rig.RunUntil([&] {
    rig.Step();
    return rig.upstream().requests().size() == 1 || (client.Step(), false);
  }));
  CHECK(rig.upstream().requests().back().body.size() == large.size());
  rig.RunFor(std::chrono::milliseconds(20));  // nobody reads
  CHECK(rig.Until([&] { return client.received().size() > large.size(); }));
}

TEST_CASE("TL04: a host that the connection's certificate is not for is misdirected") {
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial(kFn);
  const auto ask = [&](const std::string& host) {
    return rig.AskTls(client, "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  CHECK(Has(ask("other.example"), "HTTP/1.1 421"));
  CHECK(Has(ask("FN.example:443"), "HTTP/1.1 200"));
  CHECK(Has(ask("x.w.example"), "HTTP/1.1 200"));  // the same certificate covers it
  CHECK(Has(ask("x.y.w.example"), "HTTP/1.1 421"));
  CHECK(rig.upstream().requests().size() == 2);
  TlsWireClient& nameless = rig.Dial({});
  CHECK(Has(rig.AskTls(nameless, Get()), "HTTP/1.1 200"));
}

TEST_CASE("T05: the scheme of an absolute target must be the connection's") {
  TlsProxyRig rig;
  const auto ask = [&](const std::string& target) {
    return rig.AskTls(rig.Dial(kFn), "GET " + target + " HTTP/1.1\r\nHost: fn.example\r\n\r\n");
  };
  CHECK(Has(ask("https://fn.example/"), "HTTP/1.1 200"));
  CHECK(Has(ask("http://fn.example/"), "HTTP/1.1 400"));
}

TEST_CASE("TL12: a body cut by the end of the connection is no body, with close_notify or not") {
  for (const bool notify : {true, false}) {
    TlsProxyRig rig;
    TlsWireClient& client = rig.Dial(kFn);
    client.Send("POST / HTTP/1.1\r\nHost: fn.example\r\nContent-Length: 100\r\n\r\nhalf");
    REQUIRE(rig.Until([&] { return rig.upstream().bytes_received() > 100; }));
    client.End(notify);
    CHECK(rig.Until([&] { return rig.upstream().cut_short() == 1; }));
    CHECK(rig.upstream().requests().empty());
  }
}

TEST_CASE("TL13: what is agreed is what is spoken") {
  TlsProxyRig rig;
  CHECK(Has(rig.AskTls(rig.Dial(kFn), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/1.1 400"));
  TlsWireClient& stranger = rig.Dial({.protocols = {"spdy/3"}});
  CHECK(rig.Until([&] { return stranger.alert() >= 0; }));
  CHECK(stranger.alert() == 120);  // no_application_protocol
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("a client that says nothing is cut at the deadline, and counted") {
  ListenerTraits traits;
  traits.handshake_timeout = std::chrono::milliseconds(30);
  TlsProxyRig rig({}, ProxyRig::Defaults(), std::move(traits));
  TlsWireClient& silent = rig.Dial({});
  silent.SendRaw("\x16\x03\x01");
  CHECK(rig.Until([&] { return silent.ended(); }));
  CHECK(rig.sample().stats.tls_timeouts.value == 1);
  CHECK(rig.plane().sessions().size() == 0);
}

TEST_CASE("handshakes that fail are counted by what was wrong, and leave nothing") {
  TlsProxyRig rig;
  TlsWireClient& old = rig.Dial({.version_least = 0x0301, .version_most = 0x0302});
  CHECK(rig.Until([&] { return old.alert() == 70; }));
  TlsWireClient& clear = rig.Dial({});
  clear.SendRaw(Get());
  CHECK(rig.Until([&] { return clear.ended(); }));
  CHECK(rig.Until([&] { return rig.plane().sessions().size() == 0; }));
  const ShardStats stats = rig.sample().stats;
  CHECK(stats.tls_failures[static_cast<size_t>(net::TlsFailure::kVersion)].value == 1);
  CHECK(stats.tls_failures[static_cast<size_t>(net::TlsFailure::kMalformed)].value == 1);
}

TEST_CASE("a client's certificate is told to the pod, and its own word of it is not") {
  TestAuthority clients("clients");
  const TestCertificate me = clients.Issue({.names = {"spiffe://x/me"}, .common_name = "me"});
  TlsProxyRig rig({.client_auth = net::TlsClientAuth::kOptional, .client_ca_pem = clients.pem()});
  const std::string forged = "X-Forwarded-Client-Cert: URI=spiffe://x/admin\r\n";
  TlsWish wish = kFn;
  CHECK(Has(rig.AskTls(rig.Dial(wish), Get("/", forged)), "HTTP/1.1 200"));
  CHECK(LastField(rig, "x-forwarded-client-cert").empty());
  wish.certificate_pem = me.chain_pem;
  wish.key_pem = me.key_pem;
  CHECK(Has(rig.AskTls(rig.Dial(wish), Get("/", forged)), "HTTP/1.1 200"));
  const std::string told = LastField(rig, "x-forwarded-client-cert");
  CHECK(Has(told, "Hash="));
  CHECK(Has(told, "URI=spiffe://x/me"));
  CHECK_FALSE(Has(told, "admin"));
  CHECK(Has(rig.Ask(Get("/", forged)), "HTTP/1.1 200"));  // in the clear
  CHECK(LastField(rig, "x-forwarded-client-cert").empty());
}

TEST_CASE("requests in the clear are sent to https where a listener says so") {
  TlsProxyRig rig;
  for (const uint16_t port : {uint16_t{443}, uint16_t{8443}}) {
    ListenerTraits traits;
    traits.redirect_port = port;
    const uint16_t at = rig.Listen(std::move(traits)).port();
    WireClient client(rig.shard(), net::SocketAddress::Loopback(at));
    client.Send("GET /a?b=c HTTP/1.1\r\nHost: fn.example:80\r\n\r\n");
    CHECK(rig.RunUntil([&] {
      client.Step();
      return client.responses() == 1;
    }));
    CHECK(Has(client.received(), "HTTP/1.1 308"));
    const std::string location =
        port == 443 ? "https://fn.example/a?b=c\r\n" : "https://fn.example:8443/a?b=c\r\n";
    CHECK(Has(client.received(), "location: " + location));
  }
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("certificates are replaced under connections that stay") {
  TlsProxyRig rig;
  TlsWireClient& before = rig.Dial(kFn);
  CHECK(Has(rig.AskTls(before, Get()), "HTTP/1.1 200"));
  CHECK(before.peer_name() == "fn");
  rig.Certify({rig.authority().Issue({.names = {"fn.example"}, .common_name = "renewed"})});
  TlsWireClient& after = rig.Dial(kFn);
  CHECK(Has(rig.AskTls(after, Get()), "HTTP/1.1 200"));
  CHECK(after.peer_name() == "renewed");
  CHECK(Has(rig.AskTls(before, Get()), "HTTP/1.1 200"));
}

TEST_CASE("a session is resumed, and the request that follows is served") {
  TlsProxyRig rig;
  TlsWireClient& first = rig.Dial(kFn);
  CHECK(Has(rig.AskTls(first, Get()), "HTTP/1.1 200"));
  REQUIRE(first.session() != nullptr);
  TlsWish wish = kFn;
  wish.session = first.session();
  TlsWireClient& second = rig.Dial(wish);
  CHECK(Has(rig.AskTls(second, Get()), "HTTP/1.1 200"));
  CHECK(second.resumed());
  CHECK(rig.sample().stats.tls_resumed.value == 1);
}

TEST_CASE("a drain ends what idles with close_notify") {
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial(kFn);
  CHECK(Has(rig.AskTls(client, Get()), "HTTP/1.1 200"));
  rig.plane().Drain();
  CHECK(rig.Until([&] { return client.ended(); }));
  CHECK(client.notified());
}

TEST_CASE("pods are spoken to by TLS, and must prove who they are") {
  TlsProxyRig pod;
  ProxyRig rig;
  rig.view().workloads[0].endpoints = {"127.0.0.1:" + std::to_string(pod.tls_port())};
  pod.Certify({pod.authority().Issue({.names = {"inner.example", "outer.example"}})});
  const auto ask = [&](const net::TlsClientPolicy& policy) {
    const auto made = net::TlsClientContext::Make(policy);
    REQUIRE(made.ok());
    rig.view().workloads[0].tls = *made;
    rig.Publish();
    WireClient& client = rig.Connect();
    client.Send("GET / HTTP/1.1\r\nHost: outer.example\r\n\r\n");
    CHECK(rig.RunUntil([&] {
      pod.Step();
      return client.responses() == 1 && rig.Quiet();
    }));
    return client.received();
  };
  const std::string& ca = pod.authority().pem();
  CHECK(Has(ask({.ca_pem = ca, .server_name = "inner.example", .names = {"x.example"}}),
            "x-rouse-error: upstream_tls_failed"));
  CHECK(Has(ask({.ca_pem = TestAuthority("stranger").pem(), .server_name = "inner.example"}),
            "x-rouse-error: upstream_tls_failed"));
  CHECK(pod.upstream().requests().empty());
  CHECK(Has(ask({.ca_pem = ca, .server_name = "inner.example"}), "HTTP/1.1 200"));
  CHECK(Has(ask({.ca_pem = ca, .names = {"inner.example"}}), "HTTP/1.1 200"));
  CHECK(Has(ask({.verify = false}), "HTTP/1.1 200"));
  CHECK(pod.upstream().requests().back().Field("x-forwarded-proto") == "https");
  // Each came with other rules, so none took the connection of the one before.
  CHECK(rig.sample().stats.pool_reuses.value == 0);
  CHECK(pod.sample().stats.tls_13.value + pod.sample().stats.tls_12.value >= 3);
}

TEST_CASE("a pod that leaves it to ALPN is spoken to in HTTP/2, by what it takes otherwise") {
  const bool takes_h2 = GENERATE(true, false);
  net::TlsServerPolicy offers;
  if (!takes_h2) offers.protocols = {"http/1.1"};
  TlsProxyRig pod(offers);
  ProxyRig rig;
  const auto rules = net::TlsClientContext::Make({.verify = false});
  REQUIRE(rules.ok());
  rig.view().workloads[0].endpoints = {"127.0.0.1:" + std::to_string(pod.tls_port())};
  rig.view().workloads[0].tls = *rules;
  rig.view().workloads[0].protocol = UpstreamProtocol::kAgreed;
  rig.Publish();
  const auto ask = [&](std::string_view bytes, size_t clients) {
    std::vector<WireClient*> all;
    for (size_t i = 0; i < clients; ++i) {
      all.push_back(&rig.Connect());
      all.back()->Send(bytes);
    }
    CHECK(rig.RunUntil([&] {
      pod.Step();
      return std::all_of(all.begin(), all.end(),
                         [](const WireClient* each) { return each->responses() == 1; });
    }));
    return all.back()->received();
  };
  const std::string get = "GET / HTTP/1.1\r\nHost: fn.example\r\n\r\n";
  CHECK(Has(ask(get, 8), "HTTP/1.1 200"));
  CHECK(pod.upstream().requests().size() == 8);
  const uint64_t before = pod.sample().stats.connections.value;
  CHECK((before == 1) == takes_h2);
  // By HTTP/2 few pods take an upgrade, by HTTP/1 all may.
  pod.upstream().SetAnswer([](const FakeRequest&) {
    return net::testing::FakeAnswer{
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        net::testing::FakeAnswer::After::kEcho};
  });
  CHECK(Has(ask("GET /ws HTTP/1.1\r\nHost: fn.example\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                1),
            "HTTP/1.1 101"));
  CHECK(pod.sample().stats.connections.value == before + 1);
}

/// A pod that is starting, whose readiness probe is by https.
SnapshotPtr Starting(const TlsProxyRig& pod, net::TlsClientPtr traffic) {
  auto set = std::make_shared<EndpointSet>();
  set->workload = {"ns", "fn"};
  Endpoint endpoint;
  endpoint.key = {.pod_uid = "pod", .port = pod.tls_port()};
  endpoint.addresses = {"127.0.0.1"};
  endpoint.state = EndpointState::kStarting;
  endpoint.tls = std::move(traffic);
  endpoint.probe.kind = ProbeSpec::Kind::kHttpGet;
  endpoint.probe.tls = true;
  endpoint.probe.port = pod.tls_port();
  set->endpoints.push_back(std::move(endpoint));
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = 100;
  snapshot->workloads = {set};
  snapshot->routes = std::make_shared<RouteTable>(
      std::vector<Route>{{.host = "*", .path_prefix = "/", .workload = 0}});
  return snapshot;
}

TEST_CASE("a probe by https is unverified, and its connection serves only traffic that is so too") {
  for (const bool verified : {false, true}) {
    TlsProxyRig pod;
    pod.Certify({pod.authority().Issue({.names = {"fn.example"}})});
    ProxyRig rig;
    net::TlsClientPolicy policy{.verify = false};
    if (verified) policy = {.ca_pem = pod.authority().pem(), .server_name = "fn.example"};
    const auto traffic = net::TlsClientContext::Make(policy);
    REQUIRE(traffic.ok());
    rig.plane().Adopt(Starting(pod, *traffic));
    WireClient& client = rig.Connect();
    client.Send(Get());
    CHECK(rig.RunUntil([&] {
      pod.Step();
      return client.responses() == 1 && rig.Quiet();
    }));
    CHECK(Has(client.received(), "HTTP/1.1 200"));
    REQUIRE(pod.upstream().requests().size() == 2);
    CHECK(Has(pod.upstream().requests()[0].Field("user-agent"), "kube-probe"));
    CHECK(pod.sample().stats.connections.value == (verified ? 2 : 1));
  }
}

}  // namespace
}  // namespace rouse::proxy::testing
