#pragma once
// What:      Event: parks one coroutine and wakes it once, by Signal or by a deadline.
// Owner:     whoever is waited for; it must outlive the wait. One shard.
// Limits:    one waiter at a time.
// Invariant: Signal never resumes inline: the waiter goes to the shard's ready list. A Signal with
//            nobody waiting is kept until the next Wait (latched) or Clear.

#include <coroutine>
#include <cstdint>

#include "common/base/clock.h"
#include "common/net/timer_wheel.h"

namespace rouse::net {

class Shard;

enum class Wake : uint8_t { kSignal, kDeadline };

class Event {
 public:
  explicit Event(Shard& shard) : shard_(shard), timer_(&Event::OnDeadline, this) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Signal();
  /// As Signal, but nothing is kept where nobody waits.
  void SignalWaiter() {
    if (waiting()) Signal();
  }
  void Clear() { signalled_ = false; }
  [[nodiscard]] bool signalled() const { return signalled_; }
  /// From await until the waiter runs again.
  [[nodiscard]] bool waiting() const { return waiter_ != nullptr; }

  class Awaiter {
   public:
    Awaiter(Event& event, TimePoint deadline) : event_(event), deadline_(deadline) {}
    bool await_ready() const noexcept { return event_.signalled_; }
    void await_suspend(std::coroutine_handle<> waiter);
    Wake await_resume() noexcept;

   private:
    Event& event_;
    TimePoint deadline_;
  };
  /// `const Wake why = co_await event.Wait(deadline);` consumes the signal.
  [[nodiscard]] Awaiter Wait(TimePoint deadline) { return Awaiter(*this, deadline); }

 private:
  static void OnDeadline(void* self);
  Shard& shard_;
  Timer timer_;
  std::coroutine_handle<> waiter_ = nullptr;
  bool signalled_ = false;
  bool scheduled_ = false;  ///< the waiter is on the ready list
  Wake why_ = Wake::kSignal;
};

}  // namespace rouse::net
