#include "k8s/local/selector.h"

#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

struct Row {
  const char* selector;
  bool matches;  ///< {app: web, tier: front}
};

TEST_CASE("label selectors match as Kubernetes matches them") {
  const Row row = GENERATE(values<Row>({
      {"", true},
      {"app=web", true},
      {"app==web", true},
      {"app = web", true},
      {"app!=web", false},
      {"app!=api", true},
      {"missing!=x", true},
      {"app=web,tier=front", true},
      {"app=web,tier=back", false},
      {"app in (web,api)", true},
      {"app in (api, db)", false},
      {"app notin (api,db)", true},
      {"app notin (web)", false},
      {"missing notin (x)", true},
      {"app", true},
      {"missing", false},
      {"!missing", true},
      {"!app", false},
      {"tier in (front),app in (web, api),!x", true},
  }));
  INFO(row.selector);
  const ApiResult<LabelSelector> selector = LabelSelector::Parse(row.selector);
  REQUIRE(selector.ok());
  const TextMap labels{{"app", "web"}, {"tier", "front"}};
  CHECK(selector->Matches(labels) == row.matches);
  const ApiResult<LabelSelector> again = LabelSelector::Parse(selector->text());
  REQUIRE(again.ok());
  CHECK(again->Matches(labels) == row.matches);
}

TEST_CASE("a label selector that cannot be read is a bad request") {
  for (const char* text : {"=a", "a in b", "a within (b)", "a,,b", "a b", "in (b)"}) {
    INFO(text);
    const ApiResult<LabelSelector> selector = LabelSelector::Parse(text);
    CHECK(selector.error().code == 400);
  }
  std::string many = "a";
  for (size_t i = 0; i < kRequirementsMax; ++i) many += ",a";
  CHECK_FALSE(LabelSelector::Parse(many).ok());
}

TEST_CASE("a Deployment's selector has labels and expressions") {
  const LabelSelector selector = LabelSelector::FromObject(Parsed(R"({"matchLabels":{"a":"1"},
      "matchExpressions":[{"key":"b","operator":"In","values":["2","3"]},
                          {"key":"c","operator":"DoesNotExist"}]})"));
  CHECK(selector.Matches({{"a", "1"}, {"b", "3"}}));
  CHECK_FALSE(selector.Matches({{"a", "1"}, {"b", "4"}}));
  CHECK_FALSE(selector.Matches({{"a", "1"}, {"b", "2"}, {"c", ""}}));
  CHECK(selector.text() == "a=1,b in (2,3),!c");
}

TEST_CASE("field selectors read the fields that a kind offers") {
  const Json pod =
      Parsed(R"({"metadata":{"name":"p","namespace":"n"},"status":{"phase":"Running"}})");
  const auto matches = [&](const char* text) {
    const ApiResult<FieldSelector> selector = FieldSelector::Parse(PodKind(), text);
    INFO(text);
    REQUIRE(selector.ok());
    return selector->Matches(pod);
  };
  CHECK(matches(""));
  CHECK(matches("metadata.name=p"));
  CHECK(matches("metadata.namespace=n,metadata.name==p"));
  CHECK_FALSE(matches("metadata.name!=p"));
  CHECK(matches("status.phase!=Failed"));
  CHECK(matches("spec.nodeName="));
  CHECK(FieldSelector::Parse(PodKind(), "spec.colour=red").error().message ==
        "field label not supported: spec.colour");
  CHECK_FALSE(FieldSelector::Parse(ServiceKind(), "status.phase=x").ok());
  CHECK_FALSE(FieldSelector::Parse(PodKind(), "metadata.name").ok());
}

}  // namespace
}  // namespace rouse::k8s::local
