#include "common/net/address_ranges.h"

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

TEST_CASE("a range holds what shares its first bits") {
  const auto ranges =
      AddressRanges::Parse({"10.0.0.0/8", "192.0.2.128/25", "192.0.2.7", "fd00::/8"});
  REQUIRE(ranges.ok());
  for (const char* inside : {"10.1.2.3", "192.0.2.200", "192.0.2.7", "fd12::1"})
    CHECK(ranges->Contains(inside));
  for (const char* outside : {"11.0.0.1", "192.0.2.8", "fe80::1", "::1", "name", ""})
    CHECK_FALSE(ranges->Contains(outside));
  CHECK(AddressRanges::Parse({"0.0.0.0/0"})->Contains("203.0.113.9"));
  CHECK_FALSE(AddressRanges::Parse({"0.0.0.0/0"})->Contains("2001:db8::1"));
  CHECK(AddressRanges().empty());
}

TEST_CASE("what is no range is named") {
  for (const char* bad : {"10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/8x", "", "x"})
    CHECK_FALSE(AddressRanges::Parse({bad}).ok());
}

}  // namespace
}  // namespace rouse::net
