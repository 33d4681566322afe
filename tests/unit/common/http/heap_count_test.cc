#include "tests/unit/common/http/heap_count.h"

#include <cstdlib>
#include <new>

#include <malloc.h>

namespace rouse::http::testing {
HeapCount g_heap;
}  // namespace rouse::http::testing

#ifndef ROUSE_SANITIZED
// NOLINTBEGIN: the whole runner counts what it allocates.
void* operator new(size_t bytes) {
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  ++rouse::http::testing::g_heap.calls;
  rouse::http::testing::g_heap.bytes += malloc_usable_size(memory);
  return memory;
}
void operator delete(void* memory) noexcept {
  rouse::http::testing::g_heap.bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
// NOLINTEND
#endif
