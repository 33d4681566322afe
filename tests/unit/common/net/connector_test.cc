#include "common/net/connector.h"

#include <catch2/catch.hpp>
#include <linux/tcp.h>  // netinet/tcp.h has no tcpi_snd_wnd
#include <sys/socket.h>

#include "common/net/listener.h"
#include "common/net/socket_options.h"
#include "tests/support/net/loopback.h"

namespace rouse::net {
namespace {

using testing::DialInto;
using testing::Loopback;
using Dialled = std::optional<Result<std::unique_ptr<Transport>>>;

TEST_CASE("nobody listening is a refusal that may be tried again") {
  Loopback loop;
  const SocketAddress nobody = [&] {
    auto gone = Listen(SocketAddress::Loopback(0), {});
    REQUIRE(gone.ok());
    return SocketAddress::OfSocket(gone->get());
  }();
  Dialled dialled;
  REQUIRE(loop.RunToEnd(DialInto(loop.shard(), nobody, loop.soon(), dialled)));
  REQUIRE(dialled->has_error());
  CHECK(dialled->error().kind == ErrorKind::kConnectRefused);
  CHECK(dialled->error().side == Side::kUpstream);
  CHECK(dialled->error().retry_safe);
}

TEST_CASE("a listener whose queue is full lets a dial run into its deadline") {
  Loopback loop;
  auto full = Listen(SocketAddress::Loopback(0), {.backlog = 0, .client_receive_buffer = 0});
  REQUIRE(full.ok());
  const SocketAddress address = SocketAddress::OfSocket(full->get());
  // The kernel takes one more than the backlog; the dial after those stays unanswered.
  std::vector<std::unique_ptr<Transport>> queued;
  for (int i = 0; i < 4; ++i) {
    Dialled dialled;
    const TimePoint start = loop.shard().now();
    const TimePoint deadline = Later(start, std::chrono::milliseconds(150));
    REQUIRE(loop.RunToEnd(DialInto(loop.shard(), address, deadline, dialled)));
    if (dialled->has_value()) {
      queued.push_back(*std::move(*dialled));
      continue;
    }
    CHECK(dialled->error().kind == ErrorKind::kConnectTimeout);
    CHECK(dialled->error().retry_safe);
    CHECK(loop.shard().now() >= deadline);
    return;
  }
  FAIL("every dial was answered");
}

TEST_CASE("a peer that closes at once is connected first, and at its end then") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  server.reset();
  REQUIRE(loop.RunUntil([&, &client = client] { return client->hung_up(); }));
  char buffer[8];
  CHECK(client->Read(buffer).status == IoStatus::kEnd);
}

/// A plain client, and what the listener has accepted.
struct Pair {
  explicit Pair(int client_receive_buffer) {
    auto listener =
        Listen(SocketAddress::Loopback(0), {.client_receive_buffer = client_receive_buffer});
    REQUIRE(listener.ok());
    const SocketAddress address = SocketAddress::OfSocket(listener->get());
    REQUIRE(connect(client.get(), address.data(), address.size()) == 0);
    accepted = Descriptor(accept(listener->get(), nullptr, nullptr));
    REQUIRE(accepted);
  }
  Descriptor client{socket(AF_INET, SOCK_STREAM, 0)};
  Descriptor accepted;
};

TEST_CASE("connections inherit the listener's options") {
  const Pair pair(32 * 1024);
  auto option = [&](int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(getsockopt(pair.accepted.get(), level, name, &value, &size) == 0);
    return value;
  };
  CHECK(option(IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(IPPROTO_TCP, TCP_USER_TIMEOUT) == 20'000);
  CHECK(option(SOL_SOCKET, SO_RCVBUF) == 2 * (32 + 64) * 1024);  // a segment more, and doubled
}

TEST_CASE("the window that a client is promised first stays as it is") {
  const int window = GENERATE(32 * 1024, 512 * 1024);
  const Pair pair(window);
  auto after_exchange = [&] {
    char message[100] = {};
    REQUIRE(send(pair.client.get(), message, sizeof message, 0) == sizeof message);
    REQUIRE(recv(pair.accepted.get(), message, sizeof message, MSG_WAITALL) == sizeof message);
    REQUIRE(send(pair.accepted.get(), message, 1, 0) == 1);
    REQUIRE(recv(pair.client.get(), message, 1, 0) == 1);
    tcp_info info{};
    socklen_t size = sizeof info;
    REQUIRE(getsockopt(pair.client.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    return static_cast<int>(info.tcpi_snd_wnd);
  };
  const int first = after_exchange();
  CHECK(first > 0);
  CHECK(first <= window);
  for (int i = 0; i < 5; ++i) CHECK(after_exchange() == first);
}

TEST_CASE("an address that is taken, or not ours, is an error that names it") {
  auto taken = Listen(SocketAddress::Loopback(0), {});
  REQUIRE(taken.ok());
  const auto foreign = SocketAddress::Parse("192.0.2.1:1");
  const auto result = Listen(*foreign, {});
  REQUIRE_FALSE(result.ok());
  CHECK(std::string(result.status().message()).find("192.0.2.1:1") != std::string::npos);
}

}  // namespace
}  // namespace rouse::net
