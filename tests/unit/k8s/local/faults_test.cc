#include "k8s/local/faults.h"

#include "tests/unit/k8s/local/local_api.h"

namespace rouse::k8s::local {
namespace {

using Reply = LocalApi::Reply;
constexpr const char* kPath = "/rouse.local/faults";

struct Faulty : LocalApi {
  Reply Fault(const char* spec) { return Call("POST", kPath, spec); }
  std::string version() { return Get(kConfigMaps).version(); }
  std::unique_ptr<Watch> Watching() {
    return Open(kConfigMaps + ("?watch=true&resourceVersion=" + version()));
  }
};

TEST_CASE("answers on demand come so many times, on their path, with Retry-After") {
  Faulty api;
  REQUIRE(
      api.Fault(R"({"answer":{"status":429,"retryAfter":3,"count":2,"path":"/api/v1"}})").status ==
      200);
  CHECK(api.Get("/apis/apps/v1/deployments").status == 200);
  const Reply refused = api.Get(kConfigMaps);
  CHECK(refused.status == 429);
  CHECK(refused.At({"reason"}) == "TooManyRequests");
  CHECK(NumberAt(refused.json(), {"details", "retryAfterSeconds"}) == 3);
  CHECK(control::FindHeader(refused.headers, "Retry-After") == "3");
  CHECK(api.Get(kConfigMaps).status == 429);
  CHECK(api.Get(kConfigMaps).status == 200);
}

TEST_CASE("streamed lists are refused or taken for ordinary watches on demand") {
  Faulty api;
  const std::string streamed =
      std::string(kConfigMaps) +
      "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1";
  api.Call("POST", kConfigMaps, ConfigMapText("a"));
  REQUIRE(api.Fault(R"({"streamedLists":"refuse"})").status == 200);
  CHECK(api.Open(streamed)->recorder.status == 422);
  REQUIRE(api.Fault(R"({"streamedLists":"ignore"})").status == 200);
  const auto ignored = api.Open(streamed);
  CHECK(api.Sees(*ignored, {"ADDED a"}));
  api.Call("POST", kConfigMaps, ConfigMapText("b"));
  CHECK(api.Sees(*ignored, {"ADDED a", "ADDED b"}));  // and no bookmark between
  CHECK(api.Call("DELETE", kPath).status == 200);
  const auto served = api.Open(streamed);
  CHECK(api.Sees(*served, {"ADDED a", "ADDED b", "BOOKMARK "}));
  CHECK(api.Fault(R"({"streamedLists":"no"})").status == 400);
}

TEST_CASE("faults last until they are cleared, and are shown") {
  Faulty api;
  REQUIRE(api.Fault(R"({"answer":{"status":500},"delay":{"duration":"1ms"}})").status == 200);
  CHECK(api.Get(kConfigMaps).status == 500);
  CHECK(api.Get(kPath).text.find(R"("status":500)") != std::string::npos);
  CHECK(api.Call("DELETE", kPath).status == 200);
  CHECK(api.Get(kConfigMaps).status == 200);
}

TEST_CASE("a delayed call is answered late") {
  Faulty api;
  REQUIRE(
      api.Fault(R"({"delay":{"duration":"120ms","path":"/api/v1/namespaces/default"}})").status ==
      200);
  const TimePoint begin = api.clock.now();
  CHECK(api.Get(kConfigMaps).status == 200);
  CHECK(api.clock.now() - begin >= std::chrono::milliseconds(120));
}

TEST_CASE("watches are cut without a clean end, once or again and again") {
  Faulty api;
  const auto watch = api.Watching();
  REQUIRE(api.Fault(R"({"cutWatches":true})").status == 200);
  REQUIRE(api.Until([&] { return watch->recorder.ended(); }));
  CHECK_FALSE(watch->recorder.end.ok());
  REQUIRE(api.Fault(R"({"cutWatchesEvery":"30ms"})").status == 200);
  for (int i = 0; i < 2; ++i) {
    const auto next = api.Watching();
    REQUIRE(api.Until([&] { return next->recorder.ended(); }));
    CHECK_FALSE(next->recorder.end.ok());
  }
}

TEST_CASE("forgotten history leaves open watches alone and refuses the next") {
  Faulty api;
  const std::string version = api.version();
  const auto open = api.Watching();
  REQUIRE(api.Fault(R"({"forgetHistory":true})").status == 200);
  REQUIRE(api.Call("POST", kConfigMaps, ConfigMapText("a")).status == 201);
  CHECK(api.Sees(*open, {"ADDED a"}));
  const auto late = api.Open(kConfigMaps + ("?watch=true&resourceVersion=" + version));
  REQUIRE(api.Until([&] { return late->recorder.ended(); }));
  CHECK(NumberAt(late->events().at(0), {"object", "code"}) == 410);
}

TEST_CASE("a silent server takes calls and answers nothing, and cuts them in the end") {
  Faulty api;
  const auto watch = api.Watching();
  REQUIRE(api.Fault(R"({"silent":{"duration":"200ms"}})").status == 200);
  REQUIRE(
      api.cluster->Apply(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}})").ok());
  const TimePoint begin = api.clock.now();
  // On a connection of its own: a call on a used one that is cut may be repeated by the client.
  api.client = api.network->NewClient(Faulty::At(api.cluster->port()));
  const Reply reply = api.Get(kConfigMaps);
  CHECK(reply.status == 0);
  CHECK_FALSE(reply.end.ok());
  CHECK(api.clock.now() - begin >= std::chrono::milliseconds(150));
  CHECK(watch->events().empty());
  REQUIRE(api.Until([&] { return watch->recorder.ended(); }));
  CHECK(api.Get(kConfigMaps).status == 200);
}

TEST_CASE("a server that is down refuses connections, then is back on its port") {
  Faulty api;
  const uint16_t port = api.cluster->port();
  REQUIRE(api.Fault(R"({"down":{"duration":"200ms"}})").status == 200);
  REQUIRE(api.Until([&] { return !api.Get("/readyz").end.ok(); }));
  REQUIRE(api.Until([&] { return api.Get("/readyz").status == 200; }));
  CHECK(api.cluster->port() == port);
}

TEST_CASE("a fault that is not understood is refused by name") {
  Faulty api;
  CHECK(api.Fault(R"({"explode":true})").At({"message"}) == "unknown fault \"explode\"");
  CHECK(api.Fault(R"({"answer":{"status":200}})").status == 400);
  CHECK(api.Fault(R"({"delay":{"duration":"soon"}})").status == 400);
  CHECK(api.Fault(R"({"silent":{}})").status == 400);
  CHECK(api.Fault(R"({"down":{"duration":"-1s"}})").status == 400);
  CHECK(api.Fault(R"({"cutWatchesEvery":"0s"})").status == 400);
  CHECK(api.Get(kConfigMaps).status == 200);
}

}  // namespace
}  // namespace rouse::k8s::local
