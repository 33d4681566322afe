#pragma once
// What:      ExecProcess, one run of a credential plugin: a child process with a deadline, whose
//            answer is read when it has ended. ServePlugin gives Credentials theirs.
// Owner:     ExecCredentials, while it waits. Control thread; nothing blocks it.
// Limits:    kDeadline; kOutputMax bytes of answer, which lie in its pipe until it ends.
// Never:     gives the plugin a terminal, or our descriptors; what it says on standard error goes
//            to ours, as kubectl does it.

#include <memory>

#include "common/control/real_network.h"
#include "common/obs/log.h"
#include "k8s/child_process.h"
#include "k8s/credentials.h"
#include "k8s/exec_credentials.h"
#include "k8s/exec_plugin.h"

namespace rouse::k8s {

class ExecProcess final : public ExecRun {
 public:
  static constexpr Duration kDeadline = std::chrono::seconds(60);
  static constexpr size_t kOutputMax = 64 * 1024;

  /// `children` and `plugin` outlive it. `done` never runs inline.
  ExecProcess(control::Loop& loop, ChildProcesses& children, const ExecPlugin& plugin,
              ExecDone done, Duration deadline = kDeadline);
  ~ExecProcess() override;  ///< kills what still runs
  ExecProcess(const ExecProcess&) = delete;
  ExecProcess& operator=(const ExecProcess&) = delete;

 private:
  [[nodiscard]] absl::Status Start();
  void OnEnd(ChildEnd end);
  void OnLate();
  [[nodiscard]] std::string ReadOutput() const;
  void Finish(absl::StatusOr<ExecCredential> outcome);

  control::Loop& loop_;
  ChildProcesses& children_;
  const ExecPlugin& plugin_;
  ExecDone done_;
  int output_ = -1;  ///< our end of its standard output
  pid_t child_ = 0;  ///< 0: does not run
  control::TimerId timer_ = 0;
  /// A child's end may be told after we have gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Where `credentials` name a plugin, it is run on `network`'s loop from now on.
void ServePlugin(control::RealNetwork& network, obs::Log& log, uint64_t seed,
                 Credentials& credentials);

}  // namespace rouse::k8s
