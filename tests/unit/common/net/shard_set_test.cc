#include "common/net/shard_set.h"

#include <future>
#include <thread>

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

TEST_CASE("every shard has a thread of its own, and messages reach it") {
  SteadyClock clock;
  ShardSet shards(clock, {.count = 3, .seed = 1, .limits = {}});
  shards.Start();
  std::vector<std::promise<std::thread::id>> ids(3);
  for (size_t i = 0; i < 3; ++i) {
    shards.Post(i, [&ids, i] { ids[i].set_value(std::this_thread::get_id()); });
  }
  std::vector<std::thread::id> seen;
  for (auto& id : ids) {
    auto future = id.get_future();
    REQUIRE(future.wait_for(kPatience) == std::future_status::ready);
    seen.push_back(future.get());
  }
  CHECK(seen[0] != seen[1]);
  CHECK(seen[1] != seen[2]);
  CHECK(seen[0] != std::this_thread::get_id());
  shards.Stop();
  shards.Stop();
}

TEST_CASE("a broadcast reaches all, and what was gathered comes in the order of the shards") {
  SteadyClock clock;
  ShardSet shards(clock, {.count = 4, .seed = 1, .limits = {}});
  shards.Start();
  std::vector<int> counts(4);
  shards.Broadcast([&counts](Shard& shard) { counts[shard.id()] += 10; });
  std::promise<std::vector<int>> gathered;
  shards.Gather<int>(
      [&counts](Shard& shard) { return counts[shard.id()] + static_cast<int>(shard.id()); },
      [&gathered](std::vector<int> all) { gathered.set_value(std::move(all)); });
  auto future = gathered.get_future();
  REQUIRE(future.wait_for(kPatience) == std::future_status::ready);
  CHECK(future.get() == std::vector{10, 11, 12, 13});
}

TEST_CASE("shards post to each other across threads until a token has gone round") {
  SteadyClock clock;
  ShardSet shards(clock, {.count = 2, .seed = 1, .limits = {}});
  shards.Start();
  struct Token {
    ShardSet& shards;
    std::promise<void> done;
    int hops = 0;
    void Hop() {
      if (++hops == 10000) return done.set_value();
      shards.Post(static_cast<size_t>(hops % 2), [this] { Hop(); });
    }
  } token{shards, {}};
  shards.Post(0, [&token] { token.Hop(); });
  CHECK(token.done.get_future().wait_for(kPatience) == std::future_status::ready);
}

TEST_CASE("a message that was never run is destroyed with its shard") {
  SteadyClock clock;
  auto kept = std::make_shared<int>(1);
  {
    ShardSet shards(clock, {.count = 1, .seed = 1, .limits = {}});
    shards.Post(0, [kept] {});
    CHECK(kept.use_count() == 2);
  }
  CHECK(kept.use_count() == 1);
}

}  // namespace
}  // namespace rouse::net
