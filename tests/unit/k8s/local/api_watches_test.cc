#include "k8s/local/api_watches.h"

#include "tests/unit/k8s/local/local_api.h"

namespace rouse::k8s::local {
namespace {

using Lines = std::vector<std::string>;

struct Watching : LocalApi {
  explicit Watching(LocalClusterOptions options = {}) : LocalApi(std::move(options)) {}
  void Add(const std::string& name, const std::string& label = "x") {
    REQUIRE(Call("POST", kConfigMaps, ConfigMapText(name, label)).status == 201);
  }
  std::string version() { return Get(kConfigMaps).version(); }
  std::unique_ptr<Watch> From(const std::string& version, const std::string& more = {}) {
    return Open(kConfigMaps + ("?watch=true&resourceVersion=" + version + more));
  }
};

TEST_CASE("a watch from a list's version tells what happens after it") {
  Watching api;
  api.Add("a");
  const auto watch = api.From(api.version());
  api.Add("b");
  REQUIRE(api.Merge(std::string(kConfigMaps) + "/b", R"({"data":{"k":"v"}})").status == 200);
  REQUIRE(api.Call("DELETE", std::string(kConfigMaps) + "/a").status == 200);
  CHECK(api.Sees(*watch, {"ADDED b", "MODIFIED b", "DELETED a"}));
  CHECK(TextAt(watch->events()[1], {"object", "data", "k"}) == "v");
  CHECK(TextAt(watch->events()[1], {"object", "kind"}) == "ConfigMap");
}

TEST_CASE("a watch without a version begins with what is there") {
  Watching api;
  api.Add("a");
  const auto watch = api.Open(std::string(kConfigMaps) + "?watch=1");
  api.Add("b");
  CHECK(api.Sees(*watch, {"ADDED a", "ADDED b"}));
}

TEST_CASE("an object that comes to match a selector is added, one that ceases to is deleted") {
  Watching api;
  api.Add("a", "out");
  const auto watch = api.From(api.version(), "&labelSelector=l%3Din");
  const auto label = [&](const char* value) {
    REQUIRE(api.Merge(std::string(kConfigMaps) + "/a",
                      std::string(R"({"metadata":{"labels":{"l":")") + value + R"("}}})")
                .status == 200);
  };
  label("in");
  label("out");
  label("in");
  CHECK(api.Sees(*watch, {"ADDED a", "DELETED a", "ADDED a"}));
}

TEST_CASE("a watch of one object and of one namespace sees no others") {
  Watching api;
  const std::string version = api.version();
  const auto one = api.Open(std::string(kConfigMaps) + "/b?watch=true&resourceVersion=" + version);
  const auto other =
      api.Open("/api/v1/namespaces/kube-system/configmaps?watch=true&resourceVersion=" + version);
  api.Add("a");
  api.Add("b");
  REQUIRE(
      api.Call("POST", "/api/v1/namespaces/kube-system/configmaps", ConfigMapText("s")).status ==
      201);
  CHECK(api.Sees(*one, {"ADDED b"}));
  CHECK(api.Sees(*other, {"ADDED s"}));
}

TEST_CASE("a version that is forgotten gets an ERROR event with 410, and the end") {
  Watching api;
  api.Add("a");
  const std::string version = api.version();
  api.cluster->store().Compact();
  const auto watch = api.From(version);
  REQUIRE(api.Until([&] { return watch->recorder.ended(); }));
  REQUIRE(watch->events().size() == 1);
  CHECK(TextAt(watch->events()[0], {"type"}) == "ERROR");
  CHECK(NumberAt(watch->events()[0], {"object", "code"}) == 410);
  CHECK(TextAt(watch->events()[0], {"object", "reason"}) == "Expired");
  CHECK(watch->recorder.end.ok());
}

TEST_CASE("bookmarks come to those who allow them, with a version that has been told") {
  LocalClusterOptions options;
  options.api.watches.bookmark_interval = std::chrono::milliseconds(20);
  Watching api(std::move(options));
  const std::string version = api.version();
  const auto with = api.From(version, "&allowWatchBookmarks=true");
  const auto without = api.From(version);
  api.Add("a");
  REQUIRE(api.Until([&] {
    const auto events = with->events();
    return events.size() > 1 && TextAt(events.back(), {"type"}) == "BOOKMARK" &&
           TextAt(events.back(), {"object", "metadata", "resourceVersion"}) ==
               std::to_string(api.cluster->store().version());
  }));
  CHECK(TextAt(with->events().back(), {"object", "kind"}) == "ConfigMap");
  CHECK(without->Lines() == Lines{"ADDED a"});
}

TEST_CASE("a watch ends in good order at its timeout") {
  Watching api;
  const auto watch = api.From(api.version(), "&timeoutSeconds=1");
  REQUIRE(api.Until([&] { return watch->recorder.ended(); }));
  CHECK(watch->recorder.status == 200);
  CHECK(watch->recorder.end.ok());
  CHECK(api.cluster->server().open_watches() == 0);
}

TEST_CASE("a streamed list ends with the bookmark that says so") {
  Watching api;
  api.Add("a");
  const auto watch = api.Open(std::string(kConfigMaps) +
                              "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&"
                              "resourceVersionMatch=NotOlderThan");
  REQUIRE(api.Until([&] { return watch->events().size() == 2; }));
  CHECK(TextAt(watch->events()[0], {"type"}) == "ADDED");
  CHECK(TextAt(watch->events()[1],
               {"object", "metadata", "annotations", "k8s.io/initial-events-end"}) == "true");
  CHECK(
      api.Open(std::string(kConfigMaps) + "?watch=true&sendInitialEvents=true")->recorder.status ==
      400);
}

TEST_CASE("a large list is streamed whole") {
  Watching api;
  const std::string data(200'000, 'x');
  for (int i = 0; i < 30; ++i) {
    const std::string name = "large-" + std::to_string(i);
    REQUIRE(api.Call("POST", kConfigMaps,
                     R"({"metadata":{"name":")" + name + R"("},"data":{"k":")" + data + R"("}})")
                .status == 201);
  }
  const auto watch = api.Open(std::string(kConfigMaps) +
                              "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&"
                              "resourceVersionMatch=NotOlderThan");
  REQUIRE(api.Until(
      [&] { return watch->recorder.ended() || watch->recorder.body.ends_with("\"true\"}}}}\n"); }));
  CHECK_FALSE(watch->recorder.ended());
  CHECK(watch->events().size() == 31);
}

TEST_CASE("a client that leaves is forgotten") {
  Watching api;
  auto watch = api.From(api.version());
  CHECK(api.cluster->server().open_watches() == 1);
  watch.reset();
  CHECK(api.Until([&] { return api.cluster->server().open_watches() == 0; }));
}

}  // namespace
}  // namespace rouse::k8s::local
