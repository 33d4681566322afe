#pragma once
// What:      may this attempt be repeated (security.md 5.4); and the budget that repeats draw on.
// Owner:     the exchange asks; pure. RetryBudget: one per data plane.
// Limits:    kEndpointsMax attempts in all; one repeat on a fresh connection; RetryBudget.
// Invariant: never once a response byte (1xx included) has come, nor a body byte has been given
//            away.

#include <cstddef>
#include <cstdint>

#include "common/base/error.h"

namespace rouse::proxy {

enum class Repeat : uint8_t {
  kNo,
  kElsewhere,  ///< no pod saw it: any method, preferably another endpoint
  kFresh,      ///< a connection died untouched: once, on a connection of its own
};

/// What one failed attempt looked like.
struct AttemptFacts {
  Error failure;
  bool response_begun = false;
  /// Some of the body was handed to an upstream, so that it cannot be sent again.
  bool body_given = false;
  bool idempotent = false;  ///< RFC 9110 section 9.2.2, exact spelling
  /// Not one byte of this response has arrived.
  bool untouched = false;
  bool repeated_fresh = false;  ///< an earlier attempt was repeated as kFresh
  uint32_t attempts = 1;        ///< made so far, this one included
};

inline constexpr uint32_t kAttemptsMax = 3;

[[nodiscard]] Repeat MayRepeat(const AttemptFacts& facts);

/// At most a fifth of the active exchanges, and ten, may be repeats at the same time.
class RetryBudget {
 public:
  static constexpr size_t kFloor = 10;
  static constexpr size_t kShareDivisor = 5;

  /// False where the budget is spent. Each true is to be matched by one Return.
  [[nodiscard]] bool Take(size_t active_exchanges);
  void Return() { --repeating_; }
  [[nodiscard]] size_t repeating() const { return repeating_; }

 private:
  size_t repeating_ = 0;
};

}  // namespace rouse::proxy
