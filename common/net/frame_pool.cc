#include "common/net/frame_pool.h"

#include <array>
#include <memory>
#include <new>

#include <sanitizer/asan_interface.h>

namespace rouse::net {
namespace {

/// The heap keeps eight bytes of its own in front of each piece, so that pieces of a whole number
/// of classes less those leave no gaps.
constexpr size_t kHeapBytes = 8;

size_t ClassOf(size_t bytes) {
  return (bytes + kHeapBytes + FramePool::kClassBytes - 1) / FramePool::kClassBytes;
}

size_t BytesOf(size_t size_class) { return size_class * FramePool::kClassBytes - kHeapBytes; }

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
        ASAN_UNPOISON_MEMORY_REGION(frame, BytesOf(i));
        free[i] = frame->next;
        ::operator delete(frame);
      }
    }
  }
};

// operator new of a promise has no other way to its shard; a shard's thread has one pool.
thread_local Pool t_pool;

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
    return ::operator new(BytesOf(size_class));
  }
  FreeFrame* const frame = head;
  ASAN_UNPOISON_MEMORY_REGION(frame, BytesOf(size_class));
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
  ASAN_POISON_MEMORY_REGION(frame, BytesOf(size_class));
}

size_t FramePool::allocations() { return t_pool.allocations; }

}  // namespace rouse::net
