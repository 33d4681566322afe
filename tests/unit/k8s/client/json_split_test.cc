#include "k8s/json_split.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::k8s {
namespace {

TEST_CASE("a list is split into its items without losing a byte of them") {
  const std::string body = R"( {"kind":"PodList","apiVersion":"v1",
    "metadata":{"resourceVersion":"42","continue":"next\"page","remainingItemCount":7},
    "items":[ {"a":"]}"} ,{"b":[1,{"c":"\\"}]},{}]} )";
  const absl::StatusOr<ListPage> page = SplitList(body);
  REQUIRE(page.ok());
  CHECK(page->resource_version == "42");
  CHECK(page->continue_token == "next\"page");
  REQUIRE(page->items.size() == 3);
  CHECK(page->items[0] == R"({"a":"]}"})");
  CHECK(page->items[1] == R"({"b":[1,{"c":"\\"}]})");
  CHECK(page->items[2] == "{}");
}

TEST_CASE("a list without items is empty") {
  for (const char* body : {R"({"metadata":{"resourceVersion":"1"},"items":[]})",
                           R"({"metadata":{"resourceVersion":"1"},"items":null})",
                           R"({"metadata":{"resourceVersion":"1"}})",
                           R"({"items":[ ],"metadata":{"resourceVersion":"1"}})"}) {
    CAPTURE(body);
    const absl::StatusOr<ListPage> page = SplitList(body);
    REQUIRE(page.ok());
    CHECK(page->items.empty());
    CHECK(page->resource_version == "1");
  }
}

TEST_CASE("what is not a list is refused") {
  for (const char* body :
       {"", "[]", "{", "null", R"({"items":[]})", R"({"metadata":{},"items":{}})",
        R"({"metadata":{},"items":[1,]})", R"({"metadata":{},"items":[{})", R"({"metadata":{}} x)",
        R"({"metadata":{"resourceVersion":5}})"}) {
    CAPTURE(body);
    CHECK_FALSE(SplitList(body).ok());
  }
}

TEST_CASE("a watch document is split into its type and its object") {
  const auto parts = SplitWatchDocument(R"({"type":"ADDED","object":{"x":{"type":"no"}}})");
  REQUIRE(parts.ok());
  CHECK(parts->type == "ADDED");
  CHECK(parts->object == R"({"x":{"type":"no"}})");
  const auto turned = SplitWatchDocument(R"({ "object" : {} , "type" : "DELETED" })");
  REQUIRE(turned.ok());
  CHECK(turned->type == "DELETED");
  for (const char* bad :
       {"{}", R"({"type":"ADDED"})", R"({"object":{}})", R"({"type":,"object":{}})"}) {
    CHECK_FALSE(SplitWatchDocument(bad).ok());
  }
}

TEST_CASE("random damage to a list never reaches outside the text") {
  const std::string body =
      R"({"metadata":{"resourceVersion":"42"},"items":[{"a":"\\]}"},{"b":[1,{"c":2}]}]})";
  Random random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = body.substr(0, random.Below(body.size() + 1));
    for (int i = 0; i < 2 && !damaged.empty(); ++i) {
      constexpr std::string_view kLetters = "{}[]\",:\\ a1";
      damaged[random.Below(damaged.size())] = kLetters[random.Below(kLetters.size())];
    }
    const absl::StatusOr<ListPage> page = SplitList(damaged);
    if (!page.ok()) continue;
    for (const std::string_view item : page->items) {
      REQUIRE(item.data() >= damaged.data());
      REQUIRE(item.data() + item.size() <= damaged.data() + damaged.size());
    }
  }
}

}  // namespace
}  // namespace rouse::k8s
