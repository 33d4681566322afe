#pragma once
// What:   HeapCount, what this runner's operator new has been asked for.
// Owner:  the runner; of its one thread.
// Limits: nothing is counted under the sanitizers (ROUSE_SANITIZED), which bring an operator new of
//         their own; malloc itself, which C libraries call, never is.

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ROUSE_SANITIZED 1
#endif
#endif

namespace rouse::http::testing {

struct HeapCount {
  size_t calls = 0;
  size_t bytes = 0;  ///< given and not got back
};
extern HeapCount g_heap;

}  // namespace rouse::http::testing
