#include "common/net/tcp_transport.h"

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/random.h"
#include "tests/support/net/loopback.h"

namespace rouse::net {
namespace {

using testing::Loopback;
using testing::ReadToEnd;
using testing::WriteAll;

std::string Noise(Random& random, size_t bytes) {
  std::string data(bytes, '\0');
  for (char& c : data) c = static_cast<char>(random.Next());
  return data;
}

/// Writes in pieces of every size, in one to eight parts, yielding at random; then FIN.
Task<void> FuzzedWrite(Shard& shard, Transport& transport, std::string_view data, uint64_t seed,
                       TimePoint deadline, bool& ok) {
  Random random(seed);
  ok = false;
  while (!data.empty()) {
    std::string_view rest = data.substr(0, 1 + random.Below(size_t{1} << random.Below(20)));
    std::string_view parts[Transport::kPartsMax];
    size_t count = 0;
    const size_t most = 1 + random.Below(Transport::kPartsMax);
    while (!rest.empty() && count < most) {
      const size_t size = count + 1 == most ? rest.size() : 1 + random.Below(rest.size());
      parts[count++] = rest.substr(0, size);
      rest.remove_prefix(size);
    }
    size_t asked = 0;
    for (size_t i = 0; i < count; ++i) asked += parts[i].size();
    const IoResult wrote = transport.Write({parts, count});
    if (wrote.status == IoStatus::kBroken) co_return;
    data.remove_prefix(wrote.bytes);
    if (wrote.bytes < asked) {
      const Wake why = co_await transport.WaitWritable(deadline);
      if (why == Wake::kDeadline) co_return;
    }
    if (random.Below(8) == 0) co_await shard.NextTurn();
  }
  transport.ShutdownWrite();
  ok = true;
}

/// Reads with buffers of every size, yielding at random. Never reads unless told that it can: a
/// forgotten edge shows as the deadline.
Task<void> FuzzedRead(Shard& shard, Transport& transport, uint64_t seed, TimePoint deadline,
                      std::string& out, bool& ended) {
  Random random(seed);
  std::string buffer(64 * 1024, '\0');
  ended = false;
  while (true) {
    const Wake why = co_await transport.WaitReadable(deadline);
    if (why == Wake::kDeadline) co_return;
    const size_t size = 1 + random.Below(size_t{1} << random.Below(17));
    const IoResult read = transport.Read({buffer.data(), std::min(size, buffer.size())});
    if (read.status == IoStatus::kBroken) co_return;
    if (read.status == IoStatus::kEnd) break;
    out.append(buffer, 0, read.bytes);
    if (random.Below(8) == 0) co_await shard.NextTurn();
  }
  ended = true;
}

struct Flow {
  std::string sent;
  std::string got;
  bool wrote = false;
  bool ended = false;
};

TEST_CASE("whatever the sizes of reads and writes, both directions carry every byte in order") {
  const auto seed = GENERATE(1U, 2U, 3U, 4U, 5U, 6U);
  INFO("seed " << seed);
  Loopback loop({}, {.backlog = 16, .client_receive_buffer = seed % 2 == 0 ? 4096 : 0});
  auto pair = loop.Dial();
  REQUIRE(pair.client);
  Random random(seed);
  Flow up{.sent = Noise(random, 2 << 20), .got = {}};
  Flow down{.sent = Noise(random, 2 << 20), .got = {}};
  Shard& shard = loop.shard();
  const TimePoint soon = loop.soon();
  Detach(FuzzedWrite(shard, *pair.client, up.sent, random.Next(), soon, up.wrote));
  Detach(FuzzedWrite(shard, *pair.server, down.sent, random.Next(), soon, down.wrote));
  REQUIRE(loop.RunToEnd(
      Join(FuzzedRead(shard, *pair.server, random.Next(), soon, up.got, up.ended),
           FuzzedRead(shard, *pair.client, random.Next(), soon, down.got, down.ended))));
  for (const Flow* flow : {&up, &down}) {
    CHECK(flow->wrote);
    CHECK(flow->ended);
    CHECK((flow->got == flow->sent));
  }
}

TEST_CASE("a writer stops when nobody reads, and goes on when somebody does") {
  Loopback loop;
  auto pair = loop.Dial();
  REQUIRE(pair.client);
  const std::string data(32 << 20, 'x');
  bool wrote = false;
  Detach(WriteAll(*pair.server, data, loop.soon(), wrote));
  // Nothing but the kernel's buffers takes bytes: the loop falls idle long before all are written.
  while (loop.shard().Turn(std::chrono::milliseconds(50))) {
  }
  CHECK_FALSE(wrote);
  std::string got;
  bool ended = false;
  auto read = ReadToEnd(*pair.client, loop.soon(), got, ended);
  Detach(std::move(read));
  REQUIRE(loop.RunUntil([&] { return wrote; }));
  pair.server->ShutdownWrite();
  REQUIRE(loop.RunUntil([&] { return ended; }));
  CHECK(got.size() == data.size());
}

TEST_CASE("a connection without a writer is told when it may write again") {
  Loopback loop;
  auto pair = loop.Dial();
  REQUIRE(pair.client);
  const std::string data(1 << 20, 'x');
  const std::string_view part = data;
  int told = 0;
  pair.server->OnWritable([](void* count) { ++*static_cast<int*>(count); }, &told);
  size_t written = 0;
  for (IoResult one = pair.server->Write({&part, 1}); one.status == IoStatus::kDone;
       one = pair.server->Write({&part, 1}))
    written += one.bytes;
  CHECK(told == 0);
  std::vector<char> buffer(1 << 20);
  REQUIRE(loop.RunUntil([&] {
    while (pair.client->readable()) {
      const IoResult read = pair.client->Read(buffer);
      if (read.status != IoStatus::kDone) break;
      written -= read.bytes;
    }
    return told > 0 && written == 0;
  }));
  CHECK(told >= 1);
}

TEST_CASE("after the peer's FIN the other direction still works, and the end is said again") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  int hang_ups = 0;
  server->OnHangUp([](void* n) { ++*static_cast<int*>(n); }, &hang_ups);
  client->ShutdownWrite();
  REQUIRE(loop.RunUntil([&] { return server->hung_up(); }));
  CHECK(hang_ups == 1);
  CHECK(server->readable());
  CHECK_FALSE(server->broken());
  char buffer[64];
  CHECK(server->Read(buffer).status == IoStatus::kEnd);
  CHECK(server->Read(buffer).status == IoStatus::kEnd);
  const std::string_view answer = "late";
  CHECK(server->Write({&answer, 1}).bytes == 4);
  REQUIRE(loop.RunUntil([&] { return client->readable(); }));
  const IoResult read = client->Read(buffer);
  CHECK(std::string_view(buffer, read.bytes) == answer);
  CHECK_FALSE(client->hung_up());
}

TEST_CASE("a FIN that came with the last bytes is found although the read came up short") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  const std::string_view last = "last words";
  REQUIRE(client->Write({&last, 1}).bytes == last.size());
  client->ShutdownWrite();
  REQUIRE(loop.RunUntil([&] { return server->hung_up(); }));
  char buffer[64];
  CHECK(server->Read(buffer).bytes == last.size());
  CHECK(server->readable());
  CHECK(server->Read(buffer).status == IoStatus::kEnd);
}

