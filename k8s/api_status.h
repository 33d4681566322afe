#pragma once
// What:  how the API's refusals become absl::Status: the code by HTTP status and reason, the Status
//        object's message, and the rest (ApiFailure) as a payload that travels with the status.
// Owner: values. Any thread; pure.

#include <optional>
#include <string>
#include <string_view>

#include <absl/status/status.h>

#include "common/base/clock.h"

namespace rouse::k8s {

/// What the server said besides its message.
struct ApiFailure {
  int http_status = 0;                  ///< or the code of an ERROR event
  std::string reason;                   ///< "Conflict", "Expired", "AlreadyExists", ...
  std::optional<Duration> retry_after;  ///< from Retry-After or details.retryAfterSeconds
  std::string continue_token;           ///< a 410 on a later page may offer one
};

/// 400, 413, 415, 422 kInvalidArgument; 401 kUnauthenticated; 403 kPermissionDenied; 404 kNotFound;
/// 405, 406 kUnimplemented; 409 kAborted, or kAlreadyExists by its reason; 410 kOutOfRange; 429
/// kResourceExhausted; 504 kDeadlineExceeded; 502, 503 kUnavailable; other 5xx kInternal. `body`
/// may be a Status object or anything.
[[nodiscard]] absl::Status StatusFromReply(int http_status, std::string_view body,
                                           std::optional<Duration> retry_after);

/// A Status object of a watch's ERROR event.
[[nodiscard]] absl::Status StatusFromErrorEvent(std::string_view object);

/// What the server said, where `status` came from it; nullopt for transport errors.
[[nodiscard]] std::optional<ApiFailure> FailureOf(const absl::Status& status);

/// True for a 410 in any shape: history is gone, list again.
[[nodiscard]] bool IsExpired(const absl::Status& status);
/// True for the answer to a resourceVersion from the future (another or a restored server).
[[nodiscard]] bool IsVersionTooLarge(const absl::Status& status);

/// Seconds or an HTTP date (RFC 9110 section 10.2.3) relative to `wall`; bounded to an hour.
[[nodiscard]] std::optional<Duration> ParseRetryAfter(std::string_view value, WallTime wall);

}  // namespace rouse::k8s
