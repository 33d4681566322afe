#include <catch2/catch.hpp>

#include "k8s/objects/container.h"
#include "k8s/objects/deployment.h"
#include "k8s/objects/endpoint_slice.h"
#include "k8s/objects/event.h"
#include "k8s/objects/json_node.h"
#include "k8s/objects/lease.h"
#include "k8s/objects/object_meta.h"
#include "k8s/objects/scale.h"
#include "k8s/objects/secret.h"
#include "k8s/objects/service.h"
#include "k8s/objects/timestamp.h"

namespace rouse::k8s {
namespace {

using std::chrono::seconds;

template <typename T>
std::string WhyNot(std::string_view json) {
  const absl::StatusOr<T> object = T::Decode(json);
  return object.ok() ? "decoded" : std::string(object.status().message());
}

TEST_CASE("a Service is read with its metadata and ports") {
  const auto service = Service::Decode(R"({
    "apiVersion":"v1","kind":"Service",
    "metadata":{"name":"fn","namespace":"shop","uid":"u1","resourceVersion":"7","generation":3,
      "creationTimestamp":"2026-11-23T19:25:18Z","deletionTimestamp":null,
      "labels":{"rouse.dev/enabled":"true"},"annotations":{"rouse.dev/port":"http"},
      "managedFields":[{"manager":"x","fieldsV1":{"f:spec":{}}}],
      "ownerReferences":[{"kind":"X","name":"o","uid":"u0","controller":true}]},
    "spec":{"type":"NodePort","clusterIP":"10.0.0.1","selector":{"app":"fn"},
      "ports":[{"name":"http","port":80,"targetPort":8080,"appProtocol":"kubernetes.io/h2c"},
               {"name":"admin","port":81,"targetPort":"adm","protocol":"UDP"}]}})");
  REQUIRE(service.ok());
  CHECK(service->meta.key() == ObjectKey{"shop", "fn"});
  CHECK(service->meta.uid == "u1");
  CHECK(service->meta.resource_version == "7");
  CHECK(service->meta.generation == 3);
  CHECK(service->meta.label("rouse.dev/enabled") == "true");
  CHECK(service->meta.annotation("rouse.dev/port") == "http");
  CHECK(service->meta.annotation("absent").empty());
  CHECK(FormatTimestamp(service->meta.creation_time) == "2026-11-23T19:25:18Z");
  CHECK_FALSE(service->meta.deleting());
  REQUIRE(service->meta.owners.size() == 1);
  CHECK(service->meta.owners[0].controller);
  CHECK(service->type == "NodePort");
  CHECK(service->selector.at("app") == "fn");
  REQUIRE(service->ports.size() == 2);
  CHECK(service->ports[0].port == 80);
  CHECK(service->ports[0].target_port == "8080");
  CHECK(service->ports[0].app_protocol == "kubernetes.io/h2c");
  CHECK(service->ports[1].target_port == "adm");
  CHECK(service->ports[1].protocol == "UDP");
}

TEST_CASE("a bad field is named with its path") {
  const std::string meta = R"("metadata":{"name":"fn"})";
  CHECK(WhyNot<Service>("{" + meta + R"(,"spec":{"ports":[{"port":1},{"port":"x"}]}})") ==
        "spec.ports[1].port: not a number");
  CHECK(WhyNot<Service>("{" + meta + R"(,"spec":{"ports":[{"port":70000}]}})") ==
        "spec.ports[0].port: not in 1..65535");
  CHECK(WhyNot<Service>("{" + meta + R"(,"spec":{"ports":[{"port":1.5}]}})") ==
        "spec.ports[0].port: not a whole number");
  CHECK(WhyNot<Service>("{" + meta + R"(,"spec":{"ports":{"port":1}}})") ==
        "spec.ports: not a list");
  CHECK(WhyNot<Service>("{" + meta + R"(,"spec":7})") == "spec: not an object");
  CHECK(WhyNot<Service>(R"({"metadata":{"name":5}})") == "metadata.name: not a string");
  CHECK(WhyNot<Service>(R"({"metadata":{}})") == "metadata.name: missing");
  CHECK(WhyNot<Service>(R"({"metadata":{"name":"a","labels":{"k":1}}})") ==
        "metadata.labels.k: not a string");
  CHECK(WhyNot<Service>(R"({"metadata":{"name":"a","creationTimestamp":"yesterday"}})") ==
        "metadata.creationTimestamp: not a timestamp");
  CHECK(WhyNot<EndpointSlice>("{" + meta + R"(,"addressType":"IPX"})") ==
        "addressType: not IPv4, IPv6 or FQDN");
  CHECK(WhyNot<EndpointSlice>("{" + meta + "}") == "addressType: missing");
}

TEST_CASE("text that is no object, too deep or too large is refused") {
  CHECK(WhyNot<Service>("").rfind("not JSON", 0) == 0);
  CHECK(WhyNot<Service>("{\"a\":").rfind("not JSON", 0) == 0);
  CHECK(WhyNot<Service>("[]") == "not a JSON object");
  CHECK(WhyNot<Service>("null") == "not a JSON object");
  const std::string deep = "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}";
  CHECK(WhyNot<Service>(deep).rfind("not JSON", 0) == 0);
  JsonDocument large(R"({"a":"0123456789"})", {10, 64});
  CHECK(large.status().message() == "larger than 10 bytes");
  CHECK_FALSE(large.root().present());
}

TEST_CASE("an endpoint slice is read with the meaning of absent conditions") {
  const auto slice = EndpointSlice::Decode(R"({
    "metadata":{"name":"fn-abc","namespace":"shop","labels":{"kubernetes.io/service-name":"fn"}},
    "addressType":"IPv4",
    "ports":[{"name":"http","port":8080},{"name":"any","protocol":"TCP","port":null}],
    "endpoints":[
      {"addresses":["10.1.0.1","10.1.0.2"],"conditions":{},
       "targetRef":{"kind":"Pod","namespace":"shop","name":"p1","uid":"u1"},"nodeName":"n1"},
      {"addresses":["10.1.0.3"],"conditions":{"ready":false,"serving":true,"terminating":true}},
      {"addresses":["10.1.0.4"],"conditions":{"ready":false}},
      {"addresses":["10.1.0.5"]}]})");
  REQUIRE(slice.ok());
  CHECK(slice->service_name() == "fn");
  REQUIRE(slice->endpoints.size() == 4);
  CHECK(slice->endpoints[0].addresses.size() == 2);
  CHECK((slice->endpoints[0].ready && slice->endpoints[0].serving));
  CHECK(slice->endpoints[0].target.uid == "u1");
  CHECK((slice->endpoints[1].serving && slice->endpoints[1].terminating));
  CHECK_FALSE(slice->endpoints[1].ready);
  CHECK_FALSE(slice->endpoints[2].serving);
  CHECK(slice->endpoints[3].ready);
  CHECK(slice->endpoints[3].target.kind.empty());
  REQUIRE(slice->ports.size() == 2);
  CHECK(slice->ports[0].port == uint16_t{8080});
  CHECK_FALSE(slice->ports[1].port.has_value());
  const auto null_lists = EndpointSlice::Decode(
      R"({"metadata":{"name":"x"},"addressType":"FQDN","endpoints":null,"ports":null})");
  REQUIRE(null_lists.ok());
  CHECK(null_lists->address_type == EndpointSlice::AddressType::kFqdn);
}

