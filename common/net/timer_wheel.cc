#include "common/net/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "common/base/check.h"

namespace rouse::net {

// A node lies in the level of the highest 6-bit group in which its tick differs from the current
// tick. So everything in a level is due before anything in the level above, and the lowest occupied
// level holds the next one. Only the top level wraps round (the scheme of tokio's wheel; Varghese
// and Lauck 1987).

Timer::~Timer() {
  Cancel();
  if (wheel_ != nullptr) wheel_->Unlink(*this);
}

void Timer::Arm(TimerWheel& wheel, TimePoint due) {
  if (due == kNever) {
    Cancel();
    return;
  }
  DCHECK(wheel_ == nullptr || wheel_ == &wheel);
  if (!armed()) ++wheel.armed_;
  due_ = due;
  if (wheel_ != nullptr) {
    if (due >= linked_due_) return;
    wheel.Unlink(*this);
  }
  wheel.Link(*this);
}

void Timer::Cancel() {
  if (!armed()) return;
  DCHECK(wheel_ != nullptr);
  --wheel_->armed_;
  due_ = kNever;
}

TimerWheel::TimerWheel(TimePoint start) : start_(start) {}

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (Timer*& head : level) {
      while (head != nullptr) {
        head->Cancel();
        Unlink(*head);
      }
    }
  }
}

bool TimerWheel::Advance(TimePoint now, size_t most) {
  const uint64_t target = now <= start_ ? 0 : static_cast<uint64_t>((now - start_) / kTick);
  if (target < now_tick_) return false;
  size_t left = most;
  Place place;
  while (NextPlace(place) && place.tick <= target) {
    now_tick_ = std::max(now_tick_, place.tick);
    if (!Empty(place, left)) return true;
  }
  now_tick_ = target;
  return false;
}

/// Fires or moves every node of a slot that has come up. False where `left` ran out first.
bool TimerWheel::Empty(const Place& place, size_t& left) {
  Timer*& head = slots_[place.level][place.slot];
  while (head != nullptr) {
    Timer& timer = *head;
    // From a higher level nodes only move down, so that the order of firing stays that of the
    // ticks.
    const bool due = place.level == 0 && timer.armed() && TickAfter(timer.due_) <= now_tick_;
    if (due && left == 0) return false;
    Unlink(timer);
    if (!timer.armed()) continue;
    if (!due) {
      Link(timer);
      continue;
    }
    --left;
    --armed_;
    ++fired_;
    timer.due_ = kNever;
    timer.fire_(timer.context_);
  }
  return true;
}

TimePoint TimerWheel::NextDue() const {
  Place place;
  if (armed_ == 0 || !NextPlace(place)) return kNever;
  return start_ + static_cast<int64_t>(place.tick) * kTick;
}

/// The first whole tick that is not before `due`.
uint64_t TimerWheel::TickAfter(TimePoint due) const {
  if (due <= start_) return 0;
  const Duration wait = due - start_;
  const Duration ticks = wait / kTick.count();
  return static_cast<uint64_t>(ticks.count()) + (wait % kTick == Duration::zero() ? 0 : 1);
}

/// The occupied slot that comes up next; false where there is none.
bool TimerWheel::NextPlace(Place& place) const {
  for (size_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const size_t shift = kSlotBits * level;
    const uint64_t current = now_tick_ >> shift;
    const auto turned = std::rotr(occupied_[level], static_cast<int>(current % kSlots));
    const auto ahead = static_cast<uint64_t>(std::countr_zero(turned));
    place.level = level;
    place.slot = (current + ahead) % kSlots;
    place.tick = (current + ahead) << shift;
    return true;
  }
  return false;
}

void TimerWheel::Link(Timer& timer) {
  const uint64_t tick = std::clamp(TickAfter(timer.due_), now_tick_, now_tick_ + kReach);
  const uint64_t differs = tick ^ now_tick_;
  const size_t group =
      differs == 0 ? 0 : (static_cast<size_t>(std::bit_width(differs)) - 1) / kSlotBits;
  const size_t level = std::min(group, kLevels - 1);
  const size_t slot = (tick >> (kSlotBits * level)) % kSlots;
  timer.wheel_ = this;
  timer.linked_due_ = timer.due_;
  timer.level_ = static_cast<uint8_t>(level);
  timer.slot_ = static_cast<uint8_t>(slot);
  Timer*& head = slots_[level][slot];
  if (head == nullptr) {
    head = timer.next_ = timer.previous_ = &timer;
    occupied_[level] |= uint64_t{1} << slot;
    return;
  }
  timer.next_ = head;
  timer.previous_ = head->previous_;
  head->previous_->next_ = &timer;
  head->previous_ = &timer;
}

void TimerWheel::Unlink(Timer& timer) {
  DCHECK(timer.wheel_ == this);
  Timer*& head = slots_[timer.level_][timer.slot_];
  if (timer.next_ == &timer) {
    head = nullptr;
    occupied_[timer.level_] &= ~(uint64_t{1} << timer.slot_);
  } else {
    timer.previous_->next_ = timer.next_;
    timer.next_->previous_ = timer.previous_;
    if (head == &timer) head = timer.next_;
  }
  timer.wheel_ = nullptr;
  timer.next_ = timer.previous_ = nullptr;
}

void TimerWheel::CheckInvariants() const {
  size_t armed = 0;
  for (size_t level = 0; level < kLevels; ++level) {
    for (size_t slot = 0; slot < kSlots; ++slot) {
      const Timer* const head = slots_[level][slot];
      CHECK((head != nullptr) == (((occupied_[level] >> slot) & 1) == 1));
      const Timer* node = head;
      while (node != nullptr) {
        CHECK(node->wheel_ == this && node->level_ == level && node->slot_ == slot);
        CHECK(node->next_->previous_ == node);
        CHECK(!node->armed() || node->due_ >= node->linked_due_);
        if (node->armed()) ++armed;
        node = node->next_ == head ? nullptr : node->next_;
      }
      // Above the lowest level the current slot has been emptied when it came up.
      if (level > 0 && slot == (now_tick_ >> (kSlotBits * level)) % kSlots) CHECK(head == nullptr);
    }
  }
  CHECK(armed == armed_);
}

}  // namespace rouse::net
