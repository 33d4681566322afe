#include "tests/support/net/pipe_transport.h"

#include <catch2/catch.hpp>

#include "tests/support/net/loopback.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::net::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Room {
  explicit Room(PipeOptions options)
      : shards(clock, options.seed, 2),
        pair(PipeTransport::Make(shards.shard(0), shards.shard(1), options)) {}
  SimClock clock;
  SimShards shards;
  PipeTransport::Pair pair;
};

Task<void> WriteThenEnd(Transport& transport, std::string_view data, TimePoint deadline, bool& ok) {
  co_await WriteAll(transport, data, deadline, ok);
  transport.ShutdownWrite();
}

std::string Pattern(size_t bytes) {
  std::string data(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 131 >> 3);
  return data;
}

TEST_CASE("a pipe that splits and delays carries every byte in order, through its window") {
  const auto seed = GENERATE(range(1, 30));
  PipeOptions options{.seed = static_cast<uint64_t>(seed)};
  options.window = 1000;
  options.from_first = {.split = seed % 2 == 0, .delay_most = milliseconds(seed % 3 * 5)};
  Room room(options);
  const std::string data = Pattern(50'000);
  std::string got;
  bool wrote = false;
  bool ended = false;
  const TimePoint deadline = room.clock.now() + seconds(100);
  Detach(ReadToEnd(*room.pair.second, deadline, got, ended));
  Detach(WriteThenEnd(*room.pair.first, data, deadline, wrote));
  room.shards.Advance(seconds(101));
  CHECK(wrote);
  CHECK(ended);
  CHECK((got == data));
}

TEST_CASE("the window holds back a writer whose peer does not read") {
  Room room({.seed = 3, .window = 100, .from_first = {}, .from_second = {}});
  const std::string data = Pattern(250);
  bool wrote = false;
  Detach(WriteAll(*room.pair.first, data, kNever, wrote));
  room.shards.RunUntilIdle();
  CHECK(room.pair.first->bytes_written() == 100);
  char buffer[1000];
  for (int i = 0; i < 2; ++i) {
    CHECK(room.pair.second->Read(buffer).bytes == 100);
    CHECK_FALSE(room.pair.second->readable());
    room.shards.RunUntilIdle();
  }
  CHECK(room.pair.second->Read(buffer).bytes == 50);
  CHECK(wrote);
}

TEST_CASE("a reset after some bytes breaks both ends, and what had arrived can still be read") {
  PipeOptions options{.seed = 5};
  options.from_first.reset_after = 10;
  Room room(options);
  const std::string_view data = "0123456789";
  CHECK(room.pair.first->Write({&data, 1}).bytes == 10);
  room.shards.RunUntilIdle();
  CHECK(room.pair.first->broken());
  CHECK(room.pair.second->broken());
  char buffer[100];
  CHECK(room.pair.second->Read(buffer).bytes == 10);
  CHECK(room.pair.second->Read(buffer).status == IoStatus::kBroken);
  CHECK(room.pair.second->Write({&data, 1}).status == IoStatus::kBroken);
}

TEST_CASE("a FIN ends one direction and leaves the other") {
  Room room({.seed = 6});
  room.pair.first->ShutdownWrite();
  room.shards.RunUntilIdle();
  char buffer[100];
  CHECK(room.pair.second->hung_up());
  CHECK(room.pair.second->Read(buffer).status == IoStatus::kEnd);
  const std::string_view data = "back";
  CHECK(room.pair.second->Write({&data, 1}).bytes == 4);
  room.shards.RunUntilIdle();
  CHECK(room.pair.first->Read(buffer).bytes == 4);
}

TEST_CASE("closing over unread bytes resets, and writing to an end that is gone is answered so") {
  Room room({.seed = 7});
  const std::string_view data = "unread";
  CHECK(room.pair.first->Write({&data, 1}).bytes == 6);
  room.shards.RunUntilIdle();
  room.pair.second.reset();
  room.shards.RunUntilIdle();
  CHECK(room.pair.first->broken());

  Room quiet({.seed = 8});
  quiet.pair.second.reset();
  quiet.shards.RunUntilIdle();
  CHECK(quiet.pair.first->hung_up());
  CHECK_FALSE(quiet.pair.first->broken());
  CHECK(quiet.pair.first->Write({&data, 1}).bytes == 6);
  quiet.shards.RunUntilIdle();
  CHECK(quiet.pair.first->broken());
}

TEST_CASE("corruption changes bytes, not their number") {
  PipeOptions options{.seed = 9};
  options.from_first.corrupt = 1;
  Room room(options);
  const std::string data = Pattern(64);
  const std::string_view view = data;
  CHECK(room.pair.first->Write({&view, 1}).bytes == 64);
  room.shards.RunUntilIdle();
  std::string got(64, '\0');
  CHECK(room.pair.second->Read(got).bytes == 64);
  CHECK(got != data);
}

}  // namespace
}  // namespace rouse::net::testing
