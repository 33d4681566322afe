#include "k8s/local/api_server.h"

#include "common/control/self_signed.h"
#include "tests/unit/k8s/local/local_api.h"

namespace rouse::k8s::local {
namespace {

using Reply = LocalApi::Reply;

TEST_CASE("the API says what it has") {
  LocalApi api;
  CHECK(api.Get("/readyz").text == "ok");
  CHECK(api.Get("/livez").status == 200);
  CHECK(api.Get("/version").At({"major"}) == "1");
  CHECK(api.Get("/api").At({"kind"}) == "APIVersions");
  CHECK(api.Get("/apis").At({"kind"}) == "APIGroupList");
  CHECK(api.Get("/apis/apps").At({"preferredVersion", "groupVersion"}) == "apps/v1");
  const std::string resources = api.Get("/apis/apps/v1").text;
  CHECK(resources.find(R"("name":"deployments/scale")") != std::string::npos);
  CHECK(api.Get("/api/v1").text.find(R"("name":"pods/log")") != std::string::npos);
  CHECK(api.Get("/apis/nothing.example/v1").status == 404);
  const Reply missing = api.Get("/apis/serving.knative.dev/v1/services");
  CHECK(missing.status == 404);
  CHECK(missing.At({"message"}) == "the server could not find the requested resource");
}

TEST_CASE("an object is created, read, replaced, patched and deleted at its path") {
  LocalApi api;
  const Reply made = api.Call("POST", kConfigMaps, ConfigMapText("a"));
  CHECK(made.status == 201);
  CHECK(made.At({"metadata", "namespace"}) == "default");
  const std::string path = std::string(kConfigMaps) + "/a";
  CHECK(api.Get(path).text == made.text);
  Json body = made.json();
  Ensure(body, {"data", "k"}) = "v";
  const Reply replaced = api.Call("PUT", path, JsonText(body));
  CHECK(replaced.status == 200);
  CHECK(replaced.At({"data", "k"}) == "v");
  const Reply late = api.Call("PUT", path, JsonText(body));
  CHECK(late.status == 409);
  CHECK(late.At({"reason"}) == "Conflict");
  CHECK(late.At({"details", "name"}) == "a");
  CHECK(late.At({"details", "kind"}) == "configmaps");
  CHECK(api.Merge(path, R"({"data":{"k":null,"m":"n"}})").At({"data", "m"}) == "n");
  const Reply deleted = api.Call("DELETE", path);
  CHECK(deleted.At({"status"}) == "Success");
  const Reply gone = api.Get(path);
  CHECK(gone.status == 404);
  CHECK(gone.At({"message"}) == "configmaps \"a\" not found");
  CHECK(gone.At({"kind"}) == "Status");
}

TEST_CASE("a body that does not belong to its path is refused") {
  LocalApi api;
  const auto post = [&](const char* body) { return api.Call("POST", kConfigMaps, body); };
  CHECK(post(R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}})").status == 400);
  CHECK(post(R"({"metadata":{"name":"a","namespace":"other"}})").At({"message"}) ==
        "the namespace of the provided object does not match the namespace sent on the request");
  CHECK(post("{nonsense").status == 400);
  CHECK(post(R"({"metadata":{"name":"a","labels":{"x":1}}})").status == 400);
  CHECK(api.Call("POST", kConfigMaps, "x", "application/vnd.kubernetes.protobuf").status == 415);
  CHECK(api.Call("POST", std::string(kConfigMaps) + "/a", "{}").status == 405);
  CHECK(api.Call("POST", "/api/v1/namespaces/nowhere/configmaps", ConfigMapText("a")).status ==
        404);
  CHECK(post("{}").At({"reason"}) == "Invalid");
}

TEST_CASE("what is invalid is refused with the field and the reason") {
  LocalApi api;
  const Reply negative = api.Call("POST", kDeployments, DeploymentBody("a", -1));
  CHECK(negative.status == 422);
  CHECK(negative.At({"message"}) ==
        "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than "
        "or equal to 0");
  CHECK(TextAt(ArrayAt(negative.json(), {"details", "causes"})[0], {"field"}) == "spec.replicas");
  const Reply bare = api.Call("POST", kDeployments, R"({"metadata":{"name":"a"},"spec":{}})");
  CHECK(bare.At({"message"}).find("spec.selector: Required value") != std::string::npos);
  const Reply service = api.Call("POST", "/api/v1/namespaces/default/services",
                                 R"({"metadata":{"name":"a"},"spec":{}})");
  CHECK(service.At({"message"}) == "Service \"a\" is invalid: spec.ports: Required value");
  CHECK(api.Get(std::string(kDeployments) + "/a").status == 404);
}

TEST_CASE("a Service gets an address and its defaults") {
  LocalApi api;
  const Reply made = api.Call("POST", "/api/v1/namespaces/default/services",
                              R"({"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}})");
  CHECK(made.At({"spec", "type"}) == "ClusterIP");
  CHECK(made.At({"spec", "clusterIP"}).starts_with("10.96."));
  const Json port = ArrayAt(made.json(), {"spec", "ports"})[0];
  CHECK(NumberAt(port, {"targetPort"}) == 80);
  CHECK(TextAt(port, {"protocol"}) == "TCP");
  // The address stays when somebody replaces the rest.
  const Reply again = api.Call("PUT", "/api/v1/namespaces/default/services/a",
                               R"({"metadata":{"name":"a"},"spec":{"ports":[{"port":81}]}})");
  CHECK(again.At({"spec", "clusterIP"}) == made.At({"spec", "clusterIP"}));
}

