#include "k8s/api_status.h"

#include <algorithm>
#include <array>
#include <vector>

#include <absl/strings/cord.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "k8s/objects/json_node.h"
#include "k8s/objects/policy_values.h"
#include "k8s/objects/timestamp.h"

namespace rouse::k8s {
namespace {

constexpr const char* kFailurePayload = "rouse.dev/api-failure";
constexpr size_t kQuotedMax = 200;
constexpr Duration kRetryAfterMost = std::chrono::hours(1);

absl::StatusCode CodeOf(const ApiFailure& failure) {
  const int status = failure.http_status;
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 405:
    case 406:
      return absl::StatusCode::kUnimplemented;
    case 409:
      return failure.reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                               : absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 502:
    case 503:
      return absl::StatusCode::kUnavailable;
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      if (status >= 500) return absl::StatusCode::kInternal;
      return status >= 400 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnknown;
  }
}

/// Printable ASCII only: this goes into log lines and Events.
std::string Quote(std::string_view body) {
  std::string text(body.substr(0, kQuotedMax));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, ' ');
  return text;
}

absl::Status Make(const ApiFailure& failure, std::string_view message) {
  absl::Status status(CodeOf(failure), {message.data(), message.size()});
  const int64_t retry = failure.retry_after ? failure.retry_after->count() : -1;
  const std::string payload =
      absl::StrJoin({std::to_string(failure.http_status), std::to_string(retry), failure.reason,
                     failure.continue_token},
                    "\n");
  // Not from the string itself: the constructor template is mangled differently by GCC and clang.
  status.SetPayload(kFailurePayload, absl::Cord(absl::string_view(payload)));
  return status;
}

/// What a Status object says; the message is empty where the text is no Status.
std::string ReadStatusObject(std::string_view object, ApiFailure& failure) {
  JsonDocument document(object);
  const JsonNode root = document.root();
  if (root["kind"].Text() != "Status") return {};
  const std::optional<int64_t> code = root["code"].Number(100, 599);
  if (code) failure.http_status = static_cast<int>(*code);
  failure.reason = root["reason"].Text();
  failure.continue_token = root["metadata"]["continue"].Text();
  const std::optional<int64_t> seconds = root["details"]["retryAfterSeconds"].Number(1, 3600);
  if (seconds && !failure.retry_after) failure.retry_after = std::chrono::seconds(*seconds);
  std::string message = root["message"].Text();
  return message.empty() ? failure.reason : message;
}

}  // namespace

absl::Status StatusFromReply(int http_status, std::string_view body,
                             std::optional<Duration> retry_after) {
  ApiFailure failure;
  failure.retry_after = retry_after;
  std::string message = ReadStatusObject(body, failure);
  failure.http_status = http_status;
  if (message.empty()) message = "HTTP " + std::to_string(http_status) + ": " + Quote(body);
  return Make(failure, message);
}

absl::Status StatusFromErrorEvent(std::string_view object) {
  ApiFailure failure;
  failure.http_status = 500;
  std::string message = ReadStatusObject(object, failure);
  if (message.empty()) message = "watch error: " + Quote(object);
  return Make(failure, message);
}

std::optional<ApiFailure> FailureOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kFailurePayload);
  if (!payload) return std::nullopt;
  const std::vector<std::string> parts =
      absl::StrSplit(std::string(*payload), absl::MaxSplits('\n', 3));
  if (parts.size() != 4) return std::nullopt;
  ApiFailure failure;
  failure.http_status = static_cast<int>(ParseWholeNumber(parts[0]).value_or(0));
  const int64_t retry = ParseWholeNumber(parts[1]).value_or(-1);
  if (retry >= 0) failure.retry_after = Duration(retry);
  failure.reason = parts[2];
  failure.continue_token = parts[3];
  return failure;
}

bool IsExpired(const absl::Status& status) {
  const std::optional<ApiFailure> failure = FailureOf(status);
  return failure &&
         (failure->http_status == 410 || failure->reason == "Expired" || failure->reason == "Gone");
}

bool IsVersionTooLarge(const absl::Status& status) {
  return FailureOf(status) &&
         status.message().find("Too large resource version") != absl::string_view::npos;
}

namespace {

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that may be sent (RFC 9110 section 5.6.7).
std::optional<WallTime> ParseHttpDate(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(25) != " GMT") return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  const std::string number = std::to_string(month - kMonths.begin() + 101).substr(1);
  const std::string date(text.substr(12, 4));
  return ParseTimestamp(date + "-" + number + "-" + std::string(text.substr(5, 2)) + "T" +
                        std::string(text.substr(17, 8)) + "Z");
}

}  // namespace

std::optional<Duration> ParseRetryAfter(std::string_view value, WallTime wall) {
  Duration wait{};
  if (const std::optional<int64_t> seconds = ParseWholeNumber(value)) {
    if (*seconds < 0) return std::nullopt;
    wait = std::chrono::seconds(std::min<int64_t>(*seconds, 3600));
  } else if (const std::optional<WallTime> date = ParseHttpDate(value)) {
    wait = std::max(Duration(), std::chrono::duration_cast<Duration>(*date - wall));
  } else {
    return std::nullopt;
  }
  return std::min(wait, kRetryAfterMost);
}

}  // namespace rouse::k8s
