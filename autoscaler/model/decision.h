#pragma once
// What:      Observed, what is known of a workload at one moment; Decision, the wanted replica
//            count with its reason and the figures it came from.
// Owner:     values. Control thread.
// Invariant: Reason is closed; its names are the stable words of log lines, metrics and /decisions.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/clock.h"

namespace rouse::autoscaler {

/// One row per reason: enumerator, stable name. The last step that changed the number gives the
/// reason.
#define ROUSE_REASONS(X)                                                      \
  /* measured */                                                              \
  X(kNoData, "no_data")       /* no live proxy: hold */                       \
  X(kStable, "stable_window") /* demand over the stable window */             \
  X(kPanic, "panic_window")   /* the short window, held up */                 \
  X(kFromZero, "from_zero")   /* demand while asleep */                       \
  /* limits of rate */                                                        \
  X(kRateUp, "scale_up_rate")                                                 \
  X(kRateDown, "scale_down_rate")                                             \
  X(kActivationScale, "activation_scale")                                     \
  X(kScaleDownDelay, "scale_down_delay")                                      \
  /* bounds */                                                                \
  X(kMinScale, "min_scale")                                                   \
  X(kMaxScale, "max_scale")                                                   \
  X(kInitialScale, "initial_scale")                                           \
  /* the way to zero */                                                       \
  X(kZeroDisabled, "zero_disabled")                                           \
  X(kActivating, "activating") /* not ready yet: hold */                      \
  X(kActivationTimedOut, "activation_timed_out")                              \
  X(kRecentlyActive, "recently_active") /* ready for less than a window */    \
  X(kZeroGrace, "zero_grace")           /* idle, within grace or retention */ \
  X(kZeroUnproven, "zero_unproven")     /* not every proxy has said zero */   \
  X(kIdle, "idle")                      /* zero */

enum class Reason : uint8_t {
#define ROUSE_REASON_ENUM(reason, name) reason,
  ROUSE_REASONS(ROUSE_REASON_ENUM)
#undef ROUSE_REASON_ENUM
};

inline constexpr size_t kReasons = 0
#define ROUSE_REASON_COUNT(reason, name) +1
    ROUSE_REASONS(ROUSE_REASON_COUNT)
#undef ROUSE_REASON_COUNT
    ;

[[nodiscard]] std::string_view NameOf(Reason reason);

/// Leave the count as it is.
inline constexpr int kHold = -1;

struct Observed {
  bool has_data = false;     ///< some proxy is live, so the averages mean something
  double stable = 0;         ///< average of the metric over the stable window
  double panic = 0;          ///< the same over the panic window
  int ready = 0;             ///< ready endpoints
  int replicas = kHold;      ///< spec.replicas as last read; kHold: not known yet
  double parked = 0;         ///< requests waiting for a pod
  bool zero_proven = false;  ///< every live proxy has said zero for a whole stable window

  bool operator==(const Observed&) const = default;
};

struct Decision {
  int wanted = kHold;
  Reason reason = Reason::kNoData;
  int proposed = kHold;  ///< by demand alone, before bounds and the way to zero
  bool panicking = false;
  double excess_burst_capacity =
      0;  ///< requests that fit beyond demand and burst capacity; < 0: none
  Observed observed;

  /// Worth a log line.
  [[nodiscard]] bool differs_from(const Decision& other) const {
    return wanted != other.wanted || reason != other.reason;
  }
};

}  // namespace rouse::autoscaler
