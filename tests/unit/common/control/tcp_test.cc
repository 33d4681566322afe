#include "common/control/tcp.h"

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/control/asio_loop.h"
#include "common/control/byte_stream.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/net/without_ipv6.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;

struct Wired : OnLoopback {
  AsioLoop loop{clock};
  std::vector<std::unique_ptr<ByteStream>> accepted;
  std::unique_ptr<Accepting> accepting;
  absl::StatusOr<std::unique_ptr<ByteStream>> dialled = absl::UnknownError("not yet");

  explicit Wired(const std::string& host = "127.0.0.1") {
    ListenOptions options;
    options.host = host;
    auto opened = Accept(loop, log, options, nullptr, [this](std::unique_ptr<ByteStream> stream) {
      accepted.push_back(std::move(stream));
    });
    REQUIRE(opened.ok());
    accepting = *std::move(opened);
  }
  std::unique_ptr<Dialing> Dial(const Origin& origin, Duration timeout = kPatience) {
    return control::Dial(loop, origin, nullptr, timeout,
                         [this](absl::StatusOr<std::unique_ptr<ByteStream>> stream) {
                           dialled = std::move(stream);
                         });
  }
  bool Run(absl::FunctionRef<bool()> done, Duration most = kPatience) {
    return loop.RunUntil(done, most);
  }
};

TEST_CASE("a dialled connection carries bytes both ways and knows its ends") {
  Wired wired;
  const auto dialing = wired.Dial(OnLoopback::At(wired.accepting->port()));
  CHECK_FALSE(wired.dialled.ok());
  REQUIRE(wired.Run([&] { return wired.dialled.ok() && wired.accepted.size() == 1; }));
  ByteStream& client = **wired.dialled;
  ByteStream& server = *wired.accepted[0];
  CHECK(client.peer() == "127.0.0.1:" + std::to_string(wired.accepting->port()));
  CHECK(client.local() == server.peer());
  CHECK(client.peer_subject().empty());

  const std::string sent(1 << 20, 'x');
  std::string got;
  bool written = false;
  client.Write(sent, [&](const absl::Status& status) { written = status.ok(); });
  std::function<void()> read = [&] {
    server.Read([&](const absl::Status& status, std::string_view data) {
      CHECK(status.ok());
      CHECK(data.size() <= 16 * 1024);
      got += data;
      if (got.size() < sent.size()) read();
    });
  };
  read();
  REQUIRE(wired.Run([&] { return got.size() == sent.size(); }));
  CHECK(written);

  client.FinishWriting();
  bool ended = false;
  server.Read([&](const absl::Status& status, std::string_view data) {
    ended = status.ok() && data.empty();
  });
  REQUIRE(wired.Run([&] { return ended; }));
}

TEST_CASE(":: takes both families, and IPv4 where there is no other") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    Wired wired("::");
    Origin origin = OnLoopback::At(wired.accepting->port());
    origin.host = host;
    const auto dialing = wired.Dial(origin);
    REQUIRE(wired.Run([&] { return wired.dialled.ok() && wired.accepted.size() == 1; }));
    CHECK(wired.accepted[0]->peer() == (*wired.dialled)->local());
    CHECK(wired.accepted[0]->local() == (*wired.dialled)->peer());
  }
  CHECK(testing::WithoutIpv6([] {
    Wired wired("::");
    const auto dialing = wired.Dial(OnLoopback::At(wired.accepting->port()));
    return wired.Run([&] { return wired.dialled.ok() && wired.accepted.size() == 1; });
  }));
}

TEST_CASE("a stream that is destroyed is silent, and its peer reads the end") {
  Wired wired;
  const auto dialing = wired.Dial(OnLoopback::At(wired.accepting->port()));
  REQUIRE(wired.Run([&] { return wired.dialled.ok() && wired.accepted.size() == 1; }));
  int told = 0;
  bool ended = false;
  (*wired.dialled)->Read([&](const absl::Status&, std::string_view) { ++told; });
  wired.accepted[0]->Read([&](const absl::Status&, std::string_view) { ended = true; });
  wired.dialled->reset();
  REQUIRE(wired.Run([&] { return ended; }));
  CHECK(told == 0);
}

TEST_CASE("a name is tried address by address; a port that is closed says so") {
  Wired wired;
  Origin origin = OnLoopback::At(wired.accepting->port());
  origin.host = "localhost";  // may be ::1 first, where nobody listens
  const auto dialing = wired.Dial(origin);
  REQUIRE(wired.Run([&] { return wired.dialled.ok(); }));
  uint16_t closed = 0;
  RawSocket::Listen(&closed).Close();
  wired.dialled = absl::UnknownError("not yet");
  const auto second = wired.Dial(OnLoopback::At(closed));
  REQUIRE(wired.Run([&] { return absl::IsUnavailable(wired.dialled.status()); }));
  CHECK(wired.dialled.status().message().find(":" + std::to_string(closed)) !=
        absl::string_view::npos);
}

TEST_CASE("a dial that was given up tells nothing") {
  Wired wired;
  auto dialing = wired.Dial(OnLoopback::At(wired.accepting->port()));
  dialing.reset();
  wired.Run([] { return false; }, milliseconds(20));
  CHECK(absl::IsUnknown(wired.dialled.status()));
}

TEST_CASE("dead peers are looked for by the kernel on every connection") {
  Wired wired;
  const auto dialing = wired.Dial(OnLoopback::At(wired.accepting->port()));
  REQUIRE(wired.Run([&] { return wired.dialled.ok() && wired.accepted.size() == 1; }));
  int found = 0;
  for (int descriptor = 3; descriptor < 256; ++descriptor) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    const auto option = [descriptor](int level, int name) {
      int value = 0;
      socklen_t length = sizeof value;
      ::getsockopt(descriptor, level, name, &value, &length);
      return value;
    };
    if (option(IPPROTO_TCP, TCP_KEEPIDLE) != 15) continue;
    ++found;
    CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(IPPROTO_TCP, TCP_KEEPINTVL) == 5);
    CHECK(option(IPPROTO_TCP, TCP_KEEPCNT) == 3);
    CHECK(option(IPPROTO_TCP, TCP_USER_TIMEOUT) == 30'000);
    CHECK(option(IPPROTO_TCP, TCP_NODELAY) == 1);
  }
  CHECK(found == 2);
}

}  // namespace
}  // namespace rouse::control
