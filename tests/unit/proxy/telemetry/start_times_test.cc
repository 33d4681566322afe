#include "proxy/telemetry/start_times.h"

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kNow = TimePoint(std::chrono::hours(1));

TEST_CASE("Retry-After is what remains of a usual start") {
  StartTimes times;
  CHECK_FALSE(times.Median());
  CHECK(RetryAfter(times, kNever, kNow) == seconds(1));
  times.Observe(seconds(10));
  times.Observe(seconds(12));
  times.Observe(seconds(300));
  CHECK(times.Median() == seconds(12));
  CHECK(RetryAfter(times, kNever, kNow) == seconds(12));
  CHECK(RetryAfter(times, kNow - seconds(5), kNow) == seconds(7));
  CHECK(RetryAfter(times, kNow - milliseconds(4500), kNow) == seconds(8));
  CHECK(RetryAfter(times, kNow - seconds(100), kNow) == seconds(1));
}

TEST_CASE("Retry-After never asks for more than a minute") {
  StartTimes times;
  times.Observe(seconds(600));
  CHECK(RetryAfter(times, kNow, kNow) == seconds(60));
}

TEST_CASE("Old starts are forgotten") {
  StartTimes times;
  for (int i = 0; i < 100; ++i) times.Observe(seconds(50));
  for (size_t i = 0; i < StartTimes::kKept; ++i) times.Observe(seconds(2));
  CHECK(times.Median() == seconds(2));
}

}  // namespace
}  // namespace rouse::proxy
