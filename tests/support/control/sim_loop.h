#pragma once
// What:      SimLoop, the Loop on simulated time: tasks and timers in one queue, run by the test.
// Owner:     one per simulation.
// Invariant: events run in the order of their times, those of one time in the order they were set.
// Limits:    RunUntilIdle gives up, with a crash, after a million events at one moment.

#include <map>
#include <unordered_map>
#include <utility>

#include "common/control/channel.h"
#include "tests/support/control/sim_clock.h"

namespace rouse::control {

class SimLoop final : public Loop {
 public:
  explicit SimLoop(SimClock& clock) : clock_(clock) {}
  /// Events go without running, and may look at the loop as they do.
  ~SimLoop() override;

  void Post(Task task) override { At(clock_.now(), std::move(task)); }
  TimerId At(TimePoint when, Task task) override;
  void Cancel(TimerId timer) override;
  [[nodiscard]] const Clock& clock() const override { return clock_; }

  /// When the next event is due; kNever without one.
  [[nodiscard]] TimePoint next_due() const;
  /// Moves time to the next event and runs it; false without one.
  bool Step();
  /// Runs all that is due now; time stands still.
  void RunUntilIdle();
  /// Runs all that is due up to `when`, and leaves the time there.
  void RunUntil(TimePoint when);
  void RunFor(Duration time) { RunUntil(clock_.now() + time); }

 private:
  using Due = std::pair<TimePoint, TimerId>;
  SimClock& clock_;
  std::map<Due, Task> events_;
  std::unordered_map<TimerId, TimePoint> when_;
  TimerId last_ = 0;
};

}  // namespace rouse::control
