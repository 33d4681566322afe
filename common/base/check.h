#pragma once
// What:  CHECK, DCHECK, UNREACHABLE: a programmer's error crashes with its message and place.
// Owner: nobody; macros. Any thread.
// Never: used for anything a peer, the network or a cluster can cause; those are values (error.h).
//        (abseil's LTS in Debian 12 has no log library, so these are ours.)

#include <cstdio>
#include <cstdlib>

namespace rouse {

/// Prints place and message to standard error and aborts.
[[noreturn, gnu::cold]] inline void CheckFailed(const char* file, int line, const char* message) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, message);
  std::abort();
}

}  // namespace rouse

#define ROUSE_CHECK(condition) \
  (static_cast<bool>(condition) ? (void)0 : ::rouse::CheckFailed(__FILE__, __LINE__, #condition))

// Catch2 has a CHECK of its own, which stands in tests.
#ifndef CHECK
#define CHECK(condition) ROUSE_CHECK(condition)
#endif

#ifdef NDEBUG
#define DCHECK(condition) ((void)sizeof(static_cast<bool>(condition)))
#else
#define DCHECK(condition) ROUSE_CHECK(condition)
#endif

#define UNREACHABLE() ::rouse::CheckFailed(__FILE__, __LINE__, "unreachable")
