#include "common/net/socket_calls.h"

#include <array>
#include <cerrno>
#include <string_view>

#include <catch2/catch.hpp>

#include "common/net/descriptor.h"

namespace rouse::net {
namespace {

TEST_CASE("bytes pass as by the library's calls, with its errors") {
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const Descriptor one(pair[0]);
  Descriptor two(pair[1]);
  std::array<char, 8> into{};
  errno = 0;
  CHECK(ReceiveBytes(one.get(), into.data(), into.size()) == -1);
  CHECK(errno == EAGAIN);
  CHECK(SendBytes(two.get(), "hello", 5) == 5);
  REQUIRE(ReceiveBytes(one.get(), into.data(), into.size()) == 5);
  CHECK(std::string_view(into.data(), 5) == "hello");
  two.Close();
  CHECK(ReceiveBytes(one.get(), into.data(), into.size()) == 0);
  errno = 0;
  CHECK(SendBytes(one.get(), "x", 1) == -1);  // and no SIGPIPE
  CHECK(errno == EPIPE);
}

}  // namespace
}  // namespace rouse::net
