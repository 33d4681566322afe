#include "proxy/control/snapshot_builder.h"

#include <catch2/catch.hpp>

#include "proxy/control/cluster_view.h"
#include "tests/support/net/test_pki.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StillClock final : public Clock {
 public:
  TimePoint now() const override { return time; }
  WallTime wall() const override { return WallTime{} + time.time_since_epoch(); }
  TimePoint time = TimePoint() + seconds(100);
};

/// A cluster of Services and slices, and the snapshots built from it.
class Cluster {
 public:
  Cluster() : Cluster(SnapshotOptions{}) {}
  explicit Cluster(SnapshotOptions options)
      : builder_(std::move(options), *EndpointGuard::Make({}), SlotHandles{}) {}

  k8s::Service Service(const std::string& name, int age, const std::string& hosts = "") {
    k8s::Service service;
    service.meta.ns = "default";
    service.meta.name = name;
    service.meta.uid = name + "-uid";
    service.meta.creation_time = WallTime{} + seconds(1000 - age);
    service.meta.labels[k8s::kEnabledLabel] = "true";
    if (!hosts.empty()) service.meta.annotations["rouse.dev/hosts"] = hosts;
    service.ports.push_back({"http", "TCP", "", 80, "8080"});
    return service;
  }

  k8s::EndpointSlice Slice(const std::string& service, const std::string& name,
                           std::vector<k8s::SliceEndpoint> endpoints,
                           const std::string& version = "1") {
    k8s::EndpointSlice slice;
    slice.meta.ns = "default";
    slice.meta.name = name;
    slice.meta.resource_version = version;
    slice.meta.labels[k8s::kServiceNameLabel] = service;
    slice.ports.push_back({"http", "TCP", "", uint16_t{8080}});
    slice.endpoints = std::move(endpoints);
    return slice;
  }

  static k8s::SliceEndpoint Pod(const std::string& uid, const std::string& address, bool ready,
                                bool terminating = false) {
    k8s::SliceEndpoint endpoint;
    endpoint.addresses = {address};
    endpoint.ready = ready && !terminating;
    endpoint.serving = ready;
    endpoint.terminating = terminating;
    endpoint.target = {"Pod", "default", uid + "-pod", uid};
    return endpoint;
  }

  SnapshotPtr Build() { return builder_.Build(view, view.TakeDirty(), clock.now()); }

  const EndpointSet& SetOf(const SnapshotPtr& snapshot, const std::string& name) {
    for (const EndpointSetPtr& set : snapshot->workloads) {
      if (set && set->workload.name == name) return *set;
    }
    FAIL("no workload " << name);
    return *snapshot->workloads[0];
  }

  StillClock clock;
  obs::Log log{clock, {obs::Level::kError, obs::Log::Format::kText, 64, [](std::string_view) {}}};
  int dirty_told = 0;
  ClusterView view{clock, log, [this] { ++dirty_told; }};
  SnapshotBuilder builder_;
};

TEST_CASE("a Service and its slice make a routed workload with endpoints") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  cluster.view.slices().OnUpsert(
      cluster.Slice("hello", "hello-1", {Cluster::Pod("a", "10.0.0.7", true)}));
  const SnapshotPtr snapshot = cluster.Build();
  const Route* route = snapshot->routes->Match("hello.default", "/x");
  REQUIRE(route != nullptr);
  const EndpointSet& set = *snapshot->workloads[route->workload];
  CHECK(set.workload == ObjectKey{"default", "hello"});
  REQUIRE(set.endpoints.size() == 1);
  CHECK(set.endpoints[0].addresses == std::vector<std::string>{"10.0.0.7"});
  CHECK(set.endpoints[0].key == EndpointKey{"a", 8080});
  CHECK(set.endpoints[0].state == EndpointState::kReady);
}

