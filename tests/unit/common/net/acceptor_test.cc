#include "common/net/acceptor.h"

#include <future>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/net/shard_set.h"
#include "tests/support/net/loopback.h"

namespace rouse::net {
namespace {

using testing::Loopback;

/// A client's socket, connected without a loop.
Descriptor Connected(const SocketAddress& address) {
  Descriptor client(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(client);
  REQUIRE(connect(client.get(), address.data(), address.size()) == 0);
  return client;
}

TEST_CASE("a turn accepts at most so many connections, the next one the rest") {
  Loopback loop;
  std::vector<Descriptor> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(Connected(loop.address()));
  size_t before = 0;
  while (loop.accepted().size() < 10) {
    loop.shard().Turn(std::chrono::milliseconds(20));
    CHECK(loop.accepted().size() <= before + Acceptor::kAcceptsPerTurn);
    before = loop.accepted().size();
  }
  CHECK(loop.shard().connections() == 10);
  loop.accepted().clear();
  CHECK(loop.shard().connections() == 0);
}

TEST_CASE("a shard that has all the connections it may have accepts again when some have gone") {
  Loopback loop({.buffer_bytes_max = 1 << 20, .connections_max = 3});
  std::vector<Descriptor> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(Connected(loop.address()));
  REQUIRE(loop.RunUntil([&] { return loop.acceptor().paused(); }));
  CHECK(loop.accepted().size() == 3);
  loop.accepted().clear();
  REQUIRE(loop.RunUntil([&] { return loop.accepted().size() == 3; }));
}

TEST_CASE("stopping takes what the kernel has accepted already, then refuses") {
  Loopback loop;
  std::vector<Descriptor> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Connected(loop.address()));
  loop.acceptor().StopAccepting();
  CHECK(loop.accepted().size() == 20);
  const Descriptor late(socket(AF_INET, SOCK_STREAM, 0));
  CHECK(connect(late.get(), loop.address().data(), loop.address().size()) != 0);
  loop.shard().Turn(Duration::zero());
}

TEST_CASE("a deferred connection comes with its first bytes, and they are read without a wait") {
  Loopback loop({}, {.defer_accept = true});
  const Descriptor silent = Connected(loop.address());
  const Descriptor client = Connected(loop.address());
  while (loop.shard().Turn(Duration::zero())) {
  }
  CHECK(loop.accepted().empty());
  REQUIRE(send(client.get(), "hello", 5, 0) == 5);
  REQUIRE(loop.RunUntil([&] { return !loop.accepted().empty(); }));
  Transport& server = *loop.accepted().front();
  CHECK(server.readable());
  char buffer[64];
  CHECK(server.Read(buffer).bytes == 5);
  // From here on it is a connection like any other.
  CHECK_FALSE(server.readable());
  REQUIRE(send(client.get(), "again", 5, 0) == 5);
  REQUIRE(loop.RunUntil([&] { return server.readable(); }));
  CHECK(server.Read(buffer).bytes == 5);
  REQUIRE(shutdown(client.get(), SHUT_WR) == 0);
  REQUIRE(loop.RunUntil([&] { return server.hung_up(); }));
  CHECK(server.Read(buffer).status == IoStatus::kEnd);
}

TEST_CASE("a deferred connection without bytes comes late, or as soon as it has gone") {
  Loopback loop({}, {.defer_accept = true});
  Descriptor client = Connected(loop.address());
  char buffer[64];
  SECTION("silent") {
    REQUIRE(loop.RunUntil([&] { return !loop.accepted().empty(); }));
    Transport& server = *loop.accepted().front();
    CHECK(server.Read(buffer).status == IoStatus::kMustWait);
    CHECK_FALSE(server.readable());
    REQUIRE(send(client.get(), "hello", 5, 0) == 5);
    REQUIRE(loop.RunUntil([&] { return server.readable(); }));
    CHECK(server.Read(buffer).bytes == 5);
  }
  SECTION("gone: a health check") {
    client.Close();
    REQUIRE(loop.RunUntil([&] { return !loop.accepted().empty(); }));
    CHECK(loop.accepted().front()->Read(buffer).status == IoStatus::kEnd);
  }
}

/// Lowers this process's limit of descriptors while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t limit) {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit lowered{.rlim_cur = limit, .rlim_max = before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &lowered) == 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

int NextDescriptor() { return Descriptor(dup(0)).get(); }

TEST_CASE("accepting pauses before the last descriptors go, and goes on when they are back") {
  constexpr int kLeft = 8;
  const int most = (NextDescriptor() + 100) / 10 * 10;
  const FewDescriptors few(static_cast<rlim_t>(most));
  Loopback loop;
  // Clients take all but a few of those that may be taken.
  std::vector<Descriptor> clients;
  while (NextDescriptor() < most / 10 * 9 - kLeft) clients.push_back(Connected(loop.address()));
  REQUIRE(clients.size() > 2 * kLeft);
  REQUIRE(loop.RunUntil([&] { return loop.acceptor().paused(); }));
  CHECK(loop.accepted().size() == kLeft + 1);
  CHECK(NextDescriptor() == most / 10 * 9 + 1);
  loop.accepted().clear();
  REQUIRE(loop.RunUntil([&] { return loop.accepted().size() > kLeft; }));
}

TEST_CASE("with no descriptor left a client is closed at once instead of left waiting") {
  Loopback loop;
  const Descriptor client = Connected(loop.address());
  {
    const FewDescriptors none(static_cast<rlim_t>(NextDescriptor()));
    REQUIRE(loop.RunUntil([&] { return loop.acceptor().refused() == 1; }));
  }
  char byte = 0;
  CHECK(recv(client.get(), &byte, 1, 0) <= 0);
  CHECK(loop.accepted().empty());
  // Room again: it recovers, spare descriptor included.
  const Descriptor second = Connected(loop.address());
  REQUIRE(loop.RunUntil([&] { return loop.accepted().size() == 1; }));
}

/// Two shards' acceptors of which only the first one's socket is connected to.
struct TwoShards {
  SteadyClock clock;
  ShardSet shards{clock, {.count = 2, .seed = 1, .limits = {}}};
  std::vector<std::unique_ptr<Transport>> accepted[2];
  std::unique_ptr<Acceptor> acceptors[2];
  Acceptor* group[2] = {};
  SocketAddress address;

