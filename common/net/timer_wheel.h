#pragma once
// What:      TimerWheel and Timer: deadlines of one shard, intrusive and coarse (kTick).
// Owner:     the shard owns the wheel; whoever waits owns its Timer, which cancels itself when destroyed.
// Shard:     one; never shared.
// Limits:    a timer fires at or after its deadline, later by at most one tick plus the turn's length.
// Invariant: arming a timer that is already set to a LATER time is one store (the node moves when its old
//            place comes up); CheckInvariants() walks the whole wheel, for tests.

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.h"

namespace rouse::net {

class TimerWheel;

class Timer {
 public:
  using Fire = void (*)(void* context);
  Timer(Fire fire, void* context) : fire_(fire), context_(context) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Sets or moves the deadline. kNever cancels.
  void Arm(TimerWheel& wheel, TimePoint due);
  void Cancel();
  [[nodiscard]] bool armed() const { return due_ != kNever; }
  [[nodiscard]] TimePoint due() const { return due_; }

 private:
  friend class TimerWheel;
  Fire fire_;
  void* context_;
  TimePoint due_ = kNever;
  TimerWheel* wheel_ = nullptr;  ///< set while linked
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
  TimePoint linked_due_ = kNever;  ///< the deadline by which the node's place was chosen
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(1);

  explicit TimerWheel(TimePoint start);
  ~TimerWheel();

  /// Fires what is due at `now`, at most `most` timers; true where more are due.
  bool Advance(TimePoint now, size_t most);
  /// When Advance should be called next; kNever where nothing is armed. May be early, never late.
  [[nodiscard]] TimePoint NextDue() const;
  [[nodiscard]] size_t armed() const { return armed_; }
  void CheckInvariants() const;

 private:
  friend class Timer;
  static constexpr size_t kLevels = 4;
  static constexpr size_t kSlots = 64;
  void Link(Timer& timer);
  void Unlink(Timer& timer);

  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<uint64_t, kLevels> occupied_{};  ///< one bit per slot that is not empty
  uint64_t now_tick_ = 0;
  TimePoint start_;
  size_t armed_ = 0;
};

}  // namespace rouse::net
