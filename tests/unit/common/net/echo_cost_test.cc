// What an exchange of bytes costs once it is warm: no allocation, and no system call beyond one
// send, one recv and its share of epoll_wait on each side (performance.md 5.16).

#include <cstdlib>
#include <new>

#include <catch2/catch.hpp>
#include <sys/syscall.h>

#include "tests/support/net/loopback.h"
#include "tests/support/net/syscall_count.h"

namespace {
size_t g_heap_calls = 0;  // this thread's tests only; read between two points of one test
}  // namespace

// The sanitizers bring an operator new of their own, and calls to the system.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ROUSE_SANITIZED 1
#endif
#endif

#ifndef ROUSE_SANITIZED
// NOLINTBEGIN: the whole runner counts what it allocates.
void* operator new(size_t bytes) {
  __atomic_add_fetch(&g_heap_calls, 1, __ATOMIC_RELAXED);
  if (void* const memory = std::malloc(bytes)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
// NOLINTEND
#endif

namespace rouse::net {
namespace {

using testing::Loopback;

constexpr size_t kPairs = 16;
constexpr size_t kEchoes = 500;
constexpr std::string_view kPing = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

Task<size_t> ReadSome(Transport& transport, std::span<char> into, TimePoint deadline) {
  const Wake why = co_await transport.WaitReadable(deadline);
  if (why == Wake::kDeadline) co_return 0;
  co_return transport.Read(into).bytes;
}

/// Answers until the peer ends.
Task<void> Serve(Shard& shard, Transport& transport) {
  while (true) {
    const Block block = shard.buffers().TakeSmall();
    const size_t bytes = co_await ReadSome(transport, block.span(), kNever);
    if (bytes == 0) co_return;
    const std::string_view answer(block.data(), bytes);
    (void)transport.Write({&answer, 1});
  }
}

/// Asks `*left` times; ends early at the deadline.
Task<void> Ask(Shard& shard, Transport& transport, size_t times, size_t& ended) {
  for (size_t i = 0; i < times; ++i) {
    const Block block = shard.buffers().TakeSmall();
    if (transport.Write({&kPing, 1}).bytes != kPing.size()) co_return;
    const TimePoint deadline = Later(shard.now(), std::chrono::seconds(20));
    const size_t bytes = co_await ReadSome(transport, block.span(), deadline);
    if (bytes != kPing.size()) co_return;
  }
  ++ended;
}

/// Connections with a server each, and a way to run echoes on all of them.
struct EchoRoom {
  explicit EchoRoom(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      pairs.push_back(loop.Dial());
      if (pairs.back().server) Detach(Serve(loop.shard(), *pairs.back().server));
    }
  }
  ~EchoRoom() {
    for (auto& pair : pairs) pair.client.reset();
    while (loop.shard().Turn(std::chrono::milliseconds(50))) {
    }
  }
  bool Run(size_t times) {
    size_t ended = 0;
    for (auto& pair : pairs) Detach(Ask(loop.shard(), *pair.client, times, ended));
    const TimePoint give_up = loop.soon();
    while (ended < pairs.size() && loop.shard().now() < give_up) {
      loop.shard().Turn(std::chrono::milliseconds(20));
    }
    return ended == pairs.size();
  }
  Loopback loop;
  std::vector<Loopback::Pair> pairs;
};

TEST_CASE("a warm echo allocates nothing, from no pool and not from the heap") {
  EchoRoom room(kPairs);
  REQUIRE(room.Run(10));
  const size_t heap = __atomic_load_n(&g_heap_calls, __ATOMIC_RELAXED);
  const size_t frames = FramePool::allocations();
  const size_t blocks = room.loop.shard().buffers().allocations();
  const bool ran = room.Run(kEchoes);
  const size_t heap_after = __atomic_load_n(&g_heap_calls, __ATOMIC_RELAXED);
  CHECK(ran);
  CHECK(heap_after == heap);
  CHECK(FramePool::allocations() == frames);
  CHECK(room.loop.shard().buffers().allocations() == blocks);
#ifndef ROUSE_SANITIZED
  CHECK(heap > 0);
#endif
}

#ifndef ROUSE_SANITIZED
TEST_CASE("a warm echo makes one send and one recv on each side, and nothing but waits besides") {
  const size_t count = GENERATE(size_t{1}, kPairs);
  std::unique_ptr<EchoRoom> room;
  const auto counts = testing::CountSyscalls(
      [&] {
        room = std::make_unique<EchoRoom>(count);
        if (!room->Run(10)) std::abort();
      },
      [&] {
        if (!room->Run(kEchoes)) std::abort();
      });
  if (!counts) {
    WARN("tracing is not allowed here: system calls were not counted");
    return;
  }
  const size_t echoes = count * kEchoes;
  for (const auto& [number, calls] : *counts) {
    INFO("system call " << number << ": " << calls << " for " << echoes << " echoes");
    switch (number) {
      case SYS_sendto:
      case SYS_recvfrom:
        CHECK(calls == 2 * echoes);
        break;
      // One wait brings what all connections have sent meanwhile.
      case SYS_epoll_wait:
        CHECK(calls <= 2 * echoes / count + echoes / 8);
        break;
      default:
        CHECK(calls == 0);
    }
  }
  CHECK(counts->count(SYS_sendto) == 1);
  CHECK(counts->count(SYS_recvfrom) == 1);
}
#endif

}  // namespace
}  // namespace rouse::net