/// Segments that a blocking client's socket has received since it was connected.
uint32_t SegmentsIn(const Descriptor& client) {
  tcp_info info{};
  socklen_t size = sizeof info;
  REQUIRE(getsockopt(client.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  return info.tcpi_segs_in;
}

TEST_CASE("last bytes and FIN leave in one segment") {
  Loopback loop;
  const Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(connect(client.get(), loop.address().data(), loop.address().size()) == 0);
  REQUIRE(loop.RunUntil([&] { return loop.accepted().size() == 1; }));
  const std::string_view parts[] = {"last ", "words"};
  const size_t count = GENERATE(size_t{1}, size_t{2});
  const uint32_t before = SegmentsIn(client);
  const IoResult wrote = loop.accepted().front()->WriteLast({parts, count});
  CHECK(wrote.bytes == 5 * count);
  char buffer[64];
  std::string got;
  for (ssize_t more = 1; more > 0;) {
    more = recv(client.get(), buffer, sizeof buffer, 0);
    CHECK(more >= 0);
    got.append(buffer, static_cast<size_t>(std::max<ssize_t>(more, 0)));
  }
  CHECK(got == std::string("last words").substr(0, 5 * count));
  CHECK(SegmentsIn(client) - before == 1);
}

TEST_CASE("a client that sends on after the last bytes still reads them, then the end") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  const std::string_view more = "more that nobody reads";
  REQUIRE(client->Write({&more, 1}).bytes == more.size());
  const std::string_view last = "last words";
  REQUIRE(server->WriteLast({&last, 1}).bytes == last.size());
  server->Close(false);
  REQUIRE(loop.RunUntil([&] { return client->broken(); }));
  char buffer[64];
  const IoResult read = client->Read(buffer);
  CHECK(std::string_view(buffer, read.bytes) == last);
}

TEST_CASE("last bytes that do not go at once are no end yet") {
  Loopback loop;
  auto pair = loop.Dial();
  REQUIRE(pair.client);
  const std::string data(32 << 20, 'x');
  std::string_view left = data;
  std::vector<char> buffer(1 << 20);
  size_t got = 0;
  bool ended = false;
  REQUIRE(loop.RunUntil([&] {
    if (!left.empty()) {
      const IoResult wrote = pair.server->WriteLast({&left, 1});
      left.remove_prefix(wrote.bytes);
    }
    while (pair.client->readable() && !ended) {
      const IoResult read = pair.client->Read(buffer);
      got += read.bytes;
      ended = read.status == IoStatus::kEnd;
      if (read.status != IoStatus::kDone) break;
    }
    return ended || pair.client->broken();
  }));
  CHECK(ended);
  CHECK(left.empty());
  CHECK(got == data.size());
}

TEST_CASE("a short read clears readable, so that nothing is asked twice") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  const std::string_view data = "0123456789";
  REQUIRE(client->Write({&data, 1}).bytes == data.size());
  REQUIRE(loop.RunUntil([&] { return server->readable(); }));
  char buffer[6];
  CHECK(server->Read(buffer).bytes == 6);
  CHECK(server->readable());
  CHECK(server->Read(buffer).bytes == 4);
  CHECK_FALSE(server->readable());
  CHECK(server->Read(buffer).status == IoStatus::kMustWait);
}

