#include "common/app/config_node.h"

#include <catch2/catch.hpp>

namespace rouse::app {
namespace {

TEST_CASE("a file becomes a tree whose nodes know their lines") {
  const auto root = ParseConfig(
      "listeners: [{address: \"0.0.0.0:8080\"}]\n"
      "\n"
      "workloads:\n"
      "- name: ns/fn\n"
      "  hold_timeout: 60s\n"
      "empty:\n",
      "proxy.yaml");
  REQUIRE(root.ok());
  REQUIRE(root->is_map());
  REQUIRE(root->Find("listeners")->is_list());
  CHECK(root->Find("listeners")->items[0].Find("address")->text == "0.0.0.0:8080");
  const ConfigNode& workload = root->Find("workloads")->items.at(0);
  CHECK(workload.entries[1].key == "hold_timeout");
  CHECK(workload.entries[1].line == 5);
  CHECK(workload.Find("hold_timeout")->line == 5);
  CHECK(workload.Find("nothing") == nullptr);
  CHECK(root->Find("empty")->kind == ConfigNode::Kind::kNull);
  CHECK(workload.Find("name")->Error("no such thing").message() == "proxy.yaml:4: no such thing");
}

TEST_CASE("unknown keys are named with their line and the nearest known key") {
  const auto root = ParseConfig("name: a\nendpionts: []\n", "f");
  REQUIRE(root.ok());
  CHECK(root->CheckKeys({"name", "endpionts"}).ok());
  CHECK(root->CheckKeys({"name", "endpoints"}).message() ==
        "f:2: unknown key \"endpionts\"; did you mean \"endpoints\"?");
  CHECK(root->CheckKeys({"name", "hosts"}).message() == "f:2: unknown key \"endpionts\"");
  CHECK(root->Find("name")->CheckKeys({"x"}).message() == "f:1: expected keys with values");
}

TEST_CASE("what cannot be a configuration is refused, not followed") {
  CHECK(absl::IsInvalidArgument(ParseConfig("a: [", "f").status()));
  CHECK(ParseConfig("a: 1\na: 2", "f").status().message() == "f:2: key \"a\" comes twice");
  CHECK(ParseConfig("? [a, b]\n: 1\n", "f").status().message() == "f:1: a key must be plain text");
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "[";
  CHECK(ParseConfig(deep + std::string(40, ']'), "f").status().message() ==
        "f:1: nested too deeply");
  CHECK_FALSE(ParseConfig("a: &x [*x]", "f").ok());
  CHECK(ReadConfig("/no/such/file").status().message() == "/no/such/file: cannot be read");
  CHECK_FALSE(ReadConfig("/").ok());
}

}  // namespace
}  // namespace rouse::app
