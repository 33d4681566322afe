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
  record.wall = WallTime(std::chrono::seconds(1767225600) + microseconds(123456));
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
        "time=\"2026-01-01T00:00:00.123456Z\" client=\"192.0.2.7\" method=\"GET\" "
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

TEST_CASE("Every byte is escaped or kept wherever it stands") {
  constexpr char kHex[] = "0123456789abcdef";
  for (int code = 0; code < 256; ++code) {
    for (size_t at = 0; at < 17; ++at) {
      AccessRecord record = Warm();
      std::string path(17, 'a');
      path[at] = static_cast<char>(code);
      record.path = path;
      std::string shown;
      if (code < 0x20 || code >= 0x7f) {
        shown = std::string("\\u00") + kHex[code >> 4] + kHex[code & 15];
      } else if (code == '"' || code == '\\') {
        shown = std::string("\\") + static_cast<char>(code);
      } else {
        shown = static_cast<char>(code);
      }
      std::string line;
      FormatRecord(record, AccessFormat::kText, line);
      const std::string want = std::string(at, 'a') + shown + std::string(16 - at, 'a');
      REQUIRE_THAT(line, Contains("path=\"" + want + "\""));
    }
  }
}

TEST_CASE("The longest record fits a line") {
  AccessRecord record = Warm();
  const std::string worst(1000, '\x01');
  record.method = worst;
  record.host = worst;
  record.path = worst;
  record.client = worst;
  record.workload = worst;
  record.pod = worst;
  record.request_id = worst;
  record.bytes_in = record.bytes_out = UINT64_MAX;
  record.tls = true;
  record.error = ErrorKind::kResponseStartTimeout;
  record.cold = {.parked = record.start,
                 .reported = record.end,
                 .known = record.end,
                 .ready = record.end,
                 .slot = record.end,
                 .first_byte = record.end,
                 .probed = true,
                 .cold = true};
  for (const AccessFormat format : {AccessFormat::kText, AccessFormat::kJson}) {
    std::string line;
    FormatRecord(record, format, line);
    CHECK(line.size() > 3000);
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  }
}

TEST_CASE("Moments are written as dates, to the microsecond") {
  const auto time_of = [](int64_t us) {
    AccessRecord record = Warm();
    record.wall = WallTime(microseconds(us));
    std::string line;
    FormatRecord(record, AccessFormat::kText, line);
    return line.substr(6, 27);
  };
  CHECK(time_of(0) == "1970-01-01T00:00:00.000000Z");
  CHECK(time_of(951'868'799'999'999) == "2000-02-29T23:59:59.999999Z");
  CHECK(time_of(1'709'208'001'005'003) == "2024-02-29T12:00:01.005003Z");
  CHECK(time_of(4'102'444'800'000'000) == "2100-01-01T00:00:00.000000Z");
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
  AccessLog log([&](std::span<const AccessRecord> batch) { taken += batch.size(); });
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
