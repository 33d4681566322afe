#include "common/net/socket_address.h"

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

TEST_CASE("an address prints as it was parsed") {
  for (const char* text : {"10.0.0.1:80", "0.0.0.0:0", "127.0.0.1:65535", "[::1]:8080",
                           "[2001:db8::17]:1", "[::]:0"}) {
    const auto address = SocketAddress::Parse(text);
    REQUIRE(address);
    CHECK(address->text() == text);
    CHECK(SocketAddress::Parse(address->text()) == address);
  }
}

TEST_CASE("what is not a numeric address with a port is refused") {
  for (const char* text :
       {"", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:80x",
        "10.0.0:80", "[10.0.0.1]:80", "::1:80", "[::1]", "[::1]80", "[]:80", "localhost:80",
        "10.0.0.1 :80", "0123456789012345678901234567890123456789012345678901234567890:1"}) {
    INFO(text);
    CHECK_FALSE(SocketAddress::Parse(text));
  }
}

TEST_CASE("an IPv4 address in IPv6 clothes prints as IPv4, but is another address") {
  const auto dressed = SocketAddress::Parse("::ffff:10.1.2.3", 80);
  REQUIRE(dressed);
  CHECK(dressed->text() == "10.1.2.3:80");
  CHECK(dressed->is_v6());
  CHECK_FALSE(dressed == SocketAddress::Parse("10.1.2.3", 80));
}

TEST_CASE("addresses differ by ip, port and family") {
  const auto one = SocketAddress::Parse("10.0.0.1:80");
  CHECK(one == SocketAddress::Parse("10.0.0.1", 80));
  CHECK_FALSE(one == SocketAddress::Parse("10.0.0.2:80"));
  CHECK_FALSE(one == SocketAddress::Parse("10.0.0.1:81"));
  CHECK_FALSE(SocketAddress::Parse("[::]:80") == SocketAddress::Parse("0.0.0.0:80"));
}

}  // namespace
}  // namespace rouse::net
