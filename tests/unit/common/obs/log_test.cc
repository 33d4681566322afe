#include "common/obs/log.h"

#include <latch>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace rouse::obs {
namespace {

/// 2026-11-23T19:00:00.123Z.
class FixedClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return TimePoint(); }
  [[nodiscard]] WallTime wall() const override {
    return WallTime(std::chrono::milliseconds(1795460400123));
  }
};

struct Captured {
  FixedClock clock;
  std::vector<std::string> lines;

  std::unique_ptr<Log> New(Log::Format format, Level level = Level::kInfo) {
    Log::Options options;
    options.format = format;
    options.level = level;
    options.sink = [this](std::string_view line) { lines.emplace_back(line); };
    return std::make_unique<Log>(clock, std::move(options));
  }
};

TEST_CASE("a text line is time, level, event and fields") {
  Captured captured;
  const auto log = captured.New(Log::Format::kText);
  log->Info("endpoint_ready",
            {{"workload", "a/b"}, {"wait_ms", 812}, {"share", 0.5}, {"warm", true}});
  log->Flush();
  REQUIRE(captured.lines ==
          std::vector<std::string>{
              "2026-11-23T19:00:00.123Z info endpoint_ready workload=a/b wait_ms=812 "
              "share=0.5 warm=true\n"});
}

TEST_CASE("a text value is quoted and escaped where it could be misread") {
  struct Case {
    std::string value;
    std::string written;
  };
  const Case cases[] = {{"plain", "plain"},
                        {"", "\"\""},
                        {"two words", "\"two words\""},
                        {"a=b", "\"a=b\""},
                        {"say \"x\"", "\"say \\\"x\\\"\""},
                        {"back\\slash", "\"back\\\\slash\""},
                        {"a\nb\tc\r", "\"a\\nb\\tc\\r\""},
                        {std::string("\x1b[31m\0", 6), "\"\\x1b[31m\\x00\""},
                        {"\x7f", "\"\\x7f\""},
                        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"}};
  for (const Case& c : cases) {
    Captured captured;
    const auto log = captured.New(Log::Format::kText);
    log->Warn("e", {{"v", c.value}});
    log->Flush();
    REQUIRE(captured.lines.size() == 1);
    CHECK(captured.lines[0] == "2026-11-23T19:00:00.123Z warn e v=" + c.written + "\n");
  }
}

TEST_CASE("a JSON line is one object with nothing unescaped") {
  Captured captured;
  const auto log = captured.New(Log::Format::kJson);
  log->Error("broken", {{"text", "a\"b\\c\n\x01"},
                        {"bytes", "x\xff\xc3\xa9"},
                        {"n", -7},
                        {"ratio", 1.5},
                        {"none", std::numeric_limits<double>::quiet_NaN()},
                        {"no", false}});
  log->Flush();
  REQUIRE(captured.lines ==
          std::vector<std::string>{
              "{\"time\":\"2026-11-23T19:00:00.123Z\",\"level\":\"error\",\"event\":"
              "\"broken\",\"text\":\"a\\\"b\\\\c\\n\\u0001\",\"bytes\":\"x\\ufffd"
              "\xc3\xa9\",\"n\":-7,\"ratio\":1.5,\"none\":null,\"no\":false}\n"});
}

TEST_CASE("a line below the level is not written") {
  Captured captured;
  const auto log = captured.New(Log::Format::kText, Level::kWarn);
  log->Debug("a");
  log->Info("b");
  log->Write(Level::kInfo, "c");
  log->Warn("d");
  log->Flush();
  REQUIRE(captured.lines.size() == 1);
  CHECK(captured.lines[0].find(" warn d\n") != std::string::npos);
  CHECK_FALSE(log->enabled(Level::kInfo));
  CHECK(log->enabled(Level::kError));
}

TEST_CASE("what is queued is written before the log goes") {
  Captured captured;
  auto log = captured.New(Log::Format::kText);
  for (int i = 0; i < 1000; ++i) log->Info("line", {{"i", i}});
  log.reset();
  REQUIRE(captured.lines.size() == 1000);
  CHECK(captured.lines[999].ends_with(" i=999\n"));
}

TEST_CASE("a full queue drops, counts, and says so later; it never waits") {
  FixedClock clock;
  std::latch held(1);
  std::latch release(1);
  bool first = true;
  std::vector<std::string> lines;
  Log::Options options;
  options.queue_lines = 4;
  options.sink = [&](std::string_view line) {
    if (first) {
      first = false;
      held.count_down();
      release.wait();
    }
    lines.emplace_back(line);
  };
  Log log(clock, std::move(options));
  log.Info("first");
  held.wait();  // the writer is busy with "first"
  for (int i = 0; i < 10; ++i) log.Info("more", {{"i", i}});
  CHECK(log.dropped() == 6);
  release.count_down();
  log.Flush();
  REQUIRE(lines.size() == 6);
  CHECK(lines[1].ends_with(" more i=0\n"));
  CHECK(lines[4].ends_with(" more i=3\n"));
  CHECK(lines[5].ends_with(" warn log_lines_dropped lines=6 queue_lines=4\n"));
}

}  // namespace
}  // namespace rouse::obs
