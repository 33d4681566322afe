#include "k8s/token_budget.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::k8s {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint() + seconds(100);

TEST_CASE("a burst goes at once, the rest at the rate") {
  TokenBudget budget({10, 3});
  for (int i = 0; i < 3; ++i) CHECK(budget.Reserve(kStart) == kStart);
  CHECK(budget.Reserve(kStart) == kStart + milliseconds(100));
  CHECK(budget.Reserve(kStart) == kStart + milliseconds(200));
  CHECK(budget.Reserve(kStart + milliseconds(500)) == kStart + milliseconds(500));
}

TEST_CASE("nobody goes before the time a server asked for, and nobody rushes it then") {
  TokenBudget budget({10, 5});
  budget.HoldUntil(kStart + seconds(2));
  CHECK(budget.Reserve(kStart) == kStart + seconds(2));
  CHECK(budget.Reserve(kStart) == kStart + milliseconds(2100));
  budget.HoldUntil(kStart + seconds(1));
  CHECK(budget.Reserve(kStart) == kStart + milliseconds(2200));
}

TEST_CASE("over any span no more calls start than burst and rate allow") {
  Random random(11);
  for (int round = 0; round < 50; ++round) {
    TokenBudget budget({5, 4});
    TimePoint now = kStart;
    std::vector<TimePoint> starts;
    for (int i = 0; i < 200; ++i) {
      now += milliseconds(random.Below(300));
      starts.push_back(budget.Reserve(now));
      REQUIRE(starts.back() >= now);
    }
    for (size_t i = 0; i < starts.size(); ++i) {
      for (size_t j = i; j < starts.size(); ++j) {
        const double span = std::chrono::duration<double>(starts[j] - starts[i]).count();
        REQUIRE(static_cast<double>(j - i + 1) <= 4 + 5 * span + 1.001);
      }
    }
  }
}

}  // namespace
}  // namespace rouse::k8s