TEST_CASE("a batch of changes tells once, and what did not change is shared") {
  Cluster cluster;
  for (const char* name : {"a", "b", "c"})
    cluster.view.services().OnUpsert(cluster.Service(name, 1));
  CHECK(cluster.dirty_told == 1);
  const SnapshotPtr first = cluster.Build();
  cluster.view.slices().OnUpsert(cluster.Slice("b", "b-1", {Cluster::Pod("p", "10.0.0.1", true)}));
  CHECK(cluster.dirty_told == 2);
  const SnapshotPtr second = cluster.Build();
  CHECK(second->version == first->version + 1);
  CHECK(second->routes == first->routes);
  size_t same = 0;
  for (size_t i = 0; i < 3; ++i) same += first->workloads[i] == second->workloads[i] ? 1 : 0;
  CHECK(same == 2);
}

TEST_CASE(
    "endpoints are the union of all slices; a pod in two of them is one, as the newer slice says") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  cluster.view.slices().OnUpsert(cluster.Slice(
      "hello", "old", {Cluster::Pod("a", "10.0.0.1", true), Cluster::Pod("b", "10.0.0.2", true)},
      "99"));
  cluster.view.slices().OnUpsert(
      cluster.Slice("hello", "new", {Cluster::Pod("a", "10.0.0.1", true, true)}, "100"));
  SnapshotPtr snapshot = cluster.Build();
  const EndpointSet& set = cluster.SetOf(snapshot, "hello");
  REQUIRE(set.endpoints.size() == 2);
  CHECK(set.endpoints[0].key.pod_uid == "a");
  CHECK(set.endpoints[0].state == EndpointState::kDraining);
  CHECK(set.endpoints[1].state == EndpointState::kReady);

  // Deleting one slice while another remains does not blank the workload.
  cluster.view.slices().OnDelete({"default", "new"}, "");
  snapshot = cluster.Build();
  CHECK(cluster.SetOf(snapshot, "hello").endpoints.size() == 2);
  cluster.view.slices().OnDelete({"default", "old"}, "");
  snapshot = cluster.Build();
  CHECK(cluster.SetOf(snapshot, "hello").endpoints.empty());
}

TEST_CASE("a pod that is ending gets nothing new, even where it is the last one") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  cluster.view.slices().OnUpsert(
      cluster.Slice("hello", "s", {Cluster::Pod("a", "10.0.0.1", true, true)}));
  CHECK(cluster.SetOf(cluster.Build(), "hello").endpoints[0].state == EndpointState::kDraining);
}

TEST_CASE("an endpoint that is no pod of the namespace, or has a forbidden address, is refused") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  k8s::SliceEndpoint foreign = Cluster::Pod("a", "10.0.0.1", true);
  foreign.target.ns = "kube-system";
  k8s::SliceEndpoint nobody = Cluster::Pod("b", "10.0.0.2", true);
  nobody.target = {};
  cluster.view.slices().OnUpsert(cluster.Slice(
      "hello", "s",
      {foreign, nobody, Cluster::Pod("c", "127.0.0.1", true),
       Cluster::Pod("d", "169.254.169.254", true), Cluster::Pod("e", "10.0.0.5", true)}));
  const SnapshotPtr snapshot = cluster.Build();
  REQUIRE(cluster.SetOf(snapshot, "hello").endpoints.size() == 1);
  CHECK(cluster.SetOf(snapshot, "hello").endpoints[0].key.pod_uid == "e");
  CHECK(cluster.builder_.problems().count({"default", "hello"}) == 1);
}

TEST_CASE("a host has one owner, the oldest Service, and passes on when that one goes") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("young", 1, "shop.example"));
  cluster.view.services().OnUpsert(cluster.Service("old", 9, "shop.example"));
  SnapshotPtr snapshot = cluster.Build();
  const auto owner = [&] {
    const Route* route = snapshot->routes->Match("shop.example", "/");
    return route == nullptr ? "" : snapshot->workloads[route->workload]->workload.name;
  };
  CHECK(owner() == "old");
  REQUIRE(cluster.builder_.conflicts().size() == 1);
  CHECK(cluster.builder_.conflicts().begin()->loser.name == "young");
  cluster.view.services().OnDelete({"default", "old"}, "");
  snapshot = cluster.Build();
  CHECK(owner() == "young");
  CHECK(cluster.builder_.conflicts().empty());
}

