#include "proxy/telemetry/access_log.h"

#include <algorithm>

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

using Catch::Matchers::Contains;
using std::chrono::microseconds;
using std::chrono::milliseconds;

AccessRecord Warm() {
  AccessRecord record;
  record.wall = WallTime(std::chrono::seconds(1767225600) + milliseconds(123));
  record.start = TimePoint(std::chrono::hours(1));
  record.end = record.start + microseconds(1500);
  record.status = 200;
  record.attempts = 1;
  record.bytes_out = 12;
  record.method = "GET";
  record.host = "fn.example.com";
  record.path = "/a?b=c";
  record.client = "192.0.2.7";
  record.workload = "ns/fn";
  return record;
}

TEST_CASE("A warm request is one line of text without cold-start fields") {
  std::string line;
  FormatRecord(Warm(), AccessFormat::kText, line);
  CHECK(line ==
        "time=\"2026-01-01T00:00:00.123Z\" client=\"192.0.2.7\" method=\"GET\" "
        "host=\"fn.example.com\" "
        "path=\"/a?b=c\" version=\"1.1\" status=200 bytes_in=0 bytes_out=12 duration_ms=1.500 "
        "workload=\"ns/fn\" attempts=1\n");
}

TEST_CASE("A cold start brings its phases, in milliseconds from parking") {
  AccessRecord record = Warm();
  const TimePoint parked = record.start + microseconds(100);
  record.end = parked + milliseconds(60);
  record.cold = {.parked = parked,
                 .reported = parked + microseconds(250),
                 .known = parked + milliseconds(30),
                 .ready = parked + milliseconds(50),
                 .slot = parked + milliseconds(51),
                 .first_byte = parked + milliseconds(55),
                 .probed = true,
                 .cold = true};
  std::string line;
  FormatRecord(record, AccessFormat::kJson, line);
  CHECK_THAT(line, Contains("\"cold_start\":true,\"wait_ms\":51.000,\"reported_ms\":0.250,"
                            "\"endpoint_ms\":30.000,\"ready_ms\":50.000,\"probed\":true,"
                            "\"first_byte_ms\":55.000}\n"));
}

TEST_CASE("A request that gave up waiting says how long it waited, and why it ended") {
  AccessRecord record = Warm();
  record.error = ErrorKind::kColdStartTimeout;
  record.status = 504;
  record.cold.parked = record.start;
  record.cold.cold = true;
  record.end = record.start + milliseconds(60000);
  std::string line;
  FormatRecord(record, AccessFormat::kText, line);
  CHECK_THAT(line, Contains("error=\"cold_start_timeout\""));
  CHECK_THAT(line, Contains("wait_ms=60000.000"));
  CHECK_THAT(line, !Contains("first_byte_ms"));
}

TEST_CASE("Nothing that a client sends breaks a line or its JSON") {
  AccessRecord record = Warm();
  record.path = "/\"\\\r\nfake line \x01\xff";
  for (const AccessFormat format : {AccessFormat::kText, AccessFormat::kJson}) {
    std::string line;
    FormatRecord(record, format, line);
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
    CHECK_THAT(line, Contains("/\\\"\\\\\\u000d\\u000afake line \\u0001\\u00ff\""));
  }
}

TEST_CASE("Long texts are cut, and say so") {
  AccessRecord record = Warm();
  record.path = std::string(1000, 'x');
  std::string line;
  FormatRecord(record, AccessFormat::kText, line);
  CHECK_THAT(line, Contains("path=\"" + std::string(256, 'x') + "...\""));
}

TEST_CASE("A full ring drops and counts, and goes on after a flush") {
  size_t taken = 0;
  AccessLog log([&](AccessLog::Batch batch) { taken += batch.size(); });
  for (size_t i = 0; i < AccessLog::kRing; ++i) REQUIRE(log.Next() != nullptr);
  CHECK(log.Next() == nullptr);
  CHECK(log.Next() == nullptr);
  CHECK(log.dropped() == 2);
  log.Flush();
  CHECK(taken == AccessLog::kRing);
  REQUIRE(log.Next() != nullptr);
  CHECK(log.pending() == 1);
  log.set_enabled(false);
  CHECK(log.Next() == nullptr);
  CHECK(log.dropped() == 2);
}

}  // namespace
}  // namespace rouse::proxy