TEST_CASE("scale is read and written through its subresource") {
  LocalApi api;
  REQUIRE(api.Call("POST", kDeployments, DeploymentBody("web", 0)).status == 201);
  const std::string path = std::string(kDeployments) + "/web/scale";
  const Reply sleeping = api.Get(path);
  CHECK(sleeping.At({"kind"}) == "Scale");
  CHECK(Find(sleeping.json(), {"spec", "replicas"}) == nullptr);  // Zero is left out.
  CHECK(sleeping.At({"status", "selector"}) == "app=web");
  const Reply woken = api.Merge(path, R"({"metadata":{"resourceVersion":")" + sleeping.version() +
                                          R"("},"spec":{"replicas":2}})");
  CHECK(woken.status == 200);
  CHECK(NumberAt(woken.json(), {"spec", "replicas"}) == 2);
  const Reply late = api.Merge(path, R"({"metadata":{"resourceVersion":")" + sleeping.version() +
                                         R"("},"spec":{"replicas":7}})");
  CHECK(late.status == 409);
  CHECK(late.At({"message"}).find("deployments.apps \"web\"") != std::string::npos);
  CHECK(NumberAt(api.Get(std::string(kDeployments) + "/web").json(), {"spec", "replicas"}) == 2);
  CHECK(api.Merge(path, R"({"spec":{"replicas":-3}})").status == 422);
  Json put = api.Get(path).json();
  Ensure(put, {"spec", "replicas"}) = 5;
  CHECK(NumberAt(api.Call("PUT", path, JsonText(put)).json(), {"spec", "replicas"}) == 5);
  CHECK(api.Merge(std::string(kDeployments) + "/none/scale", R"({"spec":{}})").status == 404);
  CHECK(api.Get(std::string(kConfigMaps) + "/a/scale").status == 404);
}

TEST_CASE("status is written through its subresource only") {
  LocalApi api;
  const std::string path = "/api/v1/namespaces/default/services/a";
  REQUIRE(api.Call("POST", "/api/v1/namespaces/default/services",
                   R"({"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}})")
              .status == 201);
  CHECK(Find(api.Merge(path, R"({"status":{"x":1}})").json(), {"status", "x"}) == nullptr);
  const Reply status =
      api.Merge(path + "/status", R"({"status":{"x":1},"spec":{"type":"NodePort"}})");
  CHECK(NumberAt(status.json(), {"status", "x"}) == 1);
  CHECK(status.At({"spec", "type"}) == "ClusterIP");
}

TEST_CASE("every kind of patch is understood, and a bad one refused") {
  LocalApi api;
  REQUIRE(api.Call("POST", kConfigMaps, ConfigMapText("a")).status == 201);
  const std::string path = std::string(kConfigMaps) + "/a";
  const auto patch = [&](const char* type, const char* body) {
    return api.Call("PATCH", path, body, std::string("application/") + type);
  };
  CHECK(patch("json-patch+json", R"([{"op":"add","path":"/data","value":{"a":"1"}}])")
            .At({"data", "a"}) == "1");
  const Reply test = patch("json-patch+json", R"([{"op":"test","path":"/data/a","value":"2"}])");
  CHECK(test.status == 422);
  CHECK(test.At({"message"}).find("testing path /data/a failed") != std::string::npos);
  CHECK(patch("strategic-merge-patch+json", R"({"data":{"b":"2"}})").At({"data", "b"}) == "2");
  CHECK(patch("json-patch+json", R"({"op":"add"})").status == 400);
  CHECK(patch("merge-patch+json", "[1]").status == 400);
  CHECK(patch("something+json", "{}").status == 415);
  // Apply creates what is not there, from YAML.
  const Reply applied = api.Call("PATCH", std::string(kConfigMaps) + "/new?fieldManager=t",
                                 "apiVersion: v1\nkind: ConfigMap\ndata: {k: \"1\"}\n",
                                 "application/apply-patch+yaml");
  CHECK(applied.status == 201);
  CHECK(applied.At({"data", "k"}) == "1");
}

