// Real sockets on loopback: a pod that is not there yet, one that answers this or that, and what
// becomes of the connection.

#include "proxy/upstream/early_probe.h"

#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "proxy/upstream/slot_table.h"
#include "tests/support/net/h2_origin.h"
#include "tests/support/net/loopback.h"

namespace rouse::proxy {
namespace {

using net::testing::Loopback;
using std::chrono::milliseconds;

/// A starting endpoint at the test's own acceptor, and a pod behind it that answers what it is
/// told.
class Rig {
 public:
  explicit Rig(ProbeSpec::Kind kind)
      : probe(net.shard(), EarlyProbeOptions{}, dial_, stats,
              {.wanted = [this](uint32_t) { return wanted; },
               .on_ready =
                   [this](uint32_t, const EndpointKey& key) {
                     ++ready;
                     ready_key = key;
                     endpoint->probed_ready = true;
                   },
               .on_probe_connection =
                   [this](const EndpointRef&, std::unique_ptr<http::ClientConnection> wire) {
                     kept = std::move(wire);
                   },
               .on_slot_freed = [this](uint32_t) { ++slots_freed; }}) {
    set_ = std::make_shared<EndpointSet>();
    spec().key = {"pod", net.address().port()};
    spec().addresses = {"127.0.0.1"};
    spec().state = EndpointState::kStarting;
    spec().probe.kind = kind;
    spec().probe.port = net.address().port();
    spec().probe.path = "/healthz";
    endpoint = MakeLocal<LocalEndpoint>();
    endpoint->set = set_;
    endpoint->spec = &spec();
    endpoint->shared = std::make_shared<EndpointSlots>();
  }
  ~Rig() {
    probe.Stop();
    (void)net.RunUntil([this] { return probe.idle(); });
  }
  Endpoint& spec() {
    if (set_->endpoints.empty()) set_->endpoints.emplace_back();
    return set_->endpoints[0];
  }
  EndpointSet& set() { return *set_; }

  /// The pod reads one request and answers.
  std::string Answer(std::string_view response) {
    REQUIRE(net.RunUntil([this] { return !net.accepted().empty(); }));
    server_ = std::move(net.accepted().front());
    net.accepted().erase(net.accepted().begin());
    std::string request;
    REQUIRE(net.RunUntil([&] {
      char bytes[4096];
      const net::IoResult read = server_->Read(bytes);
      if (read.status == net::IoStatus::kDone) request.append(bytes, read.bytes);
      return request.ends_with("\r\n\r\n");
    }));
    const std::string_view parts[] = {response};
    REQUIRE(server_->Write(parts).status == net::IoStatus::kDone);
    return request;
  }

  Loopback net;
  ShardStats stats;
  bool wanted = true;
  int ready = 0;
  int slots_freed = 0;
  EndpointKey ready_key;
  std::unique_ptr<http::ClientConnection> kept;
  EndpointRef endpoint;

 private:
  DialOptions dial_;
  std::shared_ptr<EndpointSet> set_;
  std::unique_ptr<net::Transport> server_;

 public:
  EarlyProbe probe;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

TEST_CASE("An HTTP probe asks what the kubelet would ask, and keeps the connection") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.spec().probe.headers = {{"Host", "fn.local"}, {"X-Probe", "1"}};
  rig.probe.Start(3, rig.endpoint);
  CHECK(rig.probe.running() == 1);
  rig.probe.Start(3, rig.endpoint);
  CHECK(rig.probe.running() == 1);
  const std::string request = rig.Answer(kOk);
  CHECK(request.starts_with("GET /healthz HTTP/1.1\r\n"));
  CHECK(request.find("host: fn.local\r\n") != std::string::npos);
  CHECK(request.find("X-Probe: 1\r\n") != std::string::npos);
  CHECK(request.find("user-agent: kube-probe/") != std::string::npos);
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.ready_key == rig.endpoint->key());
  REQUIRE(rig.kept != nullptr);
  CHECK(rig.kept->streams_free() == 1);
  CHECK(rig.stats.probes_ready.value == 1);
}

TEST_CASE("A connection is not kept where TLS was switched on while the probe was under way") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return !rig.net.accepted().empty(); }));
  rig.spec().tls = *net::TlsClientContext::Make({.verify = false});
  (void)rig.Answer(kOk);
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.kept == nullptr);
}

TEST_CASE("A pod that says 503 is asked again until it says 200") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.probe.Start(0, rig.endpoint);
  for (int i = 0; i < 3; ++i) {
    (void)rig.Answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
  }
  CHECK(rig.ready == 0);
  (void)rig.Answer("HTTP/1.1 204 No Content\r\n\r\n");
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.stats.probes.value == 4);
}

TEST_CASE("A redirect is ready; an answer that closes is ready without a connection") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.probe.Start(0, rig.endpoint);
  (void)rig.Answer("HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.kept == nullptr);
}

TEST_CASE("A TCP probe is ready once the port takes a connection") {
  Rig rig(ProbeSpec::Kind::kTcpSocket);
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.kept != nullptr);
}

TEST_CASE("A connection to another port than the traffic's is not kept") {
  Rig rig(ProbeSpec::Kind::kTcpSocket);
  rig.spec().key.port = 1;
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 1);
  CHECK(rig.ready_key.port == 1);
  CHECK(rig.kept == nullptr);
}

