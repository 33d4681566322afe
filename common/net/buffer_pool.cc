#include "common/net/buffer_pool.h"

#include <memory>

#include <sanitizer/asan_interface.h>

#include "common/base/check.h"

namespace rouse::net {

namespace {

/// Gives one idle block back to the heap.
void DropOne(std::vector<char*>& idle, size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(idle.back(), size);
  const std::unique_ptr<char[]> block(idle.back());
  idle.pop_back();
}

}  // namespace

void Block::Release() {
  if (pool_ == nullptr) return;
  std::exchange(pool_, nullptr)->Give(std::exchange(data_, {}));
}

BufferPool::~BufferPool() {
  CHECK(loaned_ == 0);
  while (!small_.empty()) DropOne(small_, kSmall);
  while (!large_.empty()) DropOne(large_, kLarge);
}

Block BufferPool::Take(std::vector<char*>& idle, size_t size) {
  if (!idle.empty()) {
    char* const data = idle.back();
    idle.pop_back();
    ASAN_UNPOISON_MEMORY_REGION(data, size);
    loaned_ += size;
    return {this, {data, size}};
  }
  // Idle blocks of the other size make room.
  std::vector<char*>& other = size == kSmall ? large_ : small_;
  const size_t other_size = size == kSmall ? kLarge : kSmall;
  while (held_ + size > bytes_max_ && !other.empty()) {
    DropOne(other, other_size);
    held_ -= other_size;
  }
  if (held_ + size > bytes_max_) return {};
  ++allocations_;
  held_ += size;
  loaned_ += size;
  return {this, {std::make_unique_for_overwrite<char[]>(size).release(), size}};
}

void BufferPool::Give(std::span<char> data) {
  DCHECK(loaned_ >= data.size());
  loaned_ -= data.size();
  ASAN_POISON_MEMORY_REGION(data.data(), data.size());
  (data.size() == kSmall ? small_ : large_).push_back(data.data());
}

}  // namespace rouse::net
