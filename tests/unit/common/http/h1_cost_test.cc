// What a forwarded request costs once it is warm, over real sockets: client, H1Server, H1Client,
// pod. No allocation; one recv and one send for each message that passes (performance.md 5.16);
// bounded blocks.

#include <catch2/catch.hpp>
#include <sys/syscall.h>

#include "common/http/h1_client.h"
#include "common/http/h1_server.h"
#include "common/http/h1_server_stream.h"
#include "tests/support/net/loopback.h"
#include "tests/support/net/syscall_count.h"
#include "tests/unit/common/http/heap_count.h"

namespace rouse::http {
namespace {

using net::Task;
using net::testing::Loopback;

constexpr std::string_view kAsk =
    "GET /a/b?c=d HTTP/1.1\r\nHost: fn.ns\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
constexpr size_t kBig = 64 << 20;

/// A pod that answers every request, once it is whole, with kAnswer or with kBig bytes.
Task<void> Pod(net::Shard& shard, net::Transport& transport, bool big) {
  std::string head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBig) + "\r\n\r\n";
  const std::string part(60'000, 'x');
  for (;;) {
    const net::Block block = shard.buffers().TakeSmall();
    (void)co_await transport.WaitReadable(kNever);
    if (transport.Read(block.span()).status != net::IoStatus::kDone) co_return;
    if (!big) {
      (void)transport.Write({&kAnswer, 1});
      continue;
    }
    bool ok = true;
    co_await net::testing::WriteAll(transport, head, kNever, ok);
    for (size_t left = kBig; left > 0 && ok;) {
      const std::string_view some = std::string_view(part).substr(0, left);
      co_await net::testing::WriteAll(transport, some, kNever, ok);
      left -= some.size();
    }
  }
}

/// Joins one H1Server to one H1Client.
class Forwarder final : public StreamHandler {
 public:
  Forwarder(net::Shard& shard, Loopback::Pair& down, Loopback::Pair& up)
      : shard_(shard),
        client_(shard, std::move(up.client), client_options_),
        server_(shard, std::move(down.server), *this, server_options_) {
    server_.Start();
  }
  void OnStream(ServerStream& stream) override { net::Detach(Forward(stream)); }
  void OnBadRequest(ServerStream& stream, const Error& error) override { stream.Finish(error); }
  void OnConnectionClosed() override { closed_ = true; }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] size_t loaned_most() const { return loaned_most_; }

 private:
  Task<void> Forward(ServerStream& stream) {
    const TimePoint soon = Later(shard_.now(), Loopback::kPatience);
    ClientStream& upstream = client_.Open();
    (void)upstream.TrySendHead(stream.head(), {}, {}, true);
    const Result<const ResponseHead*> head = co_await upstream.ReceiveHead(soon);
    Error error = head ? Error{} : head.error();
    if (head) {
      Piece first;
      const Step step = upstream.response_body().TryRead(first);
      if (step == Step::kFailed) error = upstream.response_body().error();
      const bool whole = step == Step::kDone && first.end;
      const Step sent = stream.TrySendHead(**head, {}, first.data, whole);
      if (!whole || sent != Step::kDone) {
        error = co_await Pump(upstream.response_body(), stream.response_body(), whole, soon);
      }
    }
    upstream.Finish();
    stream.Finish(error);
  }
  Task<Error> Pump(BodyReader& from, BodyWriter& to, bool whole, TimePoint soon) {
    for (;;) {
      loaned_most_ = std::max(loaned_most_, shard_.buffers().loaned_bytes());
      const Result<void> flushed = co_await to.Flush(soon);
      if (!flushed) co_return flushed.error();
      if (whole) co_return Error{};
      const Result<Piece> piece = co_await from.Read(soon);
      if (!piece) co_return piece.error();
      whole = piece->end;
      if (to.TryWrite(piece->data, piece->end) == Step::kFailed) co_return to.error();
    }
  }

