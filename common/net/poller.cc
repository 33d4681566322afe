#include "common/net/poller.h"

#include <cerrno>
#include <climits>

#include <sys/epoll.h>

#include "common/base/check.h"

namespace rouse::net {
namespace {

constexpr size_t kSlotsReserved = 1024;

uint64_t Pack(Poller::Registration registration) {
  return (uint64_t{registration.generation} << 32) | registration.slot;
}

int Timeout(Duration most) {
  if (most == Duration::max()) return -1;
  if (most <= Duration::zero()) return 0;
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(most).count();
  return rounded > INT_MAX ? INT_MAX : static_cast<int>(rounded);
}

Readiness Convert(uint32_t events) {
  Readiness readiness;
  readiness.broken = (events & EPOLLERR) != 0;
  readiness.hung_up = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  readiness.readable = readiness.hung_up || (events & EPOLLIN) != 0;
  readiness.writable = (events & EPOLLOUT) != 0;
  return readiness;
}

}  // namespace

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      events_(std::make_unique<epoll_event[]>(kEventsPerTurn)) {
  CHECK(epoll_);
  slots_.reserve(kSlotsReserved);
}

Poller::~Poller() = default;

Poller::Registration Poller::Add(int fd, PollTarget& target, Trigger trigger) {
  const Registration registration = Occupy(target);
  TellKernel(fd, registration, trigger);
  return registration;
}

Poller::Registration Poller::AddLate(int fd, PollTarget& target) {
  const Registration registration = Occupy(target);
  late_.push_back({.fd = fd, .registration = registration});
  return registration;
}

Poller::Registration Poller::Occupy(PollTarget& target) {
  if (first_free_ == kNone) {
    first_free_ = static_cast<uint32_t>(slots_.size());
    slots_.push_back({.target = nullptr, .generation = 1, .mark = kNone});
  }
  const uint32_t index = first_free_;
  Slot& slot = slots_[index];
  first_free_ = slot.mark;
  slot.target = &target;
  slot.mark = window_ - 1;
  ++registered_;
  return {.slot = index, .generation = slot.generation};
}

void Poller::TellKernel(int fd, Registration registration, Trigger trigger) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (trigger == Trigger::kEdge) event.events |= EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = Pack(registration);
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

/// Those that were removed meanwhile have been closed, and their numbers may be others' by now.
void Poller::AddThoseLate() {
  for (const Late& each : late_) {
    const bool removed = slots_[each.registration.slot].generation != each.registration.generation;
    if (!removed) TellKernel(each.fd, each.registration, Trigger::kEdge);
  }
  late_.clear();
}

void Poller::Remove(Registration registration) {
  Slot& slot = slots_[registration.slot];
  CHECK(slot.generation == registration.generation && slot.target != nullptr);
  slot.target = nullptr;
  ++slot.generation;
  slot.mark = first_free_;
  first_free_ = registration.slot;
  --registered_;
}

void Poller::Detach(int fd, Registration registration) {
  AddThoseLate();
  Remove(registration);
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0);
}

void Poller::Mute(int fd, Registration registration, bool muted) {
  epoll_event event{};
  if (!muted) event.events = EPOLLIN;
  event.data.u64 = Pack(registration);
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void Poller::Wait(Duration most) {
  if (registered_ == 0 && most <= Duration::zero()) return;
  if (!late_.empty()) AddThoseLate();
  const int count =
      epoll_wait(epoll_.get(), events_.get(), static_cast<int>(kEventsPerTurn), Timeout(most));
  CHECK(count >= 0 || errno == EINTR);
  pending_ = count > 0 ? static_cast<size_t>(count) : 0;
}

void Poller::TurnWindow(TimePoint now) {
  ready_lately_ = now - window_began_ < 2 * kWindow ? ready_now_ : 0;
  ready_now_ = 0;
  window_began_ = now;
  ++window_;
}

size_t Poller::Dispatch(TimePoint now) {
  const size_t count = pending_;
  pending_ = 0;
  if (now - window_began_ >= kWindow) TurnWindow(now);
  for (size_t i = 0; i < count; ++i) {
    const epoll_event& event = events_[i];
    Slot& slot = slots_[static_cast<uint32_t>(event.data.u64)];
    // A target may remove itself or another one while it is told: then this event is stale.
    if (slot.generation != static_cast<uint32_t>(event.data.u64 >> 32)) continue;
    ready_now_ += slot.mark != window_ ? 1 : 0;
    slot.mark = window_;
    slot.target->OnReady(Convert(event.events));
  }
  return count;
}

}  // namespace rouse::net
