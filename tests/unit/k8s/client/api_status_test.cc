#include "k8s/api_status.h"

#include <catch2/catch.hpp>

#include "k8s/objects/timestamp.h"

namespace rouse::k8s {
namespace {

using std::chrono::seconds;

TEST_CASE("each HTTP status becomes one code") {
  struct Case {
    int http;
    absl::StatusCode code;
  };
  for (const Case& each :
       {Case{400, absl::StatusCode::kInvalidArgument},
        Case{401, absl::StatusCode::kUnauthenticated},
        Case{403, absl::StatusCode::kPermissionDenied}, Case{404, absl::StatusCode::kNotFound},
        Case{405, absl::StatusCode::kUnimplemented}, Case{409, absl::StatusCode::kAborted},
        Case{410, absl::StatusCode::kOutOfRange}, Case{413, absl::StatusCode::kInvalidArgument},
        Case{422, absl::StatusCode::kInvalidArgument},
        Case{429, absl::StatusCode::kResourceExhausted}, Case{500, absl::StatusCode::kInternal},
        Case{502, absl::StatusCode::kUnavailable}, Case{503, absl::StatusCode::kUnavailable},
        Case{504, absl::StatusCode::kDeadlineExceeded}, Case{302, absl::StatusCode::kUnknown}}) {
    CAPTURE(each.http);
    const absl::Status status = StatusFromReply(each.http, "", std::nullopt);
    CHECK(status.code() == each.code);
    CHECK(FailureOf(status)->http_status == each.http);
  }
}

TEST_CASE("a Status object's message, reason and hints travel with the status") {
  const absl::Status status = StatusFromReply(
      409,
      R"({"kind":"Status","message":"leases \"x\" already exists","reason":"AlreadyExists",
               "code":409,
               "metadata":{"continue":"tok\nen"},"details":{"retryAfterSeconds":3}})",
      std::nullopt);
  CHECK(absl::IsAlreadyExists(status));
  CHECK(status.message() == "leases \"x\" already exists");
  const auto failure = FailureOf(status);
  REQUIRE(failure.has_value());
  CHECK(failure->reason == "AlreadyExists");
  CHECK(failure->retry_after == seconds(3));
  CHECK(failure->continue_token == "tok\nen");
  CHECK(FailureOf(StatusFromReply(429, "", seconds(7)))->retry_after == seconds(7));
  CHECK_FALSE(FailureOf(absl::UnavailableError("connect")).has_value());
}

TEST_CASE("a body that is no Status is quoted, cut and made printable") {
  const absl::Status status =
      StatusFromReply(502, "<html>\n\x1b[31m" + std::string(1000, 'x'), std::nullopt);
  CHECK(status.message().substr(0, 24) == "HTTP 502: <html>  [31mxx");
  CHECK(status.message().size() == 210);
}

TEST_CASE("410 is recognised as a reply and as an event, and nothing else is") {
  CHECK(IsExpired(StatusFromReply(410, "", std::nullopt)));
  CHECK(IsExpired(StatusFromErrorEvent(
      R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})")));
  CHECK(IsExpired(StatusFromErrorEvent(R"({"kind":"Status","reason":"Gone"})")));
  CHECK_FALSE(IsExpired(StatusFromErrorEvent(R"({"kind":"Status","code":500})")));
  CHECK_FALSE(IsExpired(StatusFromErrorEvent(R"({"what":"ever"})")));
  CHECK_FALSE(IsExpired(absl::OkStatus()));
  CHECK_FALSE(IsExpired(absl::OutOfRangeError("not from a server")));
}

TEST_CASE("a version from the future is recognised") {
  CHECK(IsVersionTooLarge(StatusFromReply(
      504, R"({"kind":"Status","message":"Timeout: Too large resource version: 9, current: 3"})",
      std::nullopt)));
  CHECK_FALSE(IsVersionTooLarge(StatusFromReply(504, "", std::nullopt)));
}

TEST_CASE("Retry-After is read as seconds or as a date, within an hour") {
  const WallTime now = *ParseTimestamp("1994-11-06T08:49:00Z");
  CHECK(ParseRetryAfter("5", now) == seconds(5));
  CHECK(ParseRetryAfter("0", now) == Duration());
  CHECK(ParseRetryAfter("999999", now) == seconds(3600));
  CHECK(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now) == seconds(37));
  CHECK(ParseRetryAfter("Sun, 06 Nov 1994 08:48:37 GMT", now) == Duration());
  for (const char* bad : {"", "-1", "soon", "Sun, 06 Nov 1994 08:49:37 UTC", "06 Nov 1994"}) {
    CHECK_FALSE(ParseRetryAfter(bad, now).has_value());
  }
}

}  // namespace
}  // namespace rouse::k8s
