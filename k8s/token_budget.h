#pragma once
// What:      TokenBudget, a token bucket that says when the next call may go; ApiBudgets, one per
//            class of calls, so that a relist storm cannot delay a wake and neither can delay the
//            lease.
// Owner:     ApiClient. Control thread; pure, takes `now`.
// Invariant: over any span, at most burst + rate x span calls.

#include <cstdint>

#include "common/base/clock.h"

namespace rouse::k8s {

/// Classes of calls, most urgent first.
enum class CallClass : uint8_t { kLease, kWake, kWrite, kWatch, kRead, kEvent };
inline constexpr size_t kCallClasses = 6;

struct BudgetLimit {
  double per_second = 10;
  double burst = 20;
};

class TokenBudget {
 public:
  explicit TokenBudget(BudgetLimit limit) : limit_(limit), tokens_(limit.burst) {}

  /// Takes a token, at `now` or ahead of time; returns when the call may start (`now` where at
  /// once).
  [[nodiscard]] TimePoint Reserve(TimePoint now);
  /// Nobody goes before `until` (Retry-After).
  void HoldUntil(TimePoint until);

 private:
  BudgetLimit limit_;
  double tokens_;
  TimePoint filled_{};  ///< tokens are as of this moment, which may lie ahead
};

}  // namespace rouse::k8s