TEST_CASE("A closed port is asked again and again, until nobody waits any more") {
  Rig rig(ProbeSpec::Kind::kTcpSocket);
  {
    // A port that was free a moment ago.
    Loopback other;
    rig.spec().probe.port = other.address().port();
  }
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return rig.stats.probes.value >= 5; }));
  CHECK(rig.ready == 0);
  rig.wanted = false;
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.ready == 0);
}

TEST_CASE("Many starting pods share what is spent on probes") {
  Rig rig(ProbeSpec::Kind::kTcpSocket);
  rig.spec().probe.port = rig.spec().key.port = 1;  // nobody listens there
  constexpr int kPods = 100;
  std::vector<EndpointRef> pods;
  const TimePoint began = rig.net.shard().now();
  for (int i = 0; i < kPods; ++i) {
    pods.push_back(MakeLocal<LocalEndpoint>());
    pods.back()->set = rig.endpoint->set;
    pods.back()->spec = &rig.spec();
    rig.probe.Start(3, pods.back());
  }
  REQUIRE(rig.net.RunUntil([&] { return rig.stats.probes.value >= 3 * kPods; }));
  const Duration took = rig.net.shard().now() - began;
  CHECK(static_cast<int64_t>(rig.stats.probes.value) <= kPods + took / EarlyProbeOptions{}.spacing);
  rig.wanted = false;
}

TEST_CASE("The initial delay is honoured") {
  Rig rig(ProbeSpec::Kind::kTcpSocket);
  const TimePoint from = rig.net.shard().now() + milliseconds(60);
  rig.spec().probe_from = from;
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return rig.stats.probes.value > 0; }));
  CHECK(rig.net.shard().now() >= from);
}

TEST_CASE("Probing ends when Kubernetes has spoken") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  SECTION("ready") { rig.spec().state = EndpointState::kReady; }
  SECTION("terminating") { rig.spec().state = EndpointState::kDraining; }
  SECTION("gone") { rig.endpoint->leaving = true; }
  rig.probe.Start(0, rig.endpoint);
  CHECK(rig.probe.idle());
}

TEST_CASE("What may not be asked is not asked") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  SECTION("no probe") { rig.spec().probe.kind = ProbeSpec::Kind::kNone; }
  SECTION("nobody waits") { rig.wanted = false; }
  SECTION("stopped") { rig.probe.Stop(); }
  rig.probe.Start(0, rig.endpoint);
  CHECK(rig.probe.idle());
  CHECK(rig.stats.probes.value == 0);
}

TEST_CASE("On a limited endpoint a try holds a slot, and gives it back") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.set().policy.concurrency_limit = 1;
  rig.endpoint->counted = true;
  rig.probe.Start(0, rig.endpoint);
  CHECK(rig.endpoint->shared->in_flight() == 1);
  // Kubernetes says ready while the question is under way: its slot has to be told of.
  rig.spec().state = EndpointState::kReady;
  (void)rig.Answer(kOk);
  REQUIRE(rig.net.RunUntil([&] { return rig.probe.idle(); }));
  CHECK(rig.endpoint->shared->in_flight() == 0);
  CHECK(rig.slots_freed == 1);
  CHECK(rig.ready == 0);
}

TEST_CASE("A pod that answers nothing is given up after the probe's own timeout") {
  Rig rig(ProbeSpec::Kind::kHttpGet);
  rig.spec().probe.timeout = milliseconds(40);
  rig.probe.Start(0, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] { return rig.stats.probes.value >= 2; }));
  CHECK(rig.ready == 0);
}

/// A pod that speaks gRPC's health protocol: SERVING is 1 (grpc.health.v1).
TEST_CASE("A gRPC probe takes SERVING for ready, and its connection where the traffic speaks it") {
  using net::testing::H2Frame;
  using net::testing::Hpack;
  const char state = GENERATE('\1', '\2');
  const UpstreamProtocol traffic = GENERATE(UpstreamProtocol::kHttp1, UpstreamProtocol::kHttp2);
  Rig rig(ProbeSpec::Kind::kGrpc);
  net::testing::H2Origin pod(rig.net.shard());
  pod.SetAnswer([&](const net::testing::H2Origin::Request& request) {
    return H2Frame(1, 4, request.stream, Hpack({{":status", "200"}})) +
           H2Frame(0, 0, request.stream, std::string("\0\0\0\0\2\x08", 6) + state) +
           H2Frame(1, 5, request.stream, Hpack({{"grpc-status", "0"}}));
  });
  rig.spec().key.port = rig.spec().probe.port = pod.address().port();
  rig.spec().protocol = traffic;
  rig.spec().probe.grpc_service = "a.B";
  rig.probe.Start(3, rig.endpoint);
  REQUIRE(rig.net.RunUntil([&] {
    pod.Step();
    return pod.requests().size() >= (state == '\1' ? 1U : 2U);
  }));
  if (state == '\1') {
    REQUIRE(rig.net.RunUntil([&] {
      pod.Step();
      return rig.probe.idle();
    }));
  }
  CHECK(rig.ready == (state == '\1' ? 1 : 0));
  CHECK((rig.kept != nullptr) == (state == '\1' && traffic == UpstreamProtocol::kHttp2));
  const net::testing::H2Answer& asked = pod.requests().front().message;
  CHECK(asked.Field(":path") == "/grpc.health.v1.Health/Check");
  CHECK(asked.Field("te") == "trailers");
  CHECK(asked.body == std::string("\0\0\0\0\5\x0a\3", 7) + "a.B");
  rig.kept.reset();
  pod.CloseAll();
}

}  // namespace
}  // namespace rouse::proxy
