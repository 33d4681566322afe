#pragma once
// What:      Error, what went wrong on the data side as a value: kind, side, and whether a repeat
//            is safe. Result<T> carries a T or an Error. The control side uses absl::Status
//            instead.
// Owner:     a value, trivially copyable, two words. Any thread.
// Invariant: ErrorKind is closed. A new kind fails to compile until its name, its row in
//            proxy/exchange/local_reply and that row's test exist.
// Never:     logged and returned both.

#include <cstdint>
#include <string_view>
#include <type_traits>

#include <boost/system/result.hpp>

namespace rouse {

/// One row per kind: enumerator, the stable code that users see in a header, a log line and a
/// metric label.
#define ROUSE_ERROR_KINDS(X)                            \
  X(kNone, "none")                                      \
  /* what a client sent */                              \
  X(kBadRequest, "bad_request")                         \
  X(kTargetTooLong, "target_too_long")                  \
  X(kHeadTooLarge, "head_too_large")                    \
  X(kBodyTooLarge, "body_too_large")                    \
  X(kMethodNotAllowed, "method_not_allowed")            \
  X(kNotImplemented, "not_implemented")                 \
  X(kVersionUnsupported, "version_unsupported")         \
  X(kExpectationFailed, "expectation_failed")           \
  X(kLoopDetected, "loop_detected")                     \
  X(kMisdirected, "misdirected_request")                \
  X(kHeadTimeout, "head_timeout")                       \
  X(kBodyTimeout, "body_timeout")                       \
  X(kDownstreamClosed, "downstream_closed")             \
  X(kDownstreamTimeout, "downstream_write_timeout")     \
  /* where it should go */                              \
  X(kNoRoute, "no_route")                               \
  X(kWorkloadGone, "workload_gone")                     \
  /* waiting for a pod */                               \
  X(kParkedFull, "parked_full")                         \
  X(kParkedBytesFull, "parked_bytes_full")              \
  X(kColdStartTimeout, "cold_start_timeout")            \
  X(kDeadlineExceeded, "deadline_exceeded")             \
  X(kNoAutoscaler, "no_autoscaler")                     \
  X(kNotHome, "not_home")                               \
  X(kDraining, "draining")                              \
  X(kOverloaded, "overloaded")                          \
  /* what a pod did */                                  \
  X(kConnectRefused, "upstream_connect_refused")        \
  X(kConnectTimeout, "upstream_connect_timeout")        \
  X(kUpstreamTls, "upstream_tls_failed")                \
  X(kUpstreamReset, "upstream_reset")                   \
  X(kUpstreamProtocol, "upstream_protocol_error")       \
  X(kUpstreamTruncated, "upstream_truncated")           \
  X(kResponseStartTimeout, "upstream_response_timeout") \
  X(kUpstreamTimeout, "upstream_idle_timeout")          \
  X(kInternal, "internal_error")

enum class ErrorKind : uint8_t {
#define ROUSE_ERROR_ENUM(kind, code) kind,
  ROUSE_ERROR_KINDS(ROUSE_ERROR_ENUM)
#undef ROUSE_ERROR_ENUM
};

/// The number of kinds, kNone included; for tables indexed by kind.
inline constexpr size_t kErrorKinds = 0
#define ROUSE_ERROR_COUNT(kind, code) +1
    ROUSE_ERROR_KINDS(ROUSE_ERROR_COUNT)
#undef ROUSE_ERROR_COUNT
    ;

/// Whose fault: the client's, the pod's, or our own (limits, drain, no pod).
enum class Side : uint8_t { kDownstream, kUpstream, kLocal };

struct Error {
  ErrorKind kind = ErrorKind::kNone;
  Side side = Side::kLocal;
  /// True only where it is certain that no pod has seen any byte of the request, or refused it
  /// unprocessed.
  bool retry_safe = false;
  /// Static text for logs and error bodies; never null, never about secrets.
  const char* detail = "";

  [[nodiscard]] bool ok() const { return kind == ErrorKind::kNone; }
};
static_assert(std::is_trivially_copyable_v<Error>);

/// The stable code of a kind, such as "cold_start_timeout".
[[nodiscard]] std::string_view CodeOf(ErrorKind kind);
[[nodiscard]] std::string_view NameOf(Side side);

template <typename T>
using Result = boost::system::result<T, Error>;

/// boost::system::result wants to know what value() on an error does: it is a programmer's error.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

}  // namespace rouse
