#include "k8s/yaml_json.h"

#include <string>

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <yaml-cpp/yaml.h>

namespace rouse::k8s {
namespace {

std::string Converted(const std::string& text, YamlBounds bounds = {}) {
  boost::json::value value;
  const absl::Status status = YamlToJson(YAML::Load(text), bounds, value);
  return status.ok() ? boost::json::serialize(value) : std::string(status.message());
}

TEST_CASE("scalars become what YAML's core schema says, quoted ones stay texts") {
  CHECK(Converted("{a: 1, b: '1', c: true, d: \"true\", e: ~, f: 1.5, g: x, h: [2, three]}") ==
        R"({"a":1,"b":"1","c":true,"d":"true","e":null,"f":1.5E0,"g":"x","h":[2,"three"]})");
}

TEST_CASE("what is too deep, too large or ambiguous is refused with its line") {
  CHECK(Converted("[[[1]]]", {.depth = 2}).find("too deep") != std::string::npos);
  CHECK(Converted("[aaaaaaaaaaaaaaaa, b]", {.bytes = 16}).find("too large") != std::string::npos);
  CHECK(Converted("a: 1\na: 2") == "line 2: key \"a\" appears twice");
}

}  // namespace
}  // namespace rouse::k8s
