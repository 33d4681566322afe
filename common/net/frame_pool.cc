#include "common/net/frame_pool.h"

#include <array>
#include <memory>
#include <new>

#include <sanitizer/asan_interface.h>

namespace rouse::net {
namespace {

struct FreeFrame {
  FreeFrame* next;
};

struct Pool {
  static constexpr size_t kClasses = FramePool::kBytesMax / FramePool::kClassBytes + 1;
  std::array<FreeFrame*, kClasses> free{};
  size_t allocations = 0;

  ~Pool() {
    for (size_t i = 0; i < kClasses; ++i) {
      while (FreeFrame* const frame = free[i]) {
        ASAN_UNPOISON_MEMORY_REGION(frame, i * FramePool::kClassBytes);
        free[i] = frame->next;
        ::operator delete(frame);
      }
    }
  }
};

// operator new of a promise has no other way to its shard; a shard's thread has one pool.
thread_local Pool t_pool;

size_t ClassOf(size_t bytes) {
  return (bytes + FramePool::kClassBytes - 1) / FramePool::kClassBytes;
}

}  // namespace

void* FramePool::Take(size_t bytes) {
  Pool& pool = t_pool;
  const size_t size_class = ClassOf(bytes);
  if (size_class >= Pool::kClasses) {
    ++pool.allocations;
    return ::operator new(bytes);
  }
  FreeFrame*& head = pool.free[size_class];
  if (head == nullptr) {
    ++pool.allocations;
    return ::operator new(size_class * kClassBytes);
  }
  FreeFrame* const frame = head;
  ASAN_UNPOISON_MEMORY_REGION(frame, size_class * kClassBytes);
  head = frame->next;
  return frame;
}

void FramePool::Give(void* frame, size_t bytes) {
  const size_t size_class = ClassOf(bytes);
  if (size_class >= Pool::kClasses) {
    ::operator delete(frame);
    return;
  }
  FreeFrame*& head = t_pool.free[size_class];
  head = ::new (frame) FreeFrame{head};
  ASAN_POISON_MEMORY_REGION(frame, size_class * kClassBytes);
}

size_t FramePool::allocations() { return t_pool.allocations; }

}  // namespace rouse::net