constexpr const char* kTarget = R"({
  "metadata":{"name":"p","namespace":"shop","uid":"u"},
  "spec":{"template":{"spec":{"containers":[
    {"name":"main","ports":[{"name":"http","containerPort":8080},{"containerPort":9090}],
     "readinessProbe":{"httpGet":{"path":"ready","port":"http","scheme":"HTTPS",
       "httpHeaders":[{"name":"A","value":"b"}]},"initialDelaySeconds":2,"periodSeconds":3,
       "timeoutSeconds":4,"successThreshold":0,"failureThreshold":5},
     "startupProbe":{"grpc":{"port":9090,"service":"s"}},
     "livenessProbe":{"exec":{"command":["sh","-c","true"]}}},
    {"name":"side","readinessProbe":{"tcpSocket":{"port":9,"host":"h"}}}],
    "readinessGates":[{"conditionType":"x.io/gate"}]}}}})";

TEST_CASE("probes are read as declared, with the API's defaults for what is not") {
  const auto pod = Deployment::Decode(kTarget);
  REQUIRE(pod.ok());
  REQUIRE(pod->containers.size() == 2);
  const Container& main = pod->containers[0];
  REQUIRE(main.readiness_probe.has_value());
  const ProbeSpec& ready = *main.readiness_probe;
  CHECK(ready.kind == ProbeSpec::Kind::kHttpGet);
  CHECK(ready.path == "/ready");
  CHECK(ready.scheme == "HTTPS");
  CHECK(ready.headers.at(0).second == "b");
  CHECK(ready.initial_delay == seconds(2));
  CHECK(ready.period == seconds(3));
  CHECK(ready.timeout == seconds(4));
  CHECK(ready.success_threshold == 1);
  CHECK(ready.failure_threshold == 5);
  CHECK(main.PortNumber(ready.port) == uint16_t{8080});
  CHECK(main.PortNumber("77") == uint16_t{77});
  CHECK_FALSE(main.PortNumber("no").has_value());
  CHECK_FALSE(main.PortNumber("").has_value());
  CHECK_FALSE(main.PortNumber("0").has_value());
  CHECK(main.startup_probe->kind == ProbeSpec::Kind::kGrpc);
  CHECK(main.startup_probe->grpc_service == "s");
  CHECK(main.startup_probe->port == "9090");
  CHECK(main.startup_probe->period == seconds(10));
  CHECK(main.liveness_probe->command.size() == 3);
  CHECK(pod->containers[1].readiness_probe->kind == ProbeSpec::Kind::kTcpSocket);
  CHECK(pod->containers[1].readiness_probe->host == "h");
  CHECK_FALSE(pod->containers[1].startup_probe.has_value());
}

