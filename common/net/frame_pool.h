#pragma once
// What:      FramePool, memory for coroutine frames: free lists per size class, LIFO, so that the
//            frame used last is the next one and is still in cache.
// Owner:     one per thread (thread_local), since operator new of a promise has no other way to its
//            shard.
// Limits:    frames up to kBytesMax are pooled, larger ones go to the heap; a list never gives
//            memory back before its thread ends, so its size is the most frames that were alive at
//            once.

#include <cstddef>

namespace rouse::net {

class FramePool {
 public:
  static constexpr size_t kClassBytes = 16;
  static constexpr size_t kBytesMax = 4096;

  [[nodiscard]] static void* Take(size_t bytes);
  static void Give(void* frame, size_t bytes);
  /// Heap allocations made so far by this thread's pool; a warm request makes none.
  [[nodiscard]] static size_t allocations();
};

/// Memory of a container from the thread's FramePool.
template <typename T>
struct FrameAllocator {
  using value_type = T;
  FrameAllocator() = default;
  template <typename U>
  explicit FrameAllocator(const FrameAllocator<U>&) {}
  [[nodiscard]] T* allocate(size_t count) {
    return static_cast<T*>(FramePool::Take(count * sizeof(T)));
  }
  void deallocate(T* memory, size_t count) { FramePool::Give(memory, count * sizeof(T)); }
  bool operator==(const FrameAllocator&) const = default;
};

}  // namespace rouse::net
