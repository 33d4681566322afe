#include <set>

#include <catch2/catch.hpp>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/object_key.h"
#include "common/base/random.h"

namespace rouse {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a deadline beyond the end of time is never") {
  const TimePoint now = TimePoint() + seconds(5);
  CHECK(Later(now, seconds(1)) == TimePoint() + seconds(6));
  CHECK(Later(now, Duration::max()) == kNever);
}

TEST_CASE("backoff stays in its bounds, doubles, and starts over") {
  Random random(1);
  Backoff backoff(milliseconds(100), milliseconds(1000));
  Duration ceiling = milliseconds(100);
  for (int i = 0; i < 100; ++i) {
    const Duration wait = backoff.Next(random);
    CHECK(wait >= milliseconds(50));
    CHECK(wait <= ceiling);
    ceiling = std::min<Duration>(milliseconds(1000), ceiling * 2);
  }
  backoff.Reset();
  CHECK(backoff.Next(random) <= milliseconds(100));
}

TEST_CASE("every error kind has a code of its own") {
  std::set<std::string_view> codes;
  for (size_t i = 0; i < kErrorKinds; ++i) codes.insert(CodeOf(static_cast<ErrorKind>(i)));
  CHECK(codes.size() == kErrorKinds);
}

TEST_CASE("an object key parses its own text and nothing ambiguous") {
  const ObjectKey key{"default", "hello"};
  CHECK(ObjectKey::Parse(key.text()) == key);
  for (const char* text : {"", "a", "/a", "a/", "a/b/c"})
    CHECK(!ObjectKey::Parse(text).has_value());
}

TEST_CASE("a seed gives the same numbers every time, inside the bound") {
  Random a(42);
  Random b(42);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t bound = 1 + static_cast<uint64_t>(i);
    const uint64_t drawn = a.Below(bound);
    CHECK(drawn == b.Below(bound));
    CHECK(drawn < bound);
  }
  CHECK(a.Below(0) == 0);
}

}  // namespace
}  // namespace rouse
