#include "common/net/buffer_pool.h"

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

TEST_CASE("a block goes back when it is released, destroyed or overwritten, and is used again") {
  BufferPool pool(1 << 20);
  Block block = pool.TakeSmall();
  REQUIRE(block);
  CHECK(block.size() == BufferPool::kSmall);
  char* const data = block.data();
  CHECK(pool.loaned_bytes() == BufferPool::kSmall);
  block.Release();
  CHECK_FALSE(block);
  CHECK(pool.loaned_bytes() == 0);
  block = pool.TakeSmall();
  CHECK(block.data() == data);
  block = pool.TakeLarge();
  CHECK(pool.loaned_bytes() == BufferPool::kLarge);
  {
    const Block moved = std::move(block);
  }
  CHECK(pool.loaned_bytes() == 0);
  CHECK(pool.allocations() == 2);
}

TEST_CASE("beyond its limit the pool says no, and again yes when a block has come back") {
  BufferPool pool(2 * BufferPool::kSmall);
  Block first = pool.TakeSmall();
  const Block second = pool.TakeSmall();
  CHECK(second);
  CHECK_FALSE(pool.TakeSmall());
  CHECK_FALSE(pool.TakeLarge());
  first.Release();
  CHECK(pool.TakeSmall());
}

TEST_CASE("idle blocks of one size make room for the other") {
  BufferPool pool(BufferPool::kLarge);
  for (int i = 0; i < 3; ++i) {
    Block blocks[BufferPool::kLarge / BufferPool::kSmall];
    for (Block& block : blocks) {
      block = pool.TakeSmall();
      REQUIRE(block);
    }
    CHECK_FALSE(pool.TakeLarge());
    for (Block& block : blocks) block.Release();
    CHECK(pool.TakeLarge());
  }
}

}  // namespace
}  // namespace rouse::net
