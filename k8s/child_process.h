#pragma once
// What:      ChildProcesses: starts programs without copying our memory (vfork), each in a process
//            group of its own, signals them and tells how they ended. For the runner's pods and for
//            exec plugins.
// Owner:     a program's main, or a test; outlives nothing it started. Control thread; Reap() on
//            SIGCHLD.
// Invariant: no child outlives its ChildProcesses, nor this process (PR_SET_PDEATHSIG); what a
//            child leaves in its group is killed when the child ends.
// Limits:    kChildrenMax at a time.

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

namespace rouse::k8s {

inline constexpr size_t kChildrenMax = 4096;

struct ChildSpec {
  std::vector<std::string> argv;         ///< argv[0] is looked up in our PATH
  std::vector<std::string> environment;  ///< NAME=VALUE, all of it
  std::string working_dir;               ///< empty: ours
  int output = -1;                       ///< descriptor for standard output; -1: /dev/null
  int errors = -1;                       ///< the same for standard error; -1: as output
};

struct ChildEnd {
  int code = 0;    ///< exit code; 128 + signal where a signal ended it
  int signal = 0;  ///< 0: it exited
};

class ChildProcesses {
 public:
  using EndHandler = absl::AnyInvocable<void(ChildEnd)>;

  ChildProcesses() = default;
  ~ChildProcesses();  ///< kills what runs, and waits for it
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;

  /// Returns once the program runs (or could not be run: kNotFound, kPermissionDenied, ...).
  /// `on_end` is called from Reap().
  [[nodiscard]] absl::StatusOr<pid_t> Start(const ChildSpec& spec, EndHandler on_end);
  /// To the child alone; nothing where it has ended.
  void Signal(pid_t child, int signal);
  /// SIGKILL to the child and all that it has started in its group.
  void Kill(pid_t child);
  /// Takes in every child of ours that has ended.
  void Reap();
  [[nodiscard]] size_t running() const { return children_.size(); }

 private:
  std::map<pid_t, EndHandler> children_;
};

/// The named variables of our own environment, as NAME=VALUE, where they are set.
[[nodiscard]] std::vector<std::string> InheritedEnvironment(const std::vector<std::string>& names);

/// All of them.
[[nodiscard]] std::vector<std::string> WholeEnvironment();

}  // namespace rouse::k8s
