#include "k8s/token_budget.h"

#include <algorithm>

namespace rouse::k8s {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

TimePoint TokenBudget::Reserve(TimePoint now) {
  if (now > filled_) {
    tokens_ = std::min(limit_.burst, tokens_ + limit_.per_second * Seconds(now - filled_));
    filled_ = now;
  }
  tokens_ -= 1;
  if (tokens_ >= 0) return filled_;
  const std::chrono::duration<double> debt(-tokens_ / limit_.per_second);
  return filled_ + std::chrono::ceil<Duration>(debt);
}

void TokenBudget::HoldUntil(TimePoint until) {
  if (until <= filled_) return;
  // One call at `until`, the rest after it at the usual rate: nobody rushes a server that asked for
  // rest.
  filled_ = until;
  tokens_ = std::min(tokens_, 1.0);
}

}  // namespace rouse::k8s