TEST_CASE("only those who may claim a host get it") {
  SnapshotOptions options;
  options.allowed_hosts = {{"default", "*.ours.example"}, {"other", "*"}};
  Cluster cluster(options);
  cluster.view.services().OnUpsert(cluster.Service("a", 1, "x.ours.example"));
  cluster.view.services().OnUpsert(cluster.Service("b", 1, "bank.example"));
  const SnapshotPtr snapshot = cluster.Build();
  CHECK(snapshot->routes->Match("x.ours.example", "/") != nullptr);
  CHECK(snapshot->routes->Match("bank.example", "/") == nullptr);
  CHECK(cluster.builder_.conflicts().size() == 1);
}

TEST_CASE("a place that is freed may be taken by another workload, and routes follow") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("a", 1));
  cluster.view.services().OnUpsert(cluster.Service("b", 1));
  SnapshotPtr snapshot = cluster.Build();
  cluster.view.services().OnDelete({"default", "a"}, "");
  snapshot = cluster.Build();
  CHECK(snapshot->routes->Match("a.default", "/") == nullptr);
  cluster.view.services().OnUpsert(cluster.Service("c", 1));
  snapshot = cluster.Build();
  CHECK(snapshot->workloads.size() == 2);
  const Route* route = snapshot->routes->Match("c.default", "/");
  REQUIRE(route != nullptr);
  CHECK(snapshot->workloads[route->workload]->workload.name == "c");
}

k8s::Deployment TargetWithProbe() {
  k8s::Deployment target;
  k8s::Container container;
  container.ports.push_back({"http", "TCP", 8080});
  k8s::ProbeSpec probe;
  probe.kind = k8s::ProbeSpec::Kind::kHttpGet;
  probe.path = "/healthy";
  probe.port = "http";
  probe.initial_delay = milliseconds(500);
  container.readiness_probe = probe;
  target.containers.push_back(container);
  return target;
}

TEST_CASE("a starting pod is probed early on the port its slice names, after the declared delay") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  cluster.view.SetTarget({"default", "hello"}, TargetWithProbe());
  k8s::EndpointSlice slice = cluster.Slice("hello", "s", {Cluster::Pod("a", "10.0.0.1", false)});
  slice.ports[0].port = uint16_t{31234};
  cluster.view.slices().OnUpsert(slice);
  const SnapshotPtr snapshot = cluster.Build();
  const Endpoint& endpoint = cluster.SetOf(snapshot, "hello").endpoints[0];
  CHECK(endpoint.state == EndpointState::kStarting);
  CHECK(endpoint.probe.kind == ProbeSpec::Kind::kHttpGet);
  CHECK(endpoint.probe.port == 31234);
  CHECK(endpoint.probe.path == "/healthy");
  CHECK(endpoint.probe_from == cluster.clock.now() + milliseconds(500));
}

TEST_CASE("a pod that was ready once is not trusted to an early probe") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("hello", 1));
  cluster.view.SetTarget({"default", "hello"}, TargetWithProbe());
  cluster.view.slices().OnUpsert(
      cluster.Slice("hello", "s", {Cluster::Pod("a", "10.0.0.1", true)}));
  cluster.view.slices().OnUpsert(
      cluster.Slice("hello", "s", {Cluster::Pod("a", "10.0.0.1", false)}));
  const SnapshotPtr snapshot = cluster.Build();
  CHECK(cluster.SetOf(snapshot, "hello").endpoints[0].probe.kind == ProbeSpec::Kind::kNone);
}

TEST_CASE("what may be probed early is what the kubelet's answer would rest on alone") {
  const k8s::ServicePort port{"http", "TCP", "", 80, "8080"};
  const auto kind = [&](const k8s::Deployment& target) {
    return EarlyProbeOf(target, port, 8080).kind;
  };
  CHECK(kind(TargetWithProbe()) == ProbeSpec::Kind::kHttpGet);
  k8s::Deployment target = TargetWithProbe();
  target.containers.push_back(target.containers[0]);
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].startup_probe = target.containers[0].readiness_probe;
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.readiness_gates.push_back("x/y");
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].readiness_probe->host = "elsewhere";
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].readiness_probe->success_threshold = 2;
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].readiness_probe->kind = k8s::ProbeSpec::Kind::kExec;
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].readiness_probe.reset();
  CHECK(kind(target) == ProbeSpec::Kind::kNone);
  target = TargetWithProbe();
  target.containers[0].readiness_probe->kind = k8s::ProbeSpec::Kind::kTcpSocket;
  CHECK(kind(target) == ProbeSpec::Kind::kTcpSocket);
}

