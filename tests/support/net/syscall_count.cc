#include "tests/support/net/syscall_count.h"

#include <csignal>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rouse::net::testing {
namespace {

constexpr int kCannotTrace = 77;
/// A call that the work itself never makes marks its beginning and its end.
constexpr long kMark = SYS_getppid;

[[noreturn]] void RunChild(const std::function<void()>& prepare,
                           const std::function<void()>& work) {
  prepare();
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kCannotTrace);
  raise(SIGSTOP);
  syscall(kMark);
  work();
  syscall(kMark);
  _exit(0);
}

/// The number of the call that a stopped child is about to make; -1 where it stopped for another
/// reason.
long EnteredCall(pid_t child) {
  __ptrace_syscall_info info{};
  if (ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), child, sizeof info, &info) <=
      0) {
    return -1;
  }
  return info.op == PTRACE_SYSCALL_INFO_ENTRY ? static_cast<long>(info.entry.nr) : -1;
}

}  // namespace

std::optional<std::map<long, size_t>> CountSyscalls(const std::function<void()>& prepare,
                                                    const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) RunChild(prepare, work);
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return std::nullopt;
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  std::map<long, size_t> counts;
  int marks = 0;
  while (true) {
    ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    const long number = EnteredCall(child);
    if (number == kMark) ++marks;
    if (marks == 1 && number >= 0 && number != kMark) ++counts[number];
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || marks != 2) return std::nullopt;
  return counts;
}

}  // namespace rouse::net::testing
