#include "common/net/shard.h"

#include <algorithm>
#include <utility>

#include <sys/prctl.h>
#include <time.h>

#include "common/base/check.h"
#include "common/net/inbox.h"
#include "common/net/poller.h"

namespace rouse::net {
namespace {

constexpr unsigned long kTimerSlackNs = 1000;

}  // namespace

/// The inbox's eventfd: its event ends the wait and needs nothing done.
class Shard::WakeUp final : public PollTarget {
 public:
  void OnReady(Readiness) override {}
  bool added = false;
};

Shard::Shard(uint32_t id, const Clock& clock, uint64_t seed, ShardLimits limits)
    : id_(id),
      clock_(clock),
      limits_(limits),
      now_(clock.now()),
      timers_(now_),
      buffers_(limits.buffer_bytes_max),
      random_(seed),
      scratch_(kScratchBytes),
      poller_(std::make_unique<Poller>()),
      inbox_(std::make_unique<Inbox>()),
      wake_up_(std::make_unique<WakeUp>()) {
  ready_.reserve(kReadyReserved);
  running_.reserve(kReadyPerTurn);
  batch_.reserve(kBatchMost);
}

Shard::~Shard() = default;

void Shard::Run() {
  stopped_ = false;
  // Of this thread's sleeps; without it the kernel adds 50 us to kGatherFor.
  (void)prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  while (!stopped_) Turn(kSleepMost);
  for (int left = kLastTurnsMost; left > 0 && !ready_.empty(); --left) Turn(Duration::zero());
}

void Shard::Stop() {
  Post([this] { stopped_ = true; });
}

void Shard::Post(Message message) { CHECK(inbox_->Push(std::move(message))); }

bool Shard::Turn(Duration wait) {
  Wait(wait);
  inbox_->Beat(now_);
  const uint64_t fired = timers_.fired();
  Dispatch();
  const size_t messages = inbox_->Run();
  const bool more = timers_.Advance(now_, kTimersPerTurn);
  const bool ran = RunReady();
  const bool ends = turn_ends_ != nullptr;
  if (ends) RunTurnEnds();
  return events_ > 0 || messages > 0 || more || timers_.fired() != fired || ran || ends;
}

/// The events, and then what waits behind them.
void Shard::Dispatch() {
  batching_ = pressed_ && InCrowd() && poller_->pending() <= kBatchMost;
  events_ = poller_->Dispatch(now_);
  batching_ = false;
  for (const std::coroutine_handle<> coroutine : batch_) coroutine.resume();
  batch_.clear();
}

/// Waits for events, at most until the next timer; not at all where something is to be done
/// already. Sets now_.
void Shard::Wait(Duration most) {
  if (!ready_.empty() || turn_ends_ != nullptr) most = Duration::zero();
  const TimePoint due = timers_.NextDue();
  if (due != kNever) most = std::min(most, std::max(due - now_, Duration::zero()));
  if (most > Duration::zero() && !wake_up_->added) {
    wake_up_->added = true;
    (void)poller_->Add(inbox_->wake_fd(), *wake_up_);
  }
  const bool crowd = InCrowd();
  const TimePoint before = crowd ? clock_.now() : kNever;
  if (crowd && most > kGatherFor && ShouldGather()) {
    const timespec gather{.tv_sec = 0, .tv_nsec = kGatherFor.count()};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &gather, nullptr);
  }
  const bool sleeps = most > Duration::zero() && inbox_->TrySleep();
  poller_->Wait(sleeps ? most : Duration::zero());
  if (sleeps) inbox_->Awake();
  now_ = clock_.now();
  if (crowd) {
    CountSleep(now_ - before);
  } else {
    counted_from_ = now_;
    slept_ = {};
  }
}

bool Shard::InCrowd() const { return poller_->ready_lately() >= kCrowd; }

bool Shard::ShouldGather() const { return pressed_ && events_ > 0 && events_ < kGatherBelow; }

void Shard::CountSleep(Duration slept) {
  slept_ += slept;
  const Duration whole = now_ - counted_from_;
  if (whole < Poller::kWindow) return;
  pressed_ = slept_ * 100 <= whole * kSlackPercent;
  counted_from_ = now_;
  slept_ = {};
}

/// What is appended meanwhile has its turn next time, so a coroutine that yields lets events in
/// first.
bool Shard::RunReady() {
  const size_t count = std::min(ready_.size(), kReadyPerTurn);
  if (count == 0) return false;
  const auto end = ready_.begin() + static_cast<std::ptrdiff_t>(count);
  running_.assign(ready_.begin(), end);
  ready_.erase(ready_.begin(), end);
  for (const std::coroutine_handle<> coroutine : running_) coroutine.resume();
  return true;
}

/// Each of those queued until now once; what is queued meanwhile waits for the next turn's end.
void Shard::RunTurnEnds() {
  running_ends_ = std::exchange(turn_ends_, nullptr);
  running_ends_->link_ = &running_ends_;
  while (running_ends_ != nullptr) {
    TurnEnd& work = *running_ends_;
    work.Leave();
    work.OnTurnEnd();
  }
}

TurnEnd::~TurnEnd() {
  if (link_ != nullptr) Leave();
}

void TurnEnd::Queue() {
  if (link_ != nullptr) return;
  link_ = &owner_.turn_ends_;
  next_ = owner_.turn_ends_;
  if (next_ != nullptr) next_->link_ = &next_;
  owner_.turn_ends_ = this;
}

void TurnEnd::Leave() {
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
}

size_t Shard::connections() const {
  return static_cast<size_t>(std::max<int64_t>(inbox_->connections(), 0));
}

void Shard::AddConnection() { inbox_->AddConnections(1); }

void Shard::RemoveConnection() { inbox_->AddConnections(-1); }

int64_t Shard::last_turn_ns() const { return inbox_->last_turn_ns(); }

}  // namespace rouse::net