TEST_CASE("a Deployment shows its counts and the probes of its template") {
  const std::string json =
      R"({"metadata":{"name":"d","namespace":"n"},"spec":{"replicas":0,"template":{
      "metadata":{"labels":{"app":"d"}},"spec":{"readinessGates":[{"conditionType":"g"}],
      "containers":[{"name":"c","readinessProbe":{"tcpSocket":{"port":"web"}},
                     "ports":[{"name":"web","containerPort":1}]}]}}},
      "status":{"replicas":3,"readyReplicas":2}})";
  const auto deployment = Deployment::Decode(json);
  REQUIRE(deployment.ok());
  CHECK(deployment->replicas == 0);
  CHECK(deployment->status_replicas == 3);
  CHECK(deployment->ready_replicas == 2);
  CHECK(deployment->template_labels.at("app") == "d");
  CHECK(deployment->containers.at(0).readiness_probe->port == "web");
  CHECK(deployment->readiness_gates.size() == 1);
  const auto set = StatefulSet::Decode(json);
  REQUIRE(set.ok());
  CHECK(set->ready_replicas == 2);
  CHECK_FALSE(Deployment::Decode(R"({"metadata":{"name":"d"}})")->replicas.has_value());
}

TEST_CASE("a Scale without replicas is at zero, and its patch carries the version") {
  const auto scale = Scale::Decode(R"({"metadata":{"name":"d","resourceVersion":"9"},"spec":{},
      "status":{"replicas":1,"selector":"app=d"}})");
  REQUIRE(scale.ok());
  CHECK(scale->spec_replicas == 0);
  CHECK(scale->status_replicas == 1);
  CHECK(scale->selector == "app=d");
  CHECK(EncodeScalePatch(3, "9") ==
        R"({"spec":{"replicas":3},"metadata":{"resourceVersion":"9"}})");
  CHECK(EncodeScalePatch(3, "") == R"({"spec":{"replicas":3}})");
  CHECK(ScaleTarget{"apps", "v1", "deployments", "d"}.ScalePath("n") ==
        "/apis/apps/v1/namespaces/n/deployments/d/scale");
  CHECK(ScaleTarget{"x.io", "v2", "things", "d"}.text() == "x.io/v2/things/d");
}

