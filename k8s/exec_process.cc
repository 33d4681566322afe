#include "k8s/exec_process.h"

#include <csignal>
#include <utility>

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

namespace rouse::k8s {
namespace {

/// Our environment with what the plugin is given beside it or instead.
std::vector<std::string> EnvironmentOf(const ExecPlugin& plugin) {
  std::vector<std::string> all = WholeEnvironment();
  for (const std::string& variable : plugin.environment) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    std::erase_if(all, [&](const std::string& each) { return each.starts_with(name); });
    all.push_back(variable);
  }
  return all;
}

}  // namespace

ExecProcess::ExecProcess(control::Loop& loop, ChildProcesses& children, const ExecPlugin& plugin,
                         ExecDone done, Duration deadline)
    : loop_(loop), children_(children), plugin_(plugin), done_(std::move(done)) {
  const absl::Status started = Start();
  if (started.ok()) {
    timer_ = loop_.At(Later(loop_.now(), deadline), [this] { OnLate(); });
  } else {
    timer_ = loop_.At(loop_.now(), [this, started] { Finish(started); });
  }
}

ExecProcess::~ExecProcess() {
  *alive_ = false;
  loop_.Cancel(timer_);
  if (child_ != 0) children_.Kill(child_);
  if (output_ >= 0) close(output_);
}

absl::Status ExecProcess::Start() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "pipe");
  output_ = ends[0];
  // The plugin is to find an ordinary pipe, which waits.
  (void)fcntl(ends[1], F_SETFL, 0);
  (void)fcntl(ends[1], F_SETPIPE_SZ, kOutputMax);
  ChildSpec spec;
  spec.argv = {plugin_.command};
  spec.argv.insert(spec.argv.end(), plugin_.args.begin(), plugin_.args.end());
  spec.environment = EnvironmentOf(plugin_);
  spec.output = ends[1];
  spec.errors = STDERR_FILENO;
  absl::StatusOr<pid_t> child = children_.Start(spec, [this, alive = alive_](ChildEnd end) {
    if (*alive) OnEnd(end);
  });
  close(ends[1]);
  if (child.ok()) {
    child_ = *child;
    return absl::OkStatus();
  }
  const std::string& hint = plugin_.install_hint;
  return absl::UnauthenticatedError(absl::StrCat("credential plugin: ", child.status().message(),
                                                 hint.empty() ? "" : "; ", hint));
}

void ExecProcess::OnEnd(ChildEnd end) {
  child_ = 0;
  if (end.code != 0) {
    return Finish(absl::UnauthenticatedError(
        absl::StrCat("credential plugin ", plugin_.command, " ended with ", end.code)));
  }
  absl::StatusOr<ExecCredential> read = ParseExecCredential(ReadOutput(), plugin_.api_version);
  if (read.ok()) return Finish(std::move(read));
  Finish(absl::UnauthenticatedError(
      absl::StrCat("credential plugin ", plugin_.command, " answered: ", read.status().message())));
}

void ExecProcess::OnLate() {
  timer_ = 0;
  const bool full = ReadOutput().size() >= kOutputMax;
  Finish(absl::UnauthenticatedError(
      absl::StrCat("credential plugin ", plugin_.command,
                   full ? " answered more than 64 KiB" : " did not end in time")));
}

std::string ExecProcess::ReadOutput() const {
  std::string text(kOutputMax, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(output_, text.data() + size, text.size() - size);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return text;
}

void ExecProcess::Finish(absl::StatusOr<ExecCredential> outcome) {
  // The one who is told may destroy us.
  ExecDone done = std::exchange(done_, nullptr);
  if (done) done(std::move(outcome));
}

void ServePlugin(control::RealNetwork& network, obs::Log& log, uint64_t seed,
                 Credentials& credentials) {
  if (!credentials.plugin()) return;
  const auto children = std::make_shared<ChildProcesses>();
  network.OnSignal(SIGCHLD, [children] { children->Reap(); });
  credentials.UsePlugin(std::make_unique<ExecCredentials>(
      network.loop(), log, seed,
      [&network, children, plugin = *credentials.plugin()](ExecDone done) {
        return std::make_unique<ExecProcess>(network.loop(), *children, plugin, std::move(done));
      }));
}

}  // namespace rouse::k8s
