#pragma once
// What:      CountSyscalls, the system calls that a piece of work makes, by number; counted with
//            ptrace in a child, so that none escapes, whichever library makes it.
// Owner:     a test that measures. The calling process must have one thread.
// Limits:    gives up, with nothing, where tracing is not allowed.

#include <functional>
#include <map>
#include <optional>

namespace rouse::net::testing {

/// Runs `prepare` and then `work` in a child process; counts what `work` does.
[[nodiscard]] std::optional<std::map<long, size_t>> CountSyscalls(
    const std::function<void()>& prepare, const std::function<void()>& work);

}  // namespace rouse::net::testing
