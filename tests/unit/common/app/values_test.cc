#include "common/app/values.h"

#include <catch2/catch.hpp>

namespace rouse::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a duration is a number with a unit, or several") {
  struct Case {
    const char* text;
    Duration value;
    const char* shown;
  };
  const Case cases[] = {{"500ms", milliseconds(500), "500ms"},
                        {"30s", seconds(30), "30s"},
                        {"5m", seconds(300), "5m"},
                        {"1h30m", seconds(5400), "90m"},
                        {"1.5s", milliseconds(1500), "1500ms"},
                        {"2d", hours(48), "2d"},
                        {"60s", seconds(60), "1m"},
                        {"7us", std::chrono::microseconds(7), "7us"},
                        {"3ns", Duration(3), "3ns"},
                        {"0", Duration(0), "0s"},
                        {"0s", Duration(0), "0s"}};
  for (const Case& c : cases) {
    INFO(c.text);
    const auto value = ParseDuration(c.text);
    REQUIRE(value.ok());
    CHECK(*value == c.value);
    CHECK(FormatDuration(*value) == c.shown);
    CHECK(*ParseDuration(c.shown) == c.value);
  }
  for (const char* text :
       {"", "30", "s", "5 s", "-1s", "1x", "1s1", "1.2.3s", "99999999999d", "1e3s", "S"}) {
    INFO(text);
    CHECK_FALSE(ParseDuration(text).ok());
  }
  CHECK(ParseDuration("5 parsecs").status().message() ==
        "\"5 parsecs\" is not a duration (such as 500ms, 30s, 5m, 1h30m)");
}

TEST_CASE("a size is bytes, or a number with a binary unit") {
  struct Case {
    const char* text;
    uint64_t value;
    const char* shown;
  };
  const Case cases[] = {{"0", 0, "0B"},
                        {"100", 100, "100B"},
                        {"1024", 1024, "1KiB"},
                        {"64KiB", 65536, "64KiB"},
                        {"10MiB", 10485760, "10MiB"},
                        {"1.5GiB", 1610612736, "1536MiB"},
                        {"2TiB", uint64_t{2} << 40, "2TiB"},
                        {"7B", 7, "7B"}};
  for (const Case& c : cases) {
    INFO(c.text);
    const auto value = ParseSize(c.text);
    REQUIRE(value.ok());
    CHECK(*value == c.value);
    CHECK(FormatSize(*value) == c.shown);
  }
  for (const char* text : {"", "MiB", "-1", "1MB", "1 MiB", "1MiB2KiB", "99999999TiB"}) {
    INFO(text);
    CHECK_FALSE(ParseSize(text).ok());
  }
}

TEST_CASE("integers, numbers, booleans and lists are read whole or refused") {
  CHECK(*ParseInteger("-42") == -42);
  CHECK_FALSE(ParseInteger("42x").ok());
  CHECK_FALSE(ParseInteger("").ok());
  CHECK_FALSE(ParseInteger("99999999999999999999").ok());
  CHECK(*ParseNumber("0.7") == 0.7);
  CHECK_FALSE(ParseNumber("inf").ok());
  CHECK_FALSE(ParseNumber("nan").ok());
  for (const char* yes : {"true", "Yes", "ON", "1"}) CHECK(*ParseBoolean(yes));
  for (const char* no : {"false", "No", "OFF", "0"}) CHECK_FALSE(*ParseBoolean(no));
  CHECK_FALSE(ParseBoolean("maybe").ok());
  CHECK(ParseList(" a, b ,,c") == std::vector<std::string>{"a", "b", "c"});
  CHECK(ParseList("").empty());
}

TEST_CASE("the nearest known name is found, and none where nothing is near") {
  const std::vector<std::string> known = {"hold-timeout", "health-address", "log-level"};
  CHECK(Nearest("hold-timout", known) == "hold-timeout");
  CHECK(Nearest("log-levle", known) == "log-level");
  CHECK(Nearest("holdtimeout", known) == "hold-timeout");
  CHECK(Nearest("colour", known).empty());
}

}  // namespace
}  // namespace rouse::app
