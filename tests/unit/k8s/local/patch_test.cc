#include "k8s/local/patch.h"

#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

struct Row {
  const char* before;
  const char* patch;
  const char* after;
};

TEST_CASE("a merge patch does what the examples of RFC 7386 say") {
  // Appendix A, inside an object because documents here are objects.
  const Row row = GENERATE(values<Row>({
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  }));
  Json target = Parsed(row.before);
  MergePatch(target, Parsed(row.patch));
  INFO(row.patch);
  CHECK(target == Parsed(row.after));
}

TEST_CASE("a strategic merge patch joins lists of named things by their names") {
  Json target = Parsed(R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},
                          {"name":"b"}],"args":["x"]})");
  StrategicMergePatch(target,
                      Parsed(R"({"containers":[{"name":"a","env":[{"name":"Y","value":"2"}]},
      {"name":"b","$patch":"delete"},{"name":"c"}],"args":["y"],
      "$setElementOrder/containers":[]})"));
  CHECK(target == Parsed(R"({"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"},
      {"name":"Y","value":"2"}]},{"name":"c"}],"args":["y"]})"));
}

TEST_CASE("JSON patch operations do what RFC 6902 says") {
  const Row row = GENERATE(values<Row>({
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":1,"b":2})", R"([{"op":"remove","path":"/b"}])", R"({"a":1})"},
      {R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/1"}])", R"({"a":[1,3]})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/a","value":null}])", R"({"a":null})"},
      {R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])",
       R"({"a":{},"c":{"d":1}})"},
      {R"({"a":[1,2,3]})", R"([{"op":"move","from":"/a/0","path":"/a/2"}])", R"({"a":[2,3,1]})"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])",
       R"({"a":{"b":1},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1},{"op":"add","path":"/b","value":2}])",
       R"({"a":1,"b":2})"},
      {R"({"m~n":1,"x/y":2})", R"([{"op":"remove","path":"/m~0n"},{"op":"remove","path":"/x~1y"}])",
       R"({})"},
      {R"({"a":1})", R"([{"op":"add","path":"","value":{"z":1}}])", R"({"z":1})"},
  }));
  Json target = Parsed(row.before);
  INFO(row.patch);
  const absl::Status status = JsonPatch(target, Parsed(row.patch));
  CHECK(status.ok());
  CHECK(target == Parsed(row.after));
}

TEST_CASE("a JSON patch that does not fit is refused, a malformed one otherwise") {
  const auto code = [](const char* patch) {
    Json target = Parsed(R"({"a":1,"l":[1]})");
    return JsonPatch(target, Parsed(patch)).code();
  };
  using absl::StatusCode;
  CHECK(code(R"([{"op":"test","path":"/a","value":2}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"remove","path":"/x"}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"replace","path":"/x","value":1}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"add","path":"/l/5","value":1}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"add","path":"/l/01","value":1}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"add","path":"/x/y","value":1}])") == StatusCode::kFailedPrecondition);
  CHECK(code(R"([{"op":"add","path":"a","value":1}])") == StatusCode::kInvalidArgument);
  CHECK(code(R"([{"op":"add","path":"/a"}])") == StatusCode::kInvalidArgument);
  CHECK(code(R"([{"op":"jump","path":"/a","value":1}])") == StatusCode::kInvalidArgument);
  CHECK(code(R"([{"op":"move","from":"/l","path":"/l/0"}])") == StatusCode::kInvalidArgument);
  CHECK(code(R"({"op":"add"})") == StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rouse::k8s::local