  net::Shard& shard_;
  H1ClientOptions client_options_;
  H1Options server_options_;
  H1Client client_;
  H1Server server_;
  size_t loaned_most_ = 0;
  bool closed_ = false;
};

/// The client: asks `times` and reads `size` bytes of answer each time.
Task<void> AskFor(net::Shard& shard, net::Transport& transport, size_t times, size_t least,
                  bool& ok) {
  ok = false;
  for (size_t i = 0; i < times; ++i) {
    (void)transport.Write({&kAsk, 1});
    for (size_t got = 0; got < least;) {
      const net::Block block = shard.buffers().TakeSmall();
      const net::Wake why =
          co_await transport.WaitReadable(Later(shard.now(), Loopback::kPatience));
      if (why == net::Wake::kDeadline) co_return;
      const net::IoResult read = transport.Read(block.span());
      if (read.status == net::IoStatus::kEnd || read.status == net::IoStatus::kBroken) co_return;
      got += read.bytes;
    }
  }
  ok = true;
}

struct Room {
  explicit Room(bool big) : down(loop.Dial()), up(loop.Dial()) {
    net::Detach(Pod(loop.shard(), *up.server, big));
    forwarder = std::make_unique<Forwarder>(loop.shard(), down, up);
  }
  ~Room() {
    down.client.reset();
    (void)loop.RunUntil([&] { return forwarder->closed(); });
    forwarder.reset();
    while (loop.shard().Turn(std::chrono::milliseconds(20))) {
    }
  }
  bool Run(size_t times, size_t least) {
    bool ok = false;
    return loop.RunToEnd(AskFor(loop.shard(), *down.client, times, least, ok)) && ok;
  }
  Loopback loop;
  Loopback::Pair down;
  Loopback::Pair up;
  std::unique_ptr<Forwarder> forwarder;
};

TEST_CASE("a warm forwarded request allocates nothing") {
  Room room(false);
  REQUIRE(room.Run(10, 60));
  const size_t blocks = room.loop.shard().buffers().allocations();
  const size_t frames = net::FramePool::allocations();
  bool ok = false;
  bool ended = false;
  const auto run = [&]() -> Task<void> {
    co_await AskFor(room.loop.shard(), *room.down.client, 500, 60, ok);
    ended = true;
  };
  Task<void> task = run();
  const size_t heap = testing::g_heap.calls;
  net::Detach(std::move(task));
  for (int turns = 0; turns < 100'000 && !ended; ++turns) {
    room.loop.shard().Turn(std::chrono::milliseconds(20));
  }
  const size_t heap_after = testing::g_heap.calls;
  CHECK(ok);
  CHECK(heap_after == heap);
  CHECK(room.loop.shard().buffers().allocations() == blocks);
  CHECK(net::FramePool::allocations() <= frames + 4);
  CHECK(room.loop.shard().buffers().loaned_bytes() <= net::BufferPool::kSmall);
}

TEST_CASE("an idle connection is small, and a stream fits the pool of frames") {
  CHECK(sizeof(H1Server) <= 256);
  CHECK(sizeof(H1ServerStream) <= net::FramePool::kBytesMax);
}

TEST_CASE("sixty-four mebibytes pass through a few blocks") {
  Room room(true);
  REQUIRE(room.Run(1, kBig));
  CHECK(room.forwarder->loaned_most() <= 2 * net::BufferPool::kLarge + 4 * net::BufferPool::kSmall);
}

#ifndef ROUSE_SANITIZED
TEST_CASE("a warm forwarded request is one recv and one send for each of its four hops") {
  constexpr size_t kTimes = 200;
  std::unique_ptr<Room> room;
  const auto counted = net::testing::CountSyscalls(
      [&] {
        room = std::make_unique<Room>(false);
        (void)room->Run(10, 60);
      },
      [&] { (void)room->Run(kTimes, 60); });
  if (!counted) return;
  const auto count = [&](std::initializer_list<long> numbers) {
    size_t sum = 0;
    for (const long number : numbers) {
      const auto found = counted->find(number);
      sum += found == counted->end() ? 0 : found->second;
    }
    return sum;
  };
  CHECK(count({SYS_recvfrom, SYS_read, SYS_recvmsg}) == 4 * kTimes);
  CHECK(count({SYS_sendto, SYS_write, SYS_sendmsg}) == 4 * kTimes);
  size_t others = 0;
  for (const auto& [number, times] : *counted) {
    const bool known = number == SYS_recvfrom || number == SYS_sendto || number == SYS_sendmsg ||
                       number == SYS_epoll_wait || number == SYS_epoll_pwait;
    if (!known) others += times;
  }
  CHECK(others <= kTimes / 10);
}
#endif

}  // namespace
}  // namespace rouse::http
