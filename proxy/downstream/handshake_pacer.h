#pragma once
// What:      HandshakePacer, gives handshakes their turn: in order of arrival, one step at the end
//            of a turn, and while there is other work no more than their share of the time, since
//            one costs as much as a hundred requests.
// Owner:     Sessions. One shard.
// Limits:    kShare of all time while other work comes between two steps; without any, all of it.
// Invariant: a waiter is in the list at most once; a step may destroy it.

#include <algorithm>

#include "common/base/clock.h"
#include "common/net/shard.h"
#include "common/net/timer_wheel.h"
#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {

class HandshakePacer final : private net::TurnEnd {
 public:
  /// With what accepting and closing cost beside the steps, 70 of 100 are left to what stands.
  static constexpr double kShare = 0.25;
  /// Other work so long in a turn is work, also where it began no request: bodies, say.
  static constexpr Duration kQuiet = std::chrono::microseconds(50);
  /// The most that can be saved up, and that can be owed: so nobody waits longer than 100 ms for
  /// what a step of before took, a process that was stopped in it included.
  static constexpr Duration kCreditMost = std::chrono::milliseconds(1);
  static constexpr Duration kDebtMost = std::chrono::milliseconds(25);

  class Waiter {
   public:
    virtual void OnTurn() = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class HandshakePacer;
    Waiter* next_ = nullptr;
    Waiter* previous_ = nullptr;
    bool waits_ = false;
  };

  HandshakePacer(net::Shard& shard, const ShardStats& stats)
      : net::TurnEnd(shard), shard_(shard), stats_(stats), timer_(&OnTimer, this) {}

  void Add(Waiter& waiter);
  void Remove(Waiter& waiter);
  [[nodiscard]] size_t waiting() const { return waiting_; }

  /// Whether a step may run at `now`, `busy` where other work came since the last one; and what it
  /// cost.
  [[nodiscard]] bool MayRun(TimePoint now, bool busy);
  void Spend(Duration cost) { credit_ = std::max<Duration>(-kDebtMost, credit_ - cost); }

 private:
  static void OnTimer(void* self);
  void OnTurnEnd() override;
  [[nodiscard]] bool Busy(TimePoint now);

  net::Shard& shard_;
  const ShardStats& stats_;
  net::Timer timer_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  size_t waiting_ = 0;
  uint64_t requests_ = 0;  ///< as of the last step
  TimePoint credited_{};   ///< until when time has been credited
  Duration credit_{};
};

}  // namespace rouse::proxy