TEST_CASE("TLS towards pods follows the port and the annotations, and stays the same object") {
  net::testing::TestAuthority authority;
  SnapshotOptions options;
  options.upstream_tls.ca_pem = authority.pem();
  Cluster cluster(std::move(options));
  std::optional<UpstreamProtocol> spoken;
  const auto tls = [&](const std::string& port, const std::string& protocol,
                       const std::string& wanted) {
    k8s::Service service = cluster.Service("hello", 1);
    service.ports[0].name = port;
    service.ports[0].app_protocol = protocol;
    if (!wanted.empty()) service.meta.annotations["rouse.dev/upstream-tls"] = wanted;
    cluster.view.services().OnUpsert(service);
    k8s::EndpointSlice slice =
        cluster.Slice("hello", "hello-1", {Cluster::Pod("a", "10.0.0.7", true)});
    slice.ports[0].name = port;
    cluster.view.slices().OnUpsert(slice);
    const SnapshotPtr snapshot = cluster.Build();
    const EndpointSet& set = cluster.SetOf(snapshot, "hello");
    if (!set.endpoints.empty()) spoken = set.endpoints[0].protocol;
    return set.endpoints.empty() ? std::nullopt : std::optional(set.endpoints[0].tls);
  };
  CHECK(*tls("http", "", "") == nullptr);
  CHECK(spoken == UpstreamProtocol::kHttp1);
  CHECK(*tls("https", "", "off") == nullptr);
  const net::TlsClientPtr by_name = *tls("https", "", "");
  REQUIRE(by_name != nullptr);
  CHECK(by_name->verify());
  CHECK(by_name->server_name() == "hello.default.svc");
  CHECK(spoken == UpstreamProtocol::kAgreed);
  CHECK(*tls("grpc", "", "verify") == by_name);
  CHECK(spoken == UpstreamProtocol::kHttp2);
  CHECK(*tls("web", "https", "") == by_name);
  CHECK(*tls("http", "", "verify") == by_name);
  REQUIRE(*tls("https", "", "insecure") != nullptr);
  CHECK_FALSE((*tls("https", "", "insecure"))->verify());
  CHECK_FALSE(tls("https", "", "perhaps").has_value());  // rather none than in the clear
  CHECK(cluster.builder_.problems().size() == 1);
}

TEST_CASE("the hosts that a Service has won are its own") {
  Cluster cluster;
  cluster.view.services().OnUpsert(cluster.Service("old", 9, "a.example"));
  cluster.view.services().OnUpsert(cluster.Service("young", 1, "a.example,b.example/x"));
  (void)cluster.Build();
  CHECK(cluster.builder_.owned().at({"default", "old"}) == std::vector<std::string>{"a.example"});
  CHECK(cluster.builder_.owned().at({"default", "young"}) == std::vector<std::string>{"b.example"});
}

TEST_CASE("what pods speak follows from their port: appProtocol first, then its name") {
  const auto http2 = [](std::string_view name, std::string_view app) {
    return ProtocolOf(name, app) == UpstreamProtocol::kHttp2;
  };
  for (const char* name : {"h2c", "http2", "grpc", "grpc-api", "http2-x", "h2c-1"}) {
    CHECK(http2(name, ""));
    CHECK(http2("http", name));
  }
  for (const char* name : {"", "http", "http1", "http2x", "grpcs", "web-grpc", "h2"})
    CHECK_FALSE(http2(name, ""));
  CHECK(http2("http", "kubernetes.io/h2c"));
  CHECK_FALSE(http2("grpc", "http"));
  CHECK_FALSE(http2("h2c", "kubernetes.io/ws"));
}

}  // namespace
}  // namespace rouse::proxy
