#include "common/net/tls_hello.h"

#include <catch2/catch.hpp>

#include "common/net/tls_callbacks.h"

namespace rouse::net {
namespace {

std::string Number(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}
std::string Entry(const std::string& name) { return '\0' + Number(name.size()) + name; }
std::string Extension(const std::string& entries) { return Number(entries.size()) + entries; }

TEST_CASE("a server name is one host name") {
  const auto name = ParseServerName(Extension(Entry("Shop.Example.")));
  REQUIRE(name.has_value());
  CHECK(*name == "shop.example");
  for (const std::string& bad :
       {std::string(), std::string("192.0.2.1"), std::string("::1"), std::string(300, 'a'),
        std::string("a\0b", 3), std::string(".example"), std::string("a b"), std::string("1"),
        std::string("."), std::string("b\xc3\xbc.example")}) {
    INFO(bad);
    CHECK_FALSE(ParseServerName(Extension(Entry(bad))).has_value());
  }
}

TEST_CASE("a malformed extension is no name") {
  const std::string good = Extension(Entry("a.example"));
  for (size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(ParseServerName(std::string_view(good).substr(0, size)).has_value());
  CHECK_FALSE(ParseServerName(good + "x").has_value());
  CHECK_FALSE(ParseServerName(Extension(Entry("a.example") + Entry("b.example"))).has_value());
  CHECK_FALSE(ParseServerName(Extension('\1' + Number(1) + "a")).has_value());
}

}  // namespace
}  // namespace rouse::net
