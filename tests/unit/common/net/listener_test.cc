#include "common/net/listener.h"

#include <catch2/catch.hpp>
#include <sys/socket.h>

#include "tests/support/net/without_ipv6.h"

namespace rouse::net {
namespace {

const SocketAddress kAny = *SocketAddress::Parse("[::]:0");

bool Connects(const char* ip, const Descriptor& listener) {
  const uint16_t port = SocketAddress::OfSocket(listener.get()).port();
  const SocketAddress address = *SocketAddress::Parse(ip, port);
  const Descriptor client(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  return client && connect(client.get(), address.data(), address.size()) == 0;
}

TEST_CASE("[::] takes clients of both families, and those of IPv4 where there is no other") {
  const absl::StatusOr<Descriptor> both = Listen(kAny, {});
  REQUIRE(both.ok());
  CHECK(Connects("127.0.0.1", *both));
  CHECK(Connects("::1", *both));
  CHECK(testing::WithoutIpv6([] {
    const absl::StatusOr<Descriptor> one = Listen(kAny, {});
    return one.ok() && Connects("127.0.0.1", *one) && !Connects("::1", *one);
  }));
}

TEST_CASE("a listener defers where it was asked to, and there alone") {
  for (const bool asked : {false, true}) {
    const absl::StatusOr<Descriptor> listener =
        Listen(SocketAddress::Loopback(0), {.defer_accept = asked});
    REQUIRE(listener.ok());
    CHECK(DefersAccept(listener->get()) == asked);
  }
}

TEST_CASE("an address that cannot be had is named") {
  const absl::StatusOr<Descriptor> foreign = Listen(*SocketAddress::Parse("192.0.2.1:80"), {});
  CHECK(absl::IsUnavailable(foreign.status()));
  CHECK_THAT(std::string(foreign.status().message()), Catch::Contains("192.0.2.1:80"));
  CHECK(testing::WithoutIpv6([] { return !Listen(*SocketAddress::Parse("[::1]:0"), {}).ok(); }));
}

}  // namespace
}  // namespace rouse::net
