// The small pure units: kinds, paths, errors, manifests, admission, scale, discovery, tables.
#include "k8s/local/admit.h"
#include "k8s/local/api_error.h"
#include "k8s/local/api_target.h"
#include "k8s/local/api_writer.h"
#include "k8s/local/columns.h"
#include "k8s/local/discovery.h"
#include "k8s/local/event_writer.h"
#include "k8s/local/kind_feed.h"
#include "k8s/local/manifest.h"
#include "k8s/local/pod_facts.h"
#include "k8s/local/resource_kind.h"
#include "k8s/local/scale.h"
#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

TEST_CASE("kinds are found by path, by kind and by what people type") {
  CHECK(FindKind("apps", "v1", "deployments") == &DeploymentKind());
  CHECK(FindKind("apps", "v1beta1", "deployments") == nullptr);
  CHECK(FindKindOf("v1", "Pod") == &PodKind());
  for (const char* word :
       {"deployments", "deployment", "Deployment", "deploy", "deployments.apps"}) {
    CHECK(FindKindTyped(word) == &DeploymentKind());
  }
  CHECK(FindKindTyped("") == nullptr);
  CHECK(FindKindTyped("rockets") == nullptr);
}

struct TargetRow {
  const char* target;
  const char* meaning;  ///< plural ns/name/subresource, or -
};

TEST_CASE("paths mean what they mean to the API") {
  const TargetRow row = GENERATE(values<TargetRow>({
      {"/api/v1/pods", "pods //"},
      {"/api/v1/namespaces", "namespaces //"},
      {"/api/v1/namespaces/a", "namespaces /a/"},
      {"/api/v1/namespaces/a/status", "namespaces /a/status"},
      {"/api/v1/namespaces/a/pods", "pods a//"},
      {"/api/v1/namespaces/a/pods/p%2Dq", "pods a/p-q/"},
      {"/api/v1/namespaces/a/pods/p/log?tailLines=3", "pods a/p/log"},
      {"/apis/apps/v1/namespaces/a/deployments/d/scale", "deployments a/d/scale"},
      {"/apis/apps/v1/deployments/d", "-"},
      {"/apis/apps/v1/namespaces/a/deployments/d/scale/x", "-"},
      {"/apis/other/v1/things", "-"},
      {"/api/v1", "-"},
      {"/", "-"},
      {"//", "-"},
  }));
  INFO(row.target);
  const ApiTarget target = ApiTarget::Parse(row.target);
  const std::string meaning = target.kind == nullptr
                                  ? "-"
                                  : std::string(target.kind->plural) + " " + target.ns + "/" +
                                        target.name + "/" + target.subresource;
  CHECK(meaning == row.meaning);
}

TEST_CASE("query parameters are decoded") {
  const ApiTarget target =
      ApiTarget::Parse("/api/v1/pods?labelSelector=a%3Db+c&watch=true&limit=7&x&%zz");
  CHECK(target.Query("labelSelector") == "a=b c");
  CHECK(target.QueryFlag("watch"));
  CHECK(target.QueryNumber("limit") == 7);
  CHECK_FALSE(target.QueryNumber("labelSelector").has_value());
  CHECK(target.Query("%zz").empty());
  CHECK(PercentDecoded(PercentEncoded("a b/ü=&"), true) == "a b/ü=&");
}

TEST_CASE("an error is a Status object") {
  ApiError error = Invalid(
      DeploymentKind(), "d",
      {{"FieldValueInvalid", "bad", "spec.a"}, {"FieldValueRequired", "Required value", "spec.b"}});
  const Json status = Parsed(error.StatusText());
  CHECK(TextAt(status, {"kind"}) == "Status");
  CHECK(TextAt(status, {"status"}) == "Failure");
  CHECK(NumberAt(status, {"code"}) == 422);
  CHECK(TextAt(status, {"message"}) ==
        "Deployment.apps \"d\" is invalid: [spec.a: bad, spec.b: Required value]");
  CHECK(TextAt(status, {"details", "group"}) == "apps");
  CHECK(ArrayAt(status, {"details", "causes"}).size() == 2);
  const ApiReply reply = ApiReply::Failed(ErrorOfCode(429, 2));
  CHECK(control::FindHeader(reply.headers, "retry-after") == "2");
  for (int code : {401, 403, 409, 410, 429, 500, 503, 504})
    CHECK(ErrorOfCode(code, 0).code == code);
}

