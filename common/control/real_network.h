#pragma once
// What:  RealNetwork, the Network of real sockets, real time and signals, and the loop that drives
//        it.
// Owner: one per program, built in main; outlives every client, listener, channel and call made by
//        it.
// Shard: the thread that calls Run() is the control thread. Stop() and Loop::Post from any thread.
// Never: starts a thread of ours (resolving names uses one inside the library).

#include <memory>

#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include "common/base/clock.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::control {

class RealNetwork : public Network {
 public:
  /// Runs handlers until Stop().
  virtual void Run() = 0;
  /// Makes Run() return, this one or the next, once what was posted before has run. Any thread.
  virtual void Stop() = 0;
  /// Runs handlers until `done` says so (asked after each one); false after `most`, or a Stop().
  /// For tests.
  virtual bool RunUntil(absl::FunctionRef<bool()> done, Duration most) = 0;
  /// Calls `told` on the control thread each time the process gets `signal`.
  virtual void OnSignal(int signal, absl::AnyInvocable<void()> told) = 0;
};

/// `clock` must run with real time.
[[nodiscard]] std::unique_ptr<RealNetwork> NewRealNetwork(const Clock& clock, obs::Log& log);

}  // namespace rouse::control