  TwoShards() {
    for (size_t i = 0; i < 2; ++i) {
      auto listener = Listen(SocketAddress::Loopback(0), {});
      REQUIRE(listener.ok());
      if (i == 0) address = SocketAddress::OfSocket(listener->get());
      acceptors[i] = std::make_unique<Acceptor>(shards.shard(i), *std::move(listener),
                                                [this, i](std::unique_ptr<Transport> transport) {
                                                  accepted[i].push_back(std::move(transport));
                                                });
      group[i] = acceptors[i].get();
    }
    for (auto& acceptor : acceptors) {
      acceptor->HandOverTo(group);
      acceptor->Start();
    }
  }
};

TEST_CASE("connections go to the shard that has fewer, and keep their peer's address") {
  TwoShards two;
  std::vector<Descriptor> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Connected(two.address));
  const TimePoint give_up = two.clock.now() + std::chrono::seconds(20);
  while (two.accepted[0].size() + two.accepted[1].size() < 20 && two.clock.now() < give_up) {
    two.shards.shard(0).Turn(std::chrono::milliseconds(1));
    two.shards.shard(1).Turn(Duration::zero());
  }
  CHECK(two.accepted[0].size() >= 9);
  CHECK(two.accepted[1].size() >= 9);
  REQUIRE_FALSE(two.accepted[1].empty());
  CHECK(two.accepted[1][0]->peer_address() == "127.0.0.1");
  CHECK(two.shards.shard(1).connections() == two.accepted[1].size());
}

TEST_CASE("connections handed to another thread's shard are served there") {
  TwoShards two;
  two.shards.Start();
  std::vector<Descriptor> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Connected(two.address));
  auto count = [&](size_t i) {
    std::promise<size_t> size;
    two.shards.Post(i, [&] { size.set_value(two.accepted[i].size()); });
    return size.get_future().get();
  };
  const TimePoint give_up = two.clock.now() + std::chrono::seconds(20);
  while (count(0) + count(1) < 20 && two.clock.now() < give_up) {
  }
  CHECK(count(0) + count(1) == 20);
  CHECK(count(1) >= 9);
  two.shards.Stop();
}

}  // namespace
}  // namespace rouse::net