TEST_CASE("a manifest is read as YAML means it") {
  const auto objects = ParseManifest(R"(
# nothing before
kind: A
n: 5
big: 4000000000
r: 1.5
yes: true
text: "5"
none:
tilde: ~
list: [1, a, 'true']
anchor: &x {k: v}
alias: *x
multi: |
  one
  two
---
---
kind: BList
items: [{kind: B}, {kind: C}]
)");
  REQUIRE(objects.ok());
  REQUIRE(objects->size() == 3);
  const Json& a = (*objects)[0];
  CHECK(NumberAt(a, {"n"}) == 5);
  CHECK(NumberAt(a, {"big"}) == 4000000000);
  CHECK(FlagAt(a, {"yes"}));
  CHECK(TextAt(a, {"text"}) == "5");
  CHECK(Find(a, {"none"}) == nullptr);
  CHECK(Find(a, {"tilde"}) == nullptr);
  CHECK(TextAt(ArrayAt(a, {"list"})[2], {}) == "true");
  CHECK(TextAt(a, {"alias", "k"}) == "v");
  CHECK(TextAt(a, {"multi"}) == "one\ntwo\n");
  CHECK(TextAt((*objects)[2], {"kind"}) == "C");
}

TEST_CASE("a manifest that is wrong names its line") {
  const auto wrong = [](const std::string& text) {
    const auto objects = ParseManifest(text);
    REQUIRE_FALSE(objects.ok());
    return std::string(objects.status().message());
  };
  CHECK(wrong("a: 1\nb: [").find("line") == 0);
  CHECK(wrong("a: 1\na: 2").find("line 2: key \"a\" appears twice") == 0);
  CHECK(wrong("- a\n- b").find("not an object") != std::string::npos);
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i)
      bomb += (i > 0 ? ",*" : "*") + std::string(1, static_cast<char>(c - 1));
    bomb += "]\n";
  }
  CHECK(wrong(bomb).find("too large") != std::string::npos);
  // The bound is that of the text, however many documents it has.
  std::string bombs;
  const std::string piece(1000, 'x');
  for (int i = 0; i < 30; ++i) {
    bombs += "a: &a [" + piece + "]\nb:\n";
    for (int n = 0; n < 200; ++n) bombs += "- *a\n";
    bombs += "---\n";
  }
  CHECK(wrong(bombs).find("too large") != std::string::npos);
}

TEST_CASE("defaults are filled in once and twice the same") {
  Json pod = Parsed(R"({"spec":{"containers":[{"name":"c","ports":[{"containerPort":1}],
      "readinessProbe":{"httpGet":{"port":1}}}]}})");
  FillDefaults(PodKind(), pod);
  CHECK(NumberAt(pod, {"spec", "terminationGracePeriodSeconds"}) == 30);
  const Json probe = *Find(ArrayAt(pod, {"spec", "containers"})[0], {"readinessProbe"});
  CHECK(NumberAt(probe, {"periodSeconds"}) == 10);
  CHECK(NumberAt(probe, {"failureThreshold"}) == 3);
  CHECK(TextAt(probe, {"httpGet", "path"}) == "/");
  const Json once = pod;
  FillDefaults(PodKind(), pod);
  CHECK(pod == once);
}

