#pragma once
// What:      TimerWheel and Timer: deadlines of one shard, intrusive and coarse (kTick).
// Owner:     the shard owns the wheel; whoever waits owns its Timer, which cancels itself when
//            destroyed.
// Shard:     one; never shared.
// Limits:    a timer fires at or after its deadline, later by at most one tick plus the turn's
//            length.
// Invariant: arming a timer that is already set to a LATER time is one store (the node moves when
//            its old place comes up); CheckInvariants() walks the whole wheel, for tests.

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
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Sets or moves the deadline. kNever cancels.
  void Arm(TimerWheel& wheel, TimePoint due);
  /// Also one store: the node leaves when its place comes up, or when it is armed for an earlier
  /// time.
  void Cancel();
  [[nodiscard]] bool armed() const { return due_ != kNever; }
  [[nodiscard]] TimePoint due() const { return due_; }

 private:
  friend class TimerWheel;
  Fire fire_;
  void* context_;
  TimePoint due_ = kNever;
  TimePoint linked_due_ = kNever;  ///< the deadline by which the node's place was chosen
  TimerWheel* wheel_ = nullptr;    ///< set while linked, which a cancelled timer may still be
  Timer* next_ = nullptr;          ///< circular; the head's previous is the tail
  Timer* previous_ = nullptr;
  uint8_t level_ = 0;
  uint8_t slot_ = 0;
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
  /// Timers fired so far.
  [[nodiscard]] uint64_t fired() const { return fired_; }
  void CheckInvariants() const;

 private:
  friend class Timer;
  static constexpr size_t kLevels = 4;
  static constexpr size_t kSlotBits = 6;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;
  /// How far ahead a node is placed at most (about 4.5 h); one that is due later is placed again
  /// then.
  static constexpr uint64_t kReach = (kSlots - 2) << (kSlotBits * (kLevels - 1));

  struct Place {
    size_t level = 0;
    size_t slot = 0;
    uint64_t tick = 0;  ///< the first tick of the slot
  };

  [[nodiscard]] uint64_t TickAfter(TimePoint due) const;
  [[nodiscard]] bool NextPlace(Place& place) const;
  bool Empty(const Place& place, size_t& left);
  void Link(Timer& timer);
  void Unlink(Timer& timer);

  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<uint64_t, kLevels> occupied_{};  ///< one bit per slot that is not empty
  uint64_t now_tick_ = 0;
  TimePoint start_;
  size_t armed_ = 0;
  uint64_t fired_ = 0;
};

}  // namespace rouse::net
