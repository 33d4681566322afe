#include "common/app/lifecycle.h"

#include <optional>

#include <catch2/catch.hpp>

#include "tests/support/control/sim_loop.h"

namespace rouse::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Living {
  SimClock clock;
  control::SimLoop loop{clock};
  std::vector<std::string> lines;
  obs::Log log{clock, Options(lines)};
  std::vector<std::string> ran;
  std::optional<int> exit_code;
  int overs = 0;
  Lifecycle life{loop, log, [this](int code) {
                   exit_code = code;
                   ++overs;
                 }};

  static obs::Log::Options Options(std::vector<std::string>& lines) {
    obs::Log::Options options;
    options.sink = [&lines](std::string_view line) { lines.emplace_back(line); };
    return options;
  }
  absl::AnyInvocable<absl::Status()> Starts(const std::string& name,
                                            absl::Status status = absl::OkStatus()) {
    return [this, name, status] {
      ran.push_back(name);
      return status;
    };
  }
  absl::AnyInvocable<void()> Drains(const std::string& name) {
    return [this, name] { ran.push_back(name); };
  }
  bool Logged(const std::string& text) {
    log.Flush();
    for (const std::string& line : lines) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_CASE("a program starts and drains step by step, in order, and says so") {
  Living program;
  program.life.AddStart("listen", program.Starts("listen"));
  program.life.AddStart("watch", program.Starts("watch"));
  program.life.AddDrain("not_ready", program.Drains("not_ready"));
  program.life.AddDrain("close", program.Drains("close"));
  program.life.Start();
  CHECK(program.ran.empty());
  program.loop.RunUntilIdle();
  CHECK(program.ran == std::vector<std::string>{"listen", "watch"});
  CHECK(program.life.running());
  CHECK(program.Logged("start_step step=watch"));
  program.life.Stop("SIGTERM");
  CHECK(program.life.draining());
  program.loop.RunUntilIdle();
  CHECK(program.ran == std::vector<std::string>{"listen", "watch", "not_ready", "close"});
  CHECK(program.exit_code == 0);
  CHECK(program.Logged("stopping why=SIGTERM"));
  CHECK(program.Logged("drain_step step=close took_ms=0"));
  CHECK(program.Logged("stopped exit_code=0"));
}

TEST_CASE("a step that takes time holds up the next") {
  Living program;
  Lifecycle::Step slow;
  slow.name = "sync";
  Lifecycle::Done finish;
  slow.run = [&](Lifecycle::Done done) { finish = std::move(done); };
  program.life.AddStart(std::move(slow));
  program.life.AddStart("after", program.Starts("after"));
  program.life.Start();
  program.loop.RunFor(seconds(5));
  CHECK(program.ran.empty());
  finish(absl::OkStatus());
  program.loop.RunUntilIdle();
  CHECK(program.ran == std::vector<std::string>{"after"});
  CHECK(program.Logged("start_step step=sync took_ms=5000"));
  finish(absl::OkStatus());  // a second answer means nothing
  program.loop.RunUntilIdle();
  CHECK(program.ran.size() == 1);
}

TEST_CASE("a start step that fails or is late stops the program with exit code 1, drained") {
  Living program;
  bool late = false;
  SECTION("fails") {
    program.life.AddStart("bind", program.Starts("bind", absl::UnavailableError("taken")));
  }
  SECTION("is late") {
    late = true;
    Lifecycle::Step step;
    step.name = "bind";
    step.deadline = seconds(3);
    step.run = [](const Lifecycle::Done&) {};
    program.life.AddStart(std::move(step));
  }
  program.life.AddStart("never", program.Starts("never"));
  program.life.AddDrain("close", program.Drains("close"));
  program.life.Start();
  program.loop.RunFor(seconds(4));
  CHECK(program.exit_code == 1);
  CHECK(program.ran.back() == "close");
  CHECK(std::find(program.ran.begin(), program.ran.end(), "never") == program.ran.end());
  CHECK(program.Logged(late ? "start_late step=bind deadline_ms=3000" : "start_failed step=bind"));
}

TEST_CASE("draining waits for what is being done, up to a deadline, then goes on") {
  Living program;
  int active = 3;
  program.life.AddDrainPause("tell", seconds(5));
  program.life.AddDrainWait("exchanges", seconds(30), [&] { return active == 0; });
  program.life.AddDrain("close", program.Drains("close"));
  program.life.Start();
  program.loop.RunUntilIdle();
  program.life.Stop("SIGTERM");
  const TimePoint start = program.loop.now();
  SECTION("done in time") {
    program.loop.At(start + seconds(12), [&] { active = 0; });
    program.loop.RunFor(seconds(13));
    CHECK(program.exit_code == 0);
  }
  SECTION("not done in time") {
    program.loop.RunFor(milliseconds(34'900));
    CHECK_FALSE(program.exit_code.has_value());
    program.loop.RunFor(milliseconds(200));
    CHECK(program.exit_code == 0);
    CHECK(program.Logged("drain_late step=exchanges deadline_ms=30000"));
  }
  CHECK(program.ran == std::vector<std::string>{"close"});
}

TEST_CASE("a second stop ends at once with exit code 1") {
  Living program;
  program.life.AddDrainPause("long", seconds(60));
  program.life.AddDrain("close", program.Drains("close"));
  program.life.Start();
  program.loop.RunUntilIdle();
  program.life.Stop("SIGTERM");
  program.loop.RunFor(seconds(1));
  program.life.Stop("SIGINT");
  CHECK(program.exit_code == 1);
  program.life.Stop("SIGINT");
  program.loop.RunFor(seconds(120));
  CHECK(program.ran.empty());
  CHECK(program.overs == 1);
}

TEST_CASE("a stop in the middle of starting drains at once") {
  Living program;
  Lifecycle::Step slow;
  slow.name = "sync";
  Lifecycle::Done finish;
  slow.run = [&](Lifecycle::Done done) { finish = std::move(done); };
  program.life.AddStart(std::move(slow));
  program.life.AddStart("never", program.Starts("never"));
  program.life.AddDrain("close", program.Drains("close"));
  program.life.Start();
  program.loop.RunUntilIdle();
  program.life.Stop("SIGTERM");
  finish(absl::OkStatus());
  program.loop.RunUntilIdle();
  CHECK(program.ran == std::vector<std::string>{"close"});
  CHECK(program.exit_code == 0);
}

TEST_CASE("an answer that comes after the lifecycle has gone is harmless") {
  SimClock clock;
  control::SimLoop loop(clock);
  obs::Log log(clock, {});
  Lifecycle::Done finish;
  {
    Lifecycle life(loop, log, [](int) {});
    Lifecycle::Step step;
    step.name = "slow";
    step.run = [&](Lifecycle::Done done) { finish = std::move(done); };
    life.AddStart(std::move(step));
    life.Start();
    loop.RunUntilIdle();
  }
  REQUIRE(finish);
  finish(absl::OkStatus());
  loop.RunFor(std::chrono::minutes(1));
}

}  // namespace
}  // namespace rouse::app
