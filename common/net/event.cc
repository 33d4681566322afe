#include "common/net/event.h"

#include "common/base/check.h"
#include "common/net/shard.h"

namespace rouse::net {

void Event::Signal() {
  if (waiter_ == nullptr) {
    signalled_ = true;
    return;
  }
  // A signal that comes after the deadline but before the waiter has run still counts.
  why_ = Wake::kSignal;
  if (scheduled_) return;
  scheduled_ = true;
  shard_.Ready(waiter_);
}

void Event::OnDeadline(void* self) {
  Event& event = *static_cast<Event*>(self);
  if (event.waiter_ == nullptr || event.scheduled_) return;
  event.why_ = Wake::kDeadline;
  event.scheduled_ = true;
  event.shard_.Ready(event.waiter_);
}

void Event::Awaiter::await_suspend(std::coroutine_handle<> waiter) {
  DCHECK(event_.waiter_ == nullptr);
  event_.waiter_ = waiter;
  event_.scheduled_ = false;
  event_.timer_.Arm(event_.shard_.timers(), deadline_);
}

Wake Event::Awaiter::await_resume() noexcept {
  if (event_.waiter_ == nullptr) {
    event_.signalled_ = false;
    return Wake::kSignal;
  }
  event_.waiter_ = nullptr;
  event_.timer_.Cancel();
  return event_.why_;
}

}  // namespace rouse::net
