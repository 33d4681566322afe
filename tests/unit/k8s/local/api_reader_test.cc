#include "k8s/local/api_reader.h"

#include <set>

#include "tests/unit/k8s/local/local_api.h"

namespace rouse::k8s::local {
namespace {

using Reply = LocalApi::Reply;

struct Filled : LocalApi {
  Filled() {
    for (int i = 0; i < 7; ++i) {
      Add("m" + std::to_string(i), i % 2 == 0 ? "even" : "odd");
    }
  }
  void Add(const std::string& name, const std::string& label = "x") {
    REQUIRE(Call("POST", kConfigMaps, ConfigMapText(name, label)).status == 201);
  }
  static std::string Names(const Reply& reply) {
    std::string names;
    const Json list = reply.json();
    for (const Json& item : ArrayAt(list, {"items"})) {
      names += TextAt(item, {"metadata", "name"}) + " ";
    }
    return names;
  }
  Reply List(const std::string& query) { return Get(kConfigMaps + ("?" + query)); }
};

TEST_CASE("a list has its kind, its version and all items in order") {
  Filled api;
  const Reply all = api.List("");
  CHECK(all.At({"kind"}) == "ConfigMapList");
  CHECK(all.At({"apiVersion"}) == "v1");
  CHECK(all.version() == std::to_string(api.cluster->store().version()));
  CHECK(Filled::Names(all) == "m0 m1 m2 m3 m4 m5 m6 ");
  CHECK(Filled::Names(api.List("labelSelector=l%3Dodd")) == "m1 m3 m5 ");
  CHECK(Filled::Names(api.List("labelSelector=l+in+(even)&fieldSelector=metadata.name!=m0")) ==
        "m2 m4 m6 ");
  CHECK(Filled::Names(api.Get("/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault")) ==
        "m0 m1 m2 m3 m4 m5 m6 ");
  CHECK(api.List("labelSelector=%3D%3D").status == 400);
  CHECK(api.List("fieldSelector=spec.x%3Dy").status == 400);
}

TEST_CASE("the pages of a list show one version, whatever happens in between") {
  Filled api;
  const Reply first = api.List("limit=3");
  CHECK(Filled::Names(first) == "m0 m1 m2 ");
  CHECK(NumberAt(first.json(), {"metadata", "remainingItemCount"}) == 4);
  api.Add("m2b");
  REQUIRE(api.Call("DELETE", std::string(kConfigMaps) + "/m5").status == 200);
  const Reply second = api.List("limit=3&continue=" + first.At({"metadata", "continue"}));
  CHECK(Filled::Names(second) == "m3 m4 m5 ");
  CHECK(second.version() == first.version());
  const Reply third = api.List("limit=3&continue=" + second.At({"metadata", "continue"}));
  CHECK(Filled::Names(third) == "m6 ");
  CHECK(third.At({"metadata", "continue"}).empty());
  CHECK(api.List("limit=3&continue=nonsense").status == 400);
}

TEST_CASE("a page whose history is forgotten answers 410") {
  Filled api;
  const Reply first = api.List("limit=3");
  api.cluster->store().Compact();
  const Reply second = api.List("limit=3&continue=" + first.At({"metadata", "continue"}));
  CHECK(second.status == 410);
  CHECK(second.At({"reason"}) == "Expired");
}

TEST_CASE(
    "a list at version 0 knows no pages, one from the future is too large, one exact too old") {
  Filled api;
  CHECK(Filled::Names(api.List("limit=2&resourceVersion=0")) == "m0 m1 m2 m3 m4 m5 m6 ");
  const Reply future = api.List("resourceVersion=99999999");
  CHECK(future.status == 504);
  CHECK(future.At({"message"}).starts_with("Timeout: Too large resource version: 99999999"));
  CHECK(TextAt(ArrayAt(future.json(), {"details", "causes"})[0], {"reason"}) ==
        "ResourceVersionTooLarge");
  CHECK(api.List("resourceVersion=2").status == 200);
  CHECK(api.List("resourceVersion=2&resourceVersionMatch=Exact").status == 410);
  CHECK(api.List("resourceVersion=abc").status == 400);
}

}  // namespace
}  // namespace rouse::k8s::local
