#include "proxy/control/endpoint_guard.h"

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

TEST_CASE("pods' addresses may be dialled, dangerous ones may not") {
  const auto guard = EndpointGuard::Make({}, {"10.0.0.1"});
  REQUIRE(guard.ok());
  for (const char* address : {"10.1.2.3", "192.168.0.7", "172.20.0.9", "fd00::7", "2001:db8::1"}) {
    INFO(address);
    CHECK(guard->Allows(address));
  }
  for (const char* address : {"127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "224.0.0.1",
                              "255.255.255.255", "::1", "::", "fe80::1", "ff02::1", "10.0.0.1",
                              "::ffff:127.0.0.1", "::ffff:169.254.169.254", "not-an-address", ""}) {
    INFO(address);
    CHECK_FALSE(guard->Allows(address));
  }
}

TEST_CASE("a range can be opened, and only that range") {
  const auto guard = EndpointGuard::Make({"127.16.0.0/12", "fe80::/64", "169.254.7.7"});
  REQUIRE(guard.ok());
  CHECK(guard->Allows("127.16.0.1"));
  CHECK(guard->Allows("127.31.255.254"));
  CHECK_FALSE(guard->Allows("127.32.0.1"));
  CHECK(guard->Allows("fe80::1"));
  CHECK_FALSE(guard->Allows("fe80:0:0:1::1"));
  CHECK(guard->Allows("169.254.7.7"));
  CHECK_FALSE(guard->Allows("169.254.7.8"));
}

TEST_CASE("what is no range is named") {
  for (const char* range :
       {"", "127.0.0.0/33", "127.0.0.0/", "127.0.0.0/x", "host/8", "::/129", "1.2.3/8"}) {
    const auto guard = EndpointGuard::Make({range});
    INFO(range);
    REQUIRE_FALSE(guard.ok());
    CHECK(std::string(guard.status().message()).find(range) != std::string::npos);
  }
}

}  // namespace
}  // namespace rouse::proxy
