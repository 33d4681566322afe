#pragma once
// What:      AsioLoop, the Loop over an io_context: tasks, timers, signals.
// Owner:     RealNetwork. Outlives all that uses it.
// Shard:     the control thread; Post and Stop from any thread.
// Invariant: timers run in the order of their times, those of one time in the order they were set.
// Never:     runs a task inline from Post or At; runs anything once its destruction has begun.

#include <memory>

#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include "common/control/channel.h"

namespace boost::asio {
class io_context;
}

namespace rouse::control {

class AsioLoop final : public Loop {
 public:
  explicit AsioLoop(const Clock& clock);
  ~AsioLoop() override;

  void Post(Task task) override;
  TimerId At(TimePoint when, Task task) override;
  void Cancel(TimerId timer) override;
  [[nodiscard]] const Clock& clock() const override { return clock_; }

  void Run();
  void Stop();
  bool RunUntil(absl::FunctionRef<bool()> done, Duration most);
  void OnSignal(int signal, absl::AnyInvocable<void()> told);

  [[nodiscard]] boost::asio::io_context& io();

 private:
  struct Parts;
  void Arm();
  void FireDue();

  const Clock& clock_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rouse::control