TEST_CASE("a reset reaches a peer that reads and one that only watches") {
  const bool reads = GENERATE(true, false);
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  std::string got;
  bool ended = true;
  bool told = false;
  server->OnHangUp([](void* t) { *static_cast<bool*>(t) = true; }, &told);
  if (reads) Detach(ReadToEnd(*server, loop.soon(), got, ended));
  client->Close(true);
  REQUIRE(loop.RunUntil([&] { return told && (!reads || !ended); }));
  CHECK(server->broken());
  char buffer[8];
  CHECK(server->Read(buffer).status == IoStatus::kBroken);
  const std::string_view data = "x";
  CHECK(server->Write({&data, 1}).status == IoStatus::kBroken);
}

TEST_CASE("closing wakes our own waiters, which find the connection broken") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  std::string got;
  bool ended = true;
  Detach(ReadToEnd(*server, kNever, got, ended));
  server->Close(false);
  CHECK(ended == false);
  REQUIRE(loop.RunUntil([&, &client = client] { return client->hung_up(); }));
  char buffer[8];
  CHECK(client->Read(buffer).status == IoStatus::kEnd);
  CHECK(server->Read(buffer).status == IoStatus::kBroken);
}

TEST_CASE("a watch may destroy the transport that told it") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  server->OnHangUp([](void* held) { static_cast<std::unique_ptr<Transport>*>(held)->reset(); },
                   &server);
  int told = 0;
  server->OnReadable([](void* n) { ++*static_cast<int*>(n); }, &told);
  client->Close(false);
  REQUIRE(loop.RunUntil([&, &server = server] { return server == nullptr; }));
  CHECK(told == 0);
}

TEST_CASE("a connection goes on at another shard, with what came meanwhile") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  const SteadyClock clock;
  Shard other(1, clock, 1, {});
  Descriptor socket = client->Detach();
  REQUIRE(socket);
  CHECK(client->broken());
  const std::string_view early = "came on the way";
  REQUIRE(server->Write({&early, 1}).bytes == early.size());
  client.reset();

  TcpTransport there(other, std::move(socket), loop.address(), TcpTransport::Origin::kCarried);
  const std::string_view answer = "from there";
  CHECK(there.Write({&answer, 1}).bytes == answer.size());
  REQUIRE(loop.RunUntil([&, &server = server] {
    other.Turn(Duration::zero());
    return there.readable() && server->readable();
  }));
  char buffer[64];
  CHECK(std::string_view(buffer, there.Read(buffer).bytes) == early);
  CHECK(std::string_view(buffer, server->Read(buffer).bytes) == answer);
  server->Close(false);
  REQUIRE(loop.RunUntil([&] {
    other.Turn(Duration::zero());
    return there.hung_up();
  }));
  CHECK_FALSE(there.Detach());
}

TEST_CASE("the peer's address is text, and both ends agree on their ports") {
  Loopback loop;
  auto [client, server] = loop.Dial();
  REQUIRE(client);
  CHECK(server->peer_address() == "127.0.0.1");
  CHECK(server->local_port() == loop.address().port());
  CHECK(server->peer_port() == client->local_port());
  CHECK(client->peer_port() == loop.address().port());
}

}  // namespace
}  // namespace rouse::net
