#pragma once
// What:      HandshakePacer, gives handshakes their turn: in order of arrival, and while there is
//            other work no more than their share of the time, since one costs as much as a hundred
//            requests.
// Owner:     Sessions. One shard.
// Limits:    kShare of the time that other work takes; always one step in a turn without any.
// Invariant: a waiter is in the list at most once; a turn may destroy it.

#include "common/base/clock.h"
#include "common/net/shard.h"
#include "common/net/timer_wheel.h"

namespace rouse::proxy {

class HandshakePacer {
 public:
  /// Handshakes get this part of what other work takes: 3 / 7 leaves that 70 of 100.
  static constexpr double kShare = 3.0 / 7.0;
  /// A turn whose other work was shorter is taken for an idle one.
  static constexpr Duration kQuiet = std::chrono::microseconds(50);
  /// The most that can be saved up, or owed.
  static constexpr Duration kCreditMost = std::chrono::milliseconds(5);

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

  explicit HandshakePacer(net::Shard& shard) : shard_(shard), timer_(&OnTimer, this) {}

  void Add(Waiter& waiter);
  void Remove(Waiter& waiter);
  [[nodiscard]] size_t waiting() const { return waiting_; }

  /// Whether a step may run after `other` spent on other work in this turn; and what it cost.
  [[nodiscard]] bool MayRun(Duration other);
  void Spend(Duration cost);

 private:
  static void OnTimer(void* self);
  void Run();

  net::Shard& shard_;
  net::Timer timer_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  size_t waiting_ = 0;
  Duration credit_{};
};

}  // namespace rouse::proxy