TEST_CASE("an immutable selector stays") {
  const Json before =
      Parsed(R"({"metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},
      "template":{"metadata":{"labels":{"a":"b","c":"d"}},
      "spec":{"containers":[{"name":"c"}]}}}})");
  Json after = before;
  CHECK(CheckObject(DeploymentKind(), after, &before).ok());
  Ensure(after, {"spec", "selector", "matchLabels", "c"}) = "d";
  CHECK(CheckObject(DeploymentKind(), after, nullptr).ok());
  CHECK(CheckObject(DeploymentKind(), after, &before).message.find("field is immutable") !=
        std::string::npos);
  Ensure(after, {"spec", "selector", "matchLabels", "c"}) = "other";
  CHECK(CheckObject(DeploymentKind(), after, nullptr)
            .message.find("`selector` does not match template `labels`") != std::string::npos);
}

TEST_CASE("slices, leases and pods are checked where they matter") {
  const auto code = [](const ResourceKind& kind, const char* text) {
    return CheckObject(kind, Parsed(text), nullptr).code;
  };
  CHECK(code(EndpointSliceKind(),
             R"({"addressType":"IPv4","endpoints":[{"addresses":["1.2.3.4"]}]})") == 0);
  CHECK(code(EndpointSliceKind(), R"({"addressType":"IPX"})") == 422);
  CHECK(code(EndpointSliceKind(), R"({})") == 422);
  CHECK(code(EndpointSliceKind(), R"({"addressType":"IPv4","endpoints":[{"addresses":[]}]})") ==
        422);
  CHECK(code(PodKind(), R"({"spec":{"containers":[]}})") == 422);
  CHECK(code(PodKind(), R"({"spec":{"containers":[{"name":"a","env":[{"value":"x"}]}]}})") == 422);
  CHECK(code(PodKind(),
             R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":70000}]}]}})") == 422);
  CHECK(code(ServiceKind(), R"({"spec":{"ports":[{"port":1},{"port":2}]}})") == 422);
  CHECK(code(ConfigMapKind(), R"({"metadata":{"annotations":{"a":true}}})") == 400);
}

TEST_CASE("a port in a probe or a Service is the pod's own PORT where it is the first declared") {
  const Json pod =
      Parsed(R"({"spec":{"containers":[{"name":"a","ports":[{"name":"http","containerPort":8080},
      {"name":"admin","containerPort":9000}]},{"name":"b","ports":[{"name":"side",
      "containerPort":7000}]}]}})");
  const Json bare = Parsed(R"({"spec":{"containers":[{"name":"a"}]}})");
  CHECK(PodPort(pod, "http", 20001) == 20001);
  CHECK(PodPort(pod, "8080", 20001) == 20001);
  CHECK(PodPort(pod, "8080", std::nullopt) == 8080);
  CHECK(PodPort(pod, "admin", 20001) == 9000);
  CHECK(PodPort(pod, "side", 20001) == 7000);
  CHECK(PodPort(pod, "1234", 20001) == 1234);
  CHECK_FALSE(PodPort(pod, "nothing", 20001).has_value());
  CHECK(PodPort(bare, "8080", 20001) == 20001);
  CHECK_FALSE(PodPort(pod, "0", std::nullopt).has_value());
}

TEST_CASE("scale shows and writes the count") {
  StoreFixture f;
  const ObjectRef web = f.Add(DeploymentKind(), R"({"metadata":{"name":"web"},"spec":{"replicas":2,
      "selector":{"matchLabels":{"a":"b"}}},"status":{"replicas":1}})");
  const Json scale = ScaleOf(*web);
  CHECK(NumberAt(scale, {"spec", "replicas"}) == 2);
  CHECK(NumberAt(scale, {"status", "replicas"}) == 1);
  CHECK(WriteScale(f.store, *web, Parsed(R"({"spec":{"replicas":3}})")).ok());
  CHECK(WriteScale(f.store, *web, scale).error().code == 409);
  CHECK(WriteScale(f.store, *web, Parsed(R"({"metadata":{"name":"other"}})")).error().code == 400);
  // An absent count is zero.
  CHECK(NumberAt(*(*WriteScale(f.store, *web, Parsed("{}")))->json, {"spec", "replicas"}) == 0);
}

