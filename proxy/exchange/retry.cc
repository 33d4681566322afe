#include "proxy/exchange/retry.h"

namespace rouse::proxy {

Repeat MayRepeat(const AttemptFacts& facts) {
  if (facts.response_begun || facts.body_given) return Repeat::kNo;
  if (facts.attempts >= kAttemptsMax) return Repeat::kNo;
  if (facts.failure.side != Side::kUpstream) return Repeat::kNo;
  // Rule 1: no pod has seen a byte of it, whatever the method.
  if (facts.failure.retry_safe) return Repeat::kElsewhere;
  // Rule 2: a pod closed the connection while the request was on its way (RFC 9112 section 9.3.1),
  // or ended with it in hand; what is idempotent may be sent again (RFC 9110 section 9.2.2).
  const bool died_untouched = facts.failure.kind == ErrorKind::kUpstreamReset ||
                              facts.failure.kind == ErrorKind::kUpstreamTruncated;
  if (died_untouched && facts.untouched && facts.idempotent && !facts.repeated_fresh)
    return Repeat::kFresh;
  return Repeat::kNo;
}

bool RetryBudget::Take(size_t active_exchanges) {
  if (repeating_ >= kFloor + active_exchanges / kShareDivisor) return false;
  ++repeating_;
  return true;
}

}  // namespace rouse::proxy
