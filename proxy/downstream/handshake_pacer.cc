#include "proxy/downstream/handshake_pacer.h"

#include <algorithm>

namespace rouse::proxy {

void HandshakePacer::Add(Waiter& waiter) {
  if (waiter.waits_) return;
  waiter.waits_ = true;
  waiter.next_ = nullptr;
  waiter.previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
  // The next turn: a deadline in the past is not rounded up to a whole tick.
  if (++waiting_ == 1) timer_.Arm(shard_.timers(), shard_.now());
}

void HandshakePacer::Remove(Waiter& waiter) {
  if (!waiter.waits_) return;
  waiter.waits_ = false;
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
  --waiting_;
}

bool HandshakePacer::MayRun(Duration other) {
  const auto earned = std::chrono::duration_cast<Duration>(other * kShare);
  credit_ = std::min<Duration>(kCreditMost, credit_ + earned);
  return other < kQuiet || credit_ > Duration::zero();
}

void HandshakePacer::Spend(Duration cost) {
  credit_ = std::max<Duration>(-kCreditMost, credit_ - cost);
}

void HandshakePacer::OnTimer(void* self) { static_cast<HandshakePacer*>(self)->Run(); }

void HandshakePacer::Run() {
  if (first_ == nullptr) return;  // all that waited have gone
  TimePoint start = shard_.clock().now();
  if (MayRun(start - shard_.now())) {
    do {
      Waiter& waiter = *first_;
      Remove(waiter);
      waiter.OnTurn();
      const TimePoint end = shard_.clock().now();
      Spend(end - start);
      start = end;
    } while (first_ != nullptr && credit_ > Duration::zero());
  }
  if (first_ != nullptr) timer_.Arm(shard_.timers(), shard_.now());
}

}  // namespace rouse::proxy
