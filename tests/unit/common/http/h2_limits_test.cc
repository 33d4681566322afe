#include "common/http/h2_limits.h"

#include <catch2/catch.hpp>

namespace rouse::http {
namespace {

using std::chrono::seconds;

size_t TakeAll(RateLimit& limit, TimePoint now) {
  size_t taken = 0;
  while (taken < 100'000 && limit.Take(now)) ++taken;
  return taken;
}

TEST_CASE("so many at once, and a thirtieth of it per second") {
  const TimePoint start = TimePoint{} + seconds(100);
  RateLimit limit(300);
  CHECK(TakeAll(limit, start) == 300);
  CHECK_FALSE(limit.Take(start));
  CHECK(TakeAll(limit, start + seconds(1)) == 10);
  CHECK(TakeAll(limit, start + seconds(60)) == 300);  // never more than at once
}

TEST_CASE("what makes more plausible gives more, up to as many as at once") {
  const TimePoint start = TimePoint{} + seconds(100);
  RateLimit limit(10);
  CHECK(TakeAll(limit, start) == 10);
  limit.Give(4);
  CHECK(TakeAll(limit, start) == 4);
  limit.Give(1000);
  CHECK(TakeAll(limit, start) == 10);
}

}  // namespace
}  // namespace rouse::http
