#pragma once
// What:      Lifecycle, how a program starts and stops: a list of named steps each way, run in
//            order on the Loop, each with a deadline and a log line.
// Owner:     main or App; the loop outlives it.
// Shard:     the control thread.
// Invariant: starting -> running -> draining -> over. A start step that fails or is late stops the
//            program (exit code 1); a drain step that is late is left behind and the next begins.
//            Draining may begin before all has started: a drain step must be harmless then.
// Never:     handles signals itself: main binds them to Stop (a second one ends at once, exit code
//            1).

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "common/base/clock.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::app {

class Lifecycle {
 public:
  /// Tells that a step has ended; to be called once, from any later turn or at once.
  using Done = std::function<void(absl::Status)>;

  struct Step {
    std::string name;
    Duration deadline = std::chrono::seconds(10);
    absl::AnyInvocable<void(Done)> run;
  };

  /// `on_over` gets the exit code, once, when everything has stopped.
  Lifecycle(control::Loop& loop, obs::Log& log, absl::AnyInvocable<void(int exit_code)> on_over);
  ~Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  void AddStart(Step step) { starts_.push_back(std::move(step)); }
  void AddDrain(Step step) { drains_.push_back(std::move(step)); }
  /// A step that is done when its function returns.
  void AddStart(std::string name, absl::AnyInvocable<absl::Status()> run);
  void AddDrain(std::string name, absl::AnyInvocable<void()> run);
  /// A drain step that polls: done once `done` says so, or at its deadline.
  void AddDrainWait(std::string name, Duration deadline, absl::AnyInvocable<bool()> done);
  /// A drain step that takes a while for others to notice, such as load balancers.
  void AddDrainPause(std::string name, Duration pause);

  void Start();
  /// First: begins to drain, also in the middle of starting. Again: over at once, with exit code 1.
  void Stop(std::string_view why);

  [[nodiscard]] bool running() const { return phase_ == Phase::kRunning; }
  [[nodiscard]] bool draining() const { return phase_ == Phase::kDraining; }

 private:
  enum class Phase : uint8_t { kIdle, kStarting, kRunning, kDraining, kOver };

  void RunNext();
  void RunStep(Step& step);
  void StepEnded(uint64_t serial, const absl::Status& status);
  void StepLate(uint64_t serial);
  void AllRun();
  void Drain(int exit_code);
  void Over(int exit_code);
  [[nodiscard]] std::vector<Step>& steps() {
    return phase_ == Phase::kStarting ? starts_ : drains_;
  }

  control::Loop& loop_;
  obs::Log& log_;
  absl::AnyInvocable<void(int)> on_over_;
  std::vector<Step> starts_;
  std::vector<Step> drains_;
  size_t next_ = 0;
  uint64_t serial_ = 0;  ///< of the step under way; an answer to an older one means nothing
  TimePoint began_;
  control::TimerId timer_ = 0;
  int exit_code_ = 0;
  Phase phase_ = Phase::kIdle;
  std::shared_ptr<Lifecycle*> self_;  ///< emptied when this goes: steps may answer later
};

}  // namespace rouse::app
