#include "k8s/child_process.h"

#include <csignal>
#include <cstring>

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace rouse::k8s {

namespace {

/// All that the child needs between vfork and exec; it may touch nothing else of ours.
struct Launch {
  const char* const* argv;
  const char* const* environment;
  const char* working_dir;
  int input;
  int output;
  int errors;
  pid_t parent;
  volatile int error;
};

[[noreturn]] void RunChild(Launch& launch) {
  // Dies with us. If we are dead already, the signal will never come.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launch.parent) _exit(127);
  setpgid(0, 0);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(launch.input, STDIN_FILENO) < 0 || dup2(launch.output, STDOUT_FILENO) < 0 ||
      dup2(launch.errors, STDERR_FILENO) < 0) {
    launch.error = errno;
    _exit(127);
  }
  close_range(3, ~0U, 0);
  if (launch.working_dir != nullptr && chdir(launch.working_dir) != 0) {
    launch.error = errno;
    _exit(127);
  }
  execvpe(launch.argv[0], const_cast<char* const*>(launch.argv),
          const_cast<char* const*>(launch.environment));
  launch.error = errno;
  _exit(127);
}

/// The child borrows our memory and we stand still until it has called exec, so that a start costs
/// the same however large we are. Not inlined: the child must not write to a frame that goes on
/// being used.
[[gnu::noinline]] pid_t Fork(Launch& launch) {
  // posix_spawn, which the checks ask for, cannot set the signal of our death (PR_SET_PDEATHSIG).
  const pid_t child = vfork();       // NOLINT(bugprone-unsafe-functions,clang-analyzer-*)
  if (child == 0) RunChild(launch);  // NOLINT(clang-analyzer-unix.Vfork)
  return child;
}

std::vector<const char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status StartError(const ChildSpec& spec, int error) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot run ", spec.argv[0], spec.working_dir.empty() ? "" : " in ",
                          spec.working_dir));
}

}  // namespace

ChildProcesses::~ChildProcesses() {
  for (const auto& [child, on_end] : children_) kill(-child, SIGKILL);
  for (const auto& [child, on_end] : children_) waitpid(child, nullptr, 0);
}

absl::StatusOr<pid_t> ChildProcesses::Start(const ChildSpec& spec, EndHandler on_end) {
  if (spec.argv.empty()) return absl::InvalidArgumentError("there is no command to run");
  if (children_.size() >= kChildrenMax) {
    return absl::ResourceExhaustedError("too many child processes");
  }
  const std::vector<const char*> argv = Pointers(spec.argv);
  const std::vector<const char*> environment = Pointers(spec.environment);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return absl::ErrnoToStatus(errno, "cannot open /dev/null");
  const int output = spec.output >= 0 ? spec.output : null;
  Launch launch{argv.data(),
                environment.data(),
                spec.working_dir.empty() ? nullptr : spec.working_dir.c_str(),
                null,
                output,
                spec.errors >= 0 ? spec.errors : output,
                getpid(),
                0};
  // No handler of ours may run in the child while it borrows our memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = Fork(launch);
  const int fork_error = child < 0 ? errno : 0;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  close(null);
  if (child < 0) return absl::ErrnoToStatus(fork_error, "cannot start a process");
  if (launch.error != 0) {
    waitpid(child, nullptr, 0);
    return StartError(spec, launch.error);
  }
  children_[child] = std::move(on_end);
  return child;
}

void ChildProcesses::Signal(pid_t child, int signal) {
  if (children_.contains(child)) kill(child, signal);
}

void ChildProcesses::Kill(pid_t child) {
  if (children_.contains(child)) kill(-child, SIGKILL);
}

void ChildProcesses::Reap() {
  std::vector<std::pair<EndHandler, ChildEnd>> ended;
  for (auto at = children_.begin(); at != children_.end();) {
    siginfo_t info{};
    const int result =
        waitid(P_PID, static_cast<id_t>(at->first), &info, WEXITED | WNOHANG | WNOWAIT);
    if (result != 0 || info.si_pid == 0) {
      ++at;
      continue;
    }
    // While it is a zombie its group cannot be anybody else's.
    kill(-at->first, SIGKILL);
    waitpid(at->first, nullptr, 0);
    const bool exited = info.si_code == CLD_EXITED;
    ended.emplace_back(
        std::move(at->second),
        ChildEnd{exited ? info.si_status : 128 + info.si_status, exited ? 0 : info.si_status});
    at = children_.erase(at);
  }
  for (auto& [on_end, end] : ended) on_end(end);
}

std::vector<std::string> InheritedEnvironment(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
      if (std::string_view(*at).starts_with(name + "=")) found.emplace_back(*at);
    }
  }
  return found;
}

std::vector<std::string> WholeEnvironment() {
  std::vector<std::string> found;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) found.emplace_back(*at);
  return found;
}

}  // namespace rouse::k8s