TEST_CASE("discovery knows every kind of the table") {
  for (const ResourceKind& kind : AllKinds()) {
    const std::string path = kind.group.empty() ? "/api/v1" : "/apis/" + kind.api_version();
    const auto text = DiscoveryText(path);
    REQUIRE(text.has_value());
    CHECK(text->find("\"name\":\"" + std::string(kind.plural) + "\"") != std::string::npos);
  }
  CHECK_FALSE(DiscoveryText("/apis/apps/v2").has_value());
  CHECK_FALSE(DiscoveryText("/nothing").has_value());
}

TEST_CASE("the same remark about the same object is one Event that counts") {
  StoreFixture f;
  const ObjectRef pod = f.Add(PodKind(), R"({"metadata":{"name":"p"}})");
  EventWriter events(f.store, "tester");
  events.Warning(*pod, "Bad", "it is bad");
  events.Warning(*pod, "Bad", "it is bad");
  events.Normal(*pod, "Good", "it is good");
  const std::vector<ObjectRef> all = f.store.List(EventKind(), "default");
  REQUIRE(all.size() == 2);
  const Json& bad = TextAt(*all[0]->json, {"reason"}) == "Bad" ? *all[0]->json : *all[1]->json;
  CHECK(NumberAt(bad, {"count"}) == 2);
  CHECK(TextAt(bad, {"type"}) == "Warning");
  CHECK(TextAt(bad, {"involvedObject", "uid"}) == pod->uid);
}

TEST_CASE("a feed shows what is there, then what comes") {
  StoreFixture f;
  f.Add(PodKind(), R"({"metadata":{"name":"a"}})");
  std::string seen;
  const KindFeed feed(f.store, PodKind(),
                      [&](const Change& change) { seen += change.object->key.name; });
  CHECK(seen == "a");
  f.Add(PodKind(), R"({"metadata":{"name":"b"}})");
  CHECK(seen == "a");
  f.Settle();
  CHECK(seen == "ab");
}

TEST_CASE("ages are short") {
  using std::chrono::hours;
  using std::chrono::minutes;
  using std::chrono::seconds;
  CHECK(AgeText(seconds(5)) == "5s");
  CHECK(AgeText(seconds(119)) == "119s");
  CHECK(AgeText(seconds(190)) == "3m10s");
  CHECK(AgeText(minutes(12)) == "12m");
  CHECK(AgeText(minutes(245)) == "4h5m");
  CHECK(AgeText(hours(30)) == "30h");
  CHECK(AgeText(hours(51)) == "2d3h");
  CHECK(AgeText(hours(24 * 20)) == "20d");
  CHECK(AgeText(seconds(-3)) == "0s");
}

TEST_CASE("tables are aligned and carry kubectl's columns") {
  const JsonArray pods{Parsed(R"({"metadata":{"name":"p","creationTimestamp":"2026-01-01T00:00:00Z",
      "annotations":{"local.rouse.dev/port":"20001"}},"spec":{"containers":[{"name":"c"}],
      "nodeName":"n"},
      "status":{"phase":"Running","podIP":"127.1.1.1","containerStatuses":[{"ready":true,
      "restartCount":2}]}})")};
  const WallTime now = *ParseTime("2026-01-01T00:01:00Z");
  CHECK(TableOf(PodKind(), pods, now, {.wide = true, .namespaces = false}) ==
        "NAME   READY   STATUS    RESTARTS   AGE   IP          PORT    NODE\n"
        "p      1/1     Running   2          60s   127.1.1.1   20001   n\n");
  CHECK(TableOf(PodKind(), {}, now, {}).empty());
}

TEST_CASE("times are written and read as the API writes them") {
  const WallTime time = *ParseTime("2026-02-03T04:05:06.789Z");
  CHECK(TimeText(time) == "2026-02-03T04:05:06Z");
  CHECK(MicroTimeText(time) == "2026-02-03T04:05:06.789000Z");
  CHECK_FALSE(ParseTime("yesterday").has_value());
  CHECK_FALSE(ParseTime("2026-02-03T04:05:06").has_value());
}

}  // namespace
}  // namespace rouse::k8s::local
