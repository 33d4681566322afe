#include "common/net/timer_wheel.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::net {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint() + hours(5) + microseconds(137);

/// Records when it fired.
struct Alarm {
  explicit Alarm(const TimePoint& now_of_test)
      : now(now_of_test), timer([](void* self) { static_cast<Alarm*>(self)->Ring(); }, this) {}
  void Ring() { rang.push_back(now); }
  const TimePoint& now;
  Timer timer;
  std::vector<TimePoint> rang;
};

/// Whole ticks from the start: up for deadlines, down for the present.
int64_t TickOf(TimePoint due) {
  return due <= kStart ? 0 : std::chrono::ceil<milliseconds>(due - kStart).count();
}

TEST_CASE("a timer fires once, at or after its deadline and within a tick") {
  TimePoint now = kStart;
  TimerWheel wheel(now);
  Alarm alarm(now);
  alarm.timer.Arm(wheel, now + microseconds(2500));
  CHECK(wheel.armed() == 1);
  for (int i = 0; i < 10; ++i) {
    now += milliseconds(1);
    wheel.Advance(now, 10);
  }
  REQUIRE(alarm.rang.size() == 1);
  CHECK(alarm.rang[0] == kStart + milliseconds(3));
  CHECK_FALSE(alarm.timer.armed());
  CHECK(wheel.armed() == 0);
  CHECK(wheel.NextDue() == kNever);
}

TEST_CASE("a timer that was cancelled, or moved away in time, does not fire at the old deadline") {
  TimePoint now = kStart;
  TimerWheel wheel(now);
  Alarm cancelled(now);
  Alarm later(now);
  Alarm earlier(now);
  cancelled.timer.Arm(wheel, now + milliseconds(5));
  later.timer.Arm(wheel, now + milliseconds(5));
  earlier.timer.Arm(wheel, now + seconds(50));
  cancelled.timer.Cancel();
  later.timer.Arm(wheel, now + milliseconds(700));
  earlier.timer.Arm(wheel, now + milliseconds(2));
  wheel.CheckInvariants();
  now += milliseconds(10);
  wheel.Advance(now, 10);
  CHECK(cancelled.rang.empty());
  CHECK(later.rang.empty());
  CHECK(earlier.rang.size() == 1);
  now += milliseconds(690);
  wheel.Advance(now, 10);
  CHECK(later.rang.size() == 1);
  wheel.CheckInvariants();
}

TEST_CASE("a timer destroyed while armed leaves the wheel sound, and a wheel may go first") {
  TimePoint now = kStart;
  Alarm outlives(now);
  {
    TimerWheel wheel(now);
    auto gone = std::make_unique<Alarm>(now);
    gone->timer.Arm(wheel, now + seconds(1));
    outlives.timer.Arm(wheel, now + seconds(1));
    gone.reset();
    wheel.CheckInvariants();
    CHECK(wheel.armed() == 1);
  }
  CHECK_FALSE(outlives.timer.armed());
}

TEST_CASE("at most so many timers fire in one advance, and the rest in the next") {
  TimePoint now = kStart;
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 100; ++i) {
    alarms.push_back(std::make_unique<Alarm>(now));
    alarms.back()->timer.Arm(wheel, now + milliseconds(64 + i % 3));
  }
  now += seconds(1);
  size_t advances = 0;
  while (wheel.Advance(now, 9)) {
    ++advances;
    wheel.CheckInvariants();
    CHECK(wheel.fired() == 9 * advances);
  }
  CHECK(wheel.fired() == 100);
}

TEST_CASE("a timer that arms itself again for now does not hold the wheel for ever") {
  struct Again {
    explicit Again(TimerWheel& w)
        : wheel(w),
          timer(
              [](void* self) {
                auto& again = *static_cast<Again*>(self);
                ++again.count;
                again.timer.Arm(again.wheel, TimePoint());
              },
              this) {}
    TimerWheel& wheel;
    Timer timer;
    size_t count = 0;
  };
  TimerWheel wheel(kStart);
  Again again(wheel);
  again.timer.Arm(wheel, kStart);
  CHECK(wheel.Advance(kStart, 50));
  CHECK(again.count == 50);
}

/// Deadlines from a microsecond to a day, most of them short.
Duration DrawWait(Random& random) {
  const auto magnitude = static_cast<int>(random.Below(28));
  return microseconds(static_cast<int64_t>(random.Below(uint64_t{1} << (10 + magnitude))));
}

TEST_CASE(
    "against a sorted reference, every timer fires in its tick whatever is armed, moved and "
    "cancelled") {
  const auto seed = GENERATE(1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U);
  INFO("seed " << seed);
  Random random(seed);
  TimePoint now = kStart;
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<TimePoint> due(200, kNever);
  for (size_t i = 0; i < due.size(); ++i) alarms.push_back(std::make_unique<Alarm>(now));

  for (int step = 0; step < 6000; ++step) {
    const size_t i = random.Below(due.size());
    switch (random.Below(4)) {
      case 0:
      case 1:
        due[i] = now + DrawWait(random) - microseconds(50);
        alarms[i]->timer.Arm(wheel, due[i]);
        break;
      case 2:
        due[i] = kNever;
        alarms[i]->timer.Cancel();
        break;
      default: {
        // Now and then exactly to where the wheel says, which must never be too late.
        const TimePoint next = wheel.NextDue();
        const TimePoint first = *std::min_element(due.begin(), due.end());
        if (first != kNever && first > now) REQUIRE(next < first + milliseconds(1));
        const bool jump = next != kNever && random.Below(2) == 0;
        now = jump ? std::max(now, next) : now + DrawWait(random) / 8;
        REQUIRE_FALSE(wheel.Advance(now, due.size() + 1));
        const int64_t tick = (now - kStart) / milliseconds(1);
        for (size_t k = 0; k < due.size(); ++k) {
          const bool fires = due[k] != kNever && TickOf(due[k]) <= tick;
          REQUIRE(alarms[k]->rang.size() == (fires ? 1 : 0));
          alarms[k]->rang.clear();
          if (fires) due[k] = kNever;
          REQUIRE(alarms[k]->timer.due() == due[k]);
        }
        break;
      }
    }
    if (step % 64 == 0) wheel.CheckInvariants();
  }
}

}  // namespace
}  // namespace rouse::net
