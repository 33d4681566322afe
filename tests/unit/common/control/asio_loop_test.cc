#include "common/control/asio_loop.h"

#include <csignal>

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;

TEST_CASE("posted tasks run in order, never inline, and what they post comes after them") {
  OnLoopback here;
  Loop& loop = here.network->loop();
  std::vector<int> ran;
  loop.Post([&] {
    ran.push_back(1);
    loop.Post([&] { ran.push_back(4); });
    CHECK(ran.size() == 1);
  });
  loop.Post([&] { ran.push_back(2); });
  loop.Post([&] { ran.push_back(3); });
  CHECK(ran.empty());
  REQUIRE(here.Until([&] { return ran.size() == 4; }));
  CHECK(ran == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("timers run in the order of their times, equal times in the order they were set") {
  OnLoopback here;
  Loop& loop = here.network->loop();
  const TimePoint now = loop.now();
  std::vector<int> ran;
  loop.At(now + milliseconds(20), [&] { ran.push_back(4); });
  loop.At(now + milliseconds(10), [&] { ran.push_back(2); });
  loop.At(now + milliseconds(10), [&] { ran.push_back(3); });
  loop.At(now - milliseconds(10), [&] { ran.push_back(1); });
  CHECK(ran.empty());
  REQUIRE(here.Until([&] { return ran.size() == 4; }));
  CHECK(ran == std::vector<int>{1, 2, 3, 4});
  CHECK(loop.now() >= now + milliseconds(20));
}

TEST_CASE("a cancelled timer does not run, also when its neighbour of the same time cancels it") {
  OnLoopback here;
  Loop& loop = here.network->loop();
  const TimePoint soon = loop.now() + milliseconds(5);
  int ran = 0;
  TimerId second = 0;
  loop.At(soon, [&] { loop.Cancel(second); });
  second = loop.At(soon, [&] { ++ran; });
  const TimerId third = loop.At(soon, [&] { ++ran; });
  loop.Cancel(third);
  loop.Cancel(third);
  loop.Cancel(0);
  bool last = false;
  loop.At(soon + milliseconds(5), [&] { last = true; });
  REQUIRE(here.Until([&] { return last; }));
  CHECK(ran == 0);
}

TEST_CASE("a timer that sets itself again for now lets other work run") {
  OnLoopback here;
  Loop& loop = here.network->loop();
  int turns = 0;
  bool posted = false;
  std::function<void()> again = [&] {
    ++turns;
    if (!posted) loop.At(loop.now() - milliseconds(1), [&] { again(); });
  };
  again();
  loop.Post([&] { loop.Post([&] { posted = true; }); });
  REQUIRE(here.Until([&] { return posted; }));
  CHECK(turns > 0);
}

TEST_CASE("a signal is told on the loop, each time") {
  OnLoopback here;
  int told = 0;
  here.network->OnSignal(SIGUSR1, [&] { ++told; });
  std::raise(SIGUSR1);
  CHECK(told == 0);
  REQUIRE(here.Until([&] { return told == 1; }));
  std::raise(SIGUSR1);
  REQUIRE(here.Until([&] { return told == 2; }));
}

TEST_CASE("Run returns after Stop, and can be called again") {
  OnLoopback here;
  int ran = 0;
  for (int i = 0; i < 2; ++i) {
    here.network->loop().Post([&] {
      ++ran;
      here.network->Stop();
    });
    here.network->Run();
  }
  CHECK(ran == 2);
}

TEST_CASE("a Stop that comes before Run ends it, after what was posted before") {
  OnLoopback here;
  bool ran = false;
  here.network->loop().Post([&] { ran = true; });
  here.network->Stop();
  // Where it is forgotten, Run returns for this.
  bool late = false;
  here.network->loop().At(Later(here.network->loop().now(), kPatience), [&] {
    late = true;
    here.network->Stop();
  });
  here.network->Run();
  CHECK(ran);
  CHECK_FALSE(late);
}

TEST_CASE("a Stop ends RunUntil too") {
  OnLoopback here;
  here.network->loop().Post([&] { here.network->Stop(); });
  int asked = 0;
  CHECK_FALSE(here.Until([&asked] {
    ++asked;
    return false;
  }));
  CHECK(asked < 10);
}

TEST_CASE("tasks and timers that have not run go with the loop") {
  const auto held = std::make_shared<int>();
  {
    OnLoopback here;
    here.network->loop().Post([held] { FAIL(); });
    here.network->loop().At(here.clock.now(), [held] { FAIL(); });
    CHECK(held.use_count() == 3);
  }
  CHECK(held.use_count() == 1);
}

}  // namespace
}  // namespace rouse::control