TEST_CASE("a Lease survives writing and reading") {
  Lease lease;
  lease.meta.ns = "sys";
  lease.meta.name = "l";
  lease.meta.resource_version = "5";
  lease.holder = "me";
  lease.duration_seconds = 15;
  lease.transitions = 2;
  lease.acquire_time = ParseTimestamp("2026-01-01T00:00:00.5Z");
  lease.renew_time = ParseTimestamp("2026-01-01T00:00:01.000001Z");
  const std::string json = lease.Encode();
  CHECK(json.find("\"renewTime\":\"2026-01-01T00:00:01.000001Z\"") != std::string::npos);
  const auto read = Lease::Decode(json);
  REQUIRE(read.ok());
  CHECK(read->meta.resource_version == "5");
  CHECK(read->holder == "me");
  CHECK(read->duration_seconds == 15);
  CHECK(read->transitions == 2);
  CHECK(read->acquire_time == lease.acquire_time);
  CHECK(read->renew_time == lease.renew_time);
}

TEST_CASE("an Event survives writing and reading, its message cut between characters") {
  Event event;
  event.meta.ns = "n";
  event.meta.name = "e";
  event.subject = {"v1", "Service", "n", "fn", "u1", "3"};
  event.warning = true;
  event.reason = "InvalidAnnotation";
  event.message = std::string(Event::message_max - 1, 'x') + "\xc3\xa9";
  event.component = "rouse-autoscaler";
  event.count = 4;
  event.first_time = *ParseTimestamp("2026-01-01T00:00:00Z");
  event.last_time = *ParseTimestamp("2026-01-01T00:01:00Z");
  const auto read = Event::Decode(event.Encode());
  REQUIRE(read.ok());
  CHECK(read->warning);
  CHECK(read->subject.uid == "u1");
  CHECK(read->message == std::string(Event::message_max - 1, 'x'));
  CHECK(read->count == 4);
  CHECK(read->first_time == event.first_time);
}

TEST_CASE("timestamps are read in every form of RFC 3339 and in no other") {
  const auto base = ParseTimestamp("2026-11-23T19:25:18Z");
  REQUIRE(base.has_value());
  CHECK(ParseTimestamp("2026-11-23T20:25:18+01:00") == base);
  CHECK(ParseTimestamp("2026-11-23T17:55:18-01:30") == base);
  CHECK(ParseTimestamp("2026-11-23T19:25:18.000000Z") == base);
  CHECK(ParseTimestamp("2026-11-23T19:25:18.25Z") == *base + std::chrono::milliseconds(250));
  CHECK(FormatMicroTime(*base + std::chrono::milliseconds(250)) == "2026-11-23T19:25:18.250000Z");
  CHECK(FormatTimestamp(*ParseTimestamp("2024-02-29T00:00:00Z")) == "2024-02-29T00:00:00Z");
  for (const char* bad :
       {"", "2026-11-23", "2026-11-23T19:25:18", "2026-13-23T19:25:18Z", "2026-02-29T19:25:18Z",
        "2026-11-23T24:25:18Z", "2026-11-23T19:25:18.Z", "2026-11-23T19:25:18+1:00",
        "2026-11-23T19:25:18Zx", "2026/11/23T19:25:18Z", "20261123T192518Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseTimestamp(bad).has_value());
  }
}

TEST_CASE("paths name group, version, namespace and subresource") {
  CHECK(CollectionPath(Service::kType, "") == "/api/v1/services");
  CHECK(CollectionPath(EndpointSlice::kType, "n") ==
        "/apis/discovery.k8s.io/v1/namespaces/n/endpointslices");
  CHECK(ObjectPath(Deployment::kType, {"n", "d"}, "scale") ==
        "/apis/apps/v1/namespaces/n/deployments/d/scale");
}

TEST_CASE("a TLS Secret is decoded from base64") {
  const auto secret =
      Secret::Decode(R"({"metadata":{"name":"cert","namespace":"a"},"type":"kubernetes.io/tls",)"
                     R"("data":{"tls.crt":"Y2VydA==","tls.key":"a2V5"}})");
  REQUIRE(secret.ok());
  CHECK(secret->meta.key() == ObjectKey{"a", "cert"});
  CHECK(secret->certificate == "cert");
  CHECK(secret->key == "key");
  CHECK_FALSE(Secret::Decode(R"({"data":{"tls.crt":"%%%","tls.key":""}})").ok());
  CHECK_FALSE(Secret::Decode("[").ok());
}

}  // namespace
}  // namespace rouse::k8s
