#include "proxy/downstream/handshake_pacer.h"

#include <algorithm>
#include <utility>

namespace rouse::proxy {

void HandshakePacer::Add(Waiter& waiter) {
  if (waiter.waits_) return;
  waiter.waits_ = true;
  waiter.next_ = nullptr;
  waiter.previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
  if (++waiting_ == 1 && !timer_.armed()) Queue();
}

void HandshakePacer::Remove(Waiter& waiter) {
  if (!waiter.waits_) return;
  waiter.waits_ = false;
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
  --waiting_;
}

bool HandshakePacer::MayRun(TimePoint now, bool busy) {
  const auto earned = std::chrono::duration_cast<Duration>((now - credited_) * kShare);
  credit_ = std::min<Duration>(kCreditMost, credit_ + earned);
  credited_ = now;
  return !busy || credit_ > Duration::zero();
}

/// Requests begun since the last step, or long work of another kind in this turn.
bool HandshakePacer::Busy(TimePoint now) {
  const uint64_t requests = stats_.pool_reuses.value + stats_.dials.value;
  const bool more = std::exchange(requests_, requests) != requests;
  return more || now - shard_.now() >= kQuiet;
}

void HandshakePacer::OnTimer(void* self) { static_cast<HandshakePacer*>(self)->Queue(); }

void HandshakePacer::OnTurnEnd() {
  if (first_ == nullptr) return;  // all that waited have gone
  const TimePoint start = shard_.clock().now();
  const bool busy = Busy(start);
  if (!MayRun(start, busy)) {
    const auto wait = std::chrono::duration_cast<Duration>(-credit_ / kShare);
    return timer_.Arm(shard_.timers(), Later(start, wait));
  }
  Waiter& waiter = *first_;
  Remove(waiter);
  waiter.OnTurn();
  if (busy) Spend(shard_.clock().now() - start);
  if (first_ != nullptr) Queue();
}

}  // namespace rouse::proxy
