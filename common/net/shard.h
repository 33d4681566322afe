#pragma once
// What:      Shard: one thread's loop and all that belongs to it: poller, timers, ready list,
//            inbox, buffers, randomness.
// Owner:     ShardSet (threads) or tests/support/net/sim_shards (one thread, simulated time).
// Shard:     itself. Post alone may be called from any thread.
// Limits:    ShardLimits; at most kReadyPerTurn coroutines and kTimersPerTurn timers a turn,
//            kBatchMost behind its events; kLastTurnsMost turns after Stop.
// Invariant: now() does not change within a turn. Nothing resumes inline: Ready appends to the list
//            that the loop runs.

#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/net/buffer_pool.h"
#include "common/net/task.h"
#include "common/net/timer_wheel.h"

namespace rouse::net {

class Poller;
class Inbox;

class Shard;

/// Work that is done once at the end of a turn for all that the turn has brought: one write, say,
/// for many messages. Its owner has it as a member or base.
class TurnEnd {
 public:
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;

 protected:
  explicit TurnEnd(Shard& shard) : owner_(shard) {}
  ~TurnEnd();
  /// OnTurnEnd will be called once, in this turn; from within it, in the next.
  void Queue();

 private:
  friend class Shard;
  virtual void OnTurnEnd() = 0;
  void Leave();
  Shard& owner_;
  TurnEnd* next_ = nullptr;
  TurnEnd** link_ = nullptr;  ///< what points to us; null while not queued
};

struct ShardLimits {
  size_t buffer_bytes_max = 256u << 20;
  size_t connections_max = 18000;
};

class Shard {
 public:
  static constexpr size_t kReadyPerTurn = 256;
  static constexpr size_t kTimersPerTurn = 1024;
  /// Enough for 262 144 coroutines; some go round until they are destroyed.
  static constexpr int kLastTurnsMost = 1024;
  /// Where kCrowd connections are at work, the shard has slept for at most kSlackPercent of a
  /// Poller::kWindow, and yet a turn finds fewer than kGatherBelow of them, the next turn waits
  /// kGatherFor for more (README, Decisions of 2026-11-26).
  static constexpr size_t kCrowd = 56;
  static constexpr int kSlackPercent = 30;
  static constexpr size_t kGatherBelow = 32;
  static constexpr Duration kGatherFor = std::chrono::microseconds(100);
  /// More events than this in one turn, or more that wait behind them, and what was received would
  /// leave the cache.
  static constexpr size_t kBatchMost = 64;
  using Message = absl::AnyInvocable<void()>;

  Shard(uint32_t id, const Clock& clock, uint64_t seed, ShardLimits limits);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  [[nodiscard]] uint32_t id() const { return id_; }
  /// The time at the start of this turn.
  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] TimerWheel& timers() { return timers_; }
  [[nodiscard]] BufferPool& buffers() { return buffers_; }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] Poller& poller() { return *poller_; }
  [[nodiscard]] const ShardLimits& limits() const { return limits_; }
  /// Bytes that live no longer than the current call: for building a head or a gathered write.
  [[nodiscard]] std::span<char> scratch() { return scratch_; }

  /// Appends a suspended coroutine to the ready list. This shard's thread only.
  void Ready(std::coroutine_handle<> coroutine) { ready_.push_back(coroutine); }

  class TurnAwaiter {
   public:
    explicit TurnAwaiter(Shard& shard) : shard_(shard) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) { shard_.Ready(waiter); }
    void await_resume() const noexcept {}

   private:
    Shard& shard_;
  };
  /// `co_await shard.NextTurn();` lets everyone else have a turn first: for long work without
  /// waits.
  [[nodiscard]] TurnAwaiter NextTurn() { return TurnAwaiter(*this); }

  class EventsAwaiter {
   public:
    explicit EventsAwaiter(Shard& shard) : shard_(shard) {}
    bool await_ready() const noexcept {
      return !shard_.batching_ || shard_.batch_.size() >= kBatchMost;
    }
    void await_suspend(std::coroutine_handle<> waiter) { shard_.batch_.push_back(waiter); }
    void await_resume() const noexcept {}

   private:
    Shard& shard_;
  };
  /// `co_await shard.AfterEvents();` between receiving and sending: on a shard that is pressed,
  /// what the turn's other events bring is received first, so that either runs with its code in
  /// the cache (README, Decisions of 2026-11-26). Elsewhere it is no wait. Nothing but those
  /// events comes between: no message, no timer.
  [[nodiscard]] EventsAwaiter AfterEvents() { return EventsAwaiter(*this); }

  /// Runs `message` on this shard's thread at a later turn, in order of posting per sender. Any
  /// thread.
  void Post(Message message);

  /// One turn: events (waiting at most `wait`), inbox, timers, ready list. False where there was
  /// nothing.
  bool Turn(Duration wait);
  /// Turns until Stop, and then, kLastTurnsMost at most, while coroutines are ready. The calling
  /// thread becomes the shard's.
  void Run();
  void Stop();  ///< any thread
  /// Accepted connections that live here, and those on their way; any thread.
  [[nodiscard]] size_t connections() const;
  void AddConnection();
  void RemoveConnection();
  /// Whether it hardly slept of late, with a crowd at work.
  [[nodiscard]] bool pressed() const { return pressed_; }
  /// When the last turn began, in nanoseconds of the monotonic clock; any thread, for the watchdog.
  [[nodiscard]] int64_t last_turn_ns() const;

 private:
  static constexpr size_t kScratchBytes = 128 * 1024;
  static constexpr size_t kReadyReserved = 4096;
  /// So that last_turn_ns() moves while there is nothing to do.
  static constexpr Duration kSleepMost = std::chrono::seconds(1);
  class WakeUp;

  friend class TurnEnd;
  void Wait(Duration most);
  [[nodiscard]] bool InCrowd() const;
  [[nodiscard]] bool ShouldGather() const;
  void CountSleep(Duration slept);
  void Dispatch();
  bool RunReady();
  void RunTurnEnds();

  uint32_t id_;
  const Clock& clock_;
  ShardLimits limits_;
  TimePoint now_;
  TimerWheel timers_;
  BufferPool buffers_;
  Random random_;
  std::vector<char> scratch_;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> running_;
  std::unique_ptr<Poller> poller_;
  size_t events_ = 0;  ///< of the last turn
  TimePoint counted_from_{};
  Duration slept_{};                            ///< since then, in a crowd
  bool pressed_ = false;                        ///< little of it, when that was last looked at
  std::vector<std::coroutine_handle<>> batch_;  ///< wait behind the events
  bool batching_ = false;                       ///< events are being told, few enough for a batch
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<WakeUp> wake_up_;
  TurnEnd* turn_ends_ = nullptr;
  TurnEnd* running_ends_ = nullptr;
  bool stopped_ = false;
};

}  // namespace rouse::net