TEST_CASE("a lease needs a version to be replaced") {
  LocalApi api;
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
  const Reply made = api.Call(
      "POST", leases,
      R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"a","leaseDurationSeconds":15}})");
  REQUIRE(made.status == 201);
  Json body = made.json();
  Ensure(body, {"spec", "holderIdentity"}) = "b";
  CHECK(api.Call("PUT", leases + "/l", JsonText(body)).status == 200);
  CHECK(api.Call("PUT", leases + "/l", JsonText(body)).status == 409);
  Erase(body, {"metadata", "resourceVersion"});
  CHECK(api.Call("PUT", leases + "/l", JsonText(body)).status == 422);
  Ensure(body, {"spec", "leaseDurationSeconds"}) = 0;
  Erase(body, {"metadata"});
  Ensure(body, {"metadata", "name"}) = "m";
  CHECK(api.Call("POST", leases, JsonText(body)).status == 422);
}

TEST_CASE("a token is asked for where one is set, and reviewed") {
  LocalClusterOptions options;
  options.api.tokens["sesame"] = "someone";
  LocalApi api(std::move(options));
  const Reply refused = api.Get(kConfigMaps);
  CHECK(refused.status == 401);
  CHECK(refused.At({"reason"}) == "Unauthorized");
  CHECK(api.Call("POST", "/rouse.local/faults", "{}").status == 401);
  CHECK(api.Get("/readyz").status == 200);
  api.token = "wrong";
  CHECK(api.Get(kConfigMaps).status == 401);
  api.token = "sesame";
  CHECK(api.Get(kConfigMaps).status == 200);
  const auto review = [&](const char* token) {
    return api.Call(
        "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
        std::string(R"({"spec":{"audiences":["rouse-autoscaler"],"token":")") + token + R"("}})");
  };
  CHECK(FlagAt(review("sesame").json(), {"status", "authenticated"}));
  CHECK(review("sesame").At({"status", "user", "username"}) == "someone");
  CHECK(ArrayAt(review("sesame").json(), {"status", "audiences"}).size() == 1);
  CHECK_FALSE(FlagAt(review("other").json(), {"status", "authenticated"}, true));
}

TEST_CASE("the API is served over TLS with a certificate made at start") {
  SteadyClock clock;
  const auto made = control::MakeSelfSigned({"localhost", "127.0.0.1"}, clock.wall());
  REQUIRE(made.ok());
  LocalClusterOptions options;
  options.api.tls = control::ServerTls{made->certificate_pem, made->key_pem, ""};
  LocalApi api(std::move(options));
  control::Origin origin = LocalApi::At(api.cluster->port());
  origin.tls = control::ClientTls{};
  origin.tls->ca_pem = made->ca_pem;
  api.client = api.network->NewClient(origin);
  CHECK(api.Get("/api").status == 200);
  const auto other = control::MakeSelfSigned({"127.0.0.1"}, clock.wall());
  origin.tls->ca_pem = other->ca_pem;
  api.client = api.network->NewClient(origin);
  CHECK_FALSE(api.Get("/api").end.ok());
}

TEST_CASE("a collection is deleted by selector") {
  LocalApi api;
  for (const char* name : {"a", "b", "c"}) {
    REQUIRE(api.Call("POST", kConfigMaps, ConfigMapText(name, name == std::string("c") ? "y" : "x"))
                .status == 201);
  }
  CHECK(api.Call("DELETE", std::string(kConfigMaps) + "?labelSelector=l%3Dx").status == 200);
  CHECK(api.Get(std::string(kConfigMaps) + "/a").status == 404);
  CHECK(api.Get(std::string(kConfigMaps) + "/c").status == 200);
}

TEST_CASE("an orphaning delete leaves the pods") {
  LocalApi api;
  REQUIRE(api.Call("POST", kDeployments, DeploymentBody("web", 1)).status == 201);
  ObjectStore& store = api.cluster->store();
  REQUIRE(api.Until([&] { return store.List(PodKind(), "default").size() == 1; }));
  CHECK(api.Call("DELETE", std::string(kDeployments) + "/web", R"({"propagationPolicy":"Orphan"})")
            .status == 200);
  CHECK(api.Get(kDeployments).status == 200);
  CHECK(store.List(PodKind(), "default").size() == 1);
}

}  // namespace
}  // namespace rouse::k8s::local
