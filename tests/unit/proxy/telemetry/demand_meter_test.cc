#include "proxy/telemetry/demand_meter.h"

#include <vector>

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;

TimePoint At(int64_t ms) { return TimePoint(std::chrono::hours(1)) + milliseconds(ms); }

struct Step {
  char what;  // in, out, report
  int64_t ms;
  double average = 0;
  uint64_t count = 0;
};

/// Knative's own vectors for its request statistics.
void Play(const std::vector<Step>& steps) {
  DemandMeter meter(At(0));
  for (const Step& step : steps) {
    if (step.what == 'i') meter.Enter(At(step.ms));
    if (step.what == 'o') meter.Leave(At(step.ms));
    if (step.what != 'r') continue;
    const DemandSample sample = meter.Sample(At(step.ms));
    CHECK(sample.average_concurrency == Approx(step.average));
    CHECK(sample.request_count == step.count);
  }
}

TEST_CASE("Demand is measured as Knative measures it") {
  SECTION("no requests") { Play({{'r', 1000, 0, 0}}); }
  SECTION("one for the whole second") { Play({{'i', 0}, {'o', 1000}, {'r', 1000, 1, 1}}); }
  SECTION("one for half of the time") { Play({{'i', 0}, {'o', 3000}, {'r', 6000, 0.5, 1}}); }
  SECTION("a very short one") { Play({{'i', 0}, {'o', 1}, {'r', 1000, 0.001, 1}}); }
  SECTION("three back to back") {
    Play(
        {{'i', 0}, {'o', 300}, {'i', 300}, {'o', 600}, {'i', 600}, {'o', 1000}, {'r', 1000, 1, 3}});
  }
  SECTION("two that overlap") {
    Play({{'i', 0}, {'i', 100}, {'o', 600}, {'o', 1000}, {'r', 1000, 1.5, 2}});
  }
  SECTION("one over two reports") {
    Play({{'i', 0}, {'r', 1000, 1, 1}, {'o', 1500}, {'r', 2000, 0.5, 0}});
  }
  SECTION("time that goes back adds nothing") {
    Play({{'i', 500}, {'i', 499}, {'o', 1000}, {'o', 999}, {'r', 1000, 1, 2}});
  }
}

TEST_CASE("A sample says how many are open now") {
  DemandMeter meter(At(0));
  meter.Enter(At(0));
  meter.Enter(At(1));
  CHECK(meter.Sample(At(2)).concurrency == 2);
  meter.Leave(At(3));
  CHECK(meter.concurrency() == 1);
  CHECK(meter.Sample(At(3)).concurrency == 1);
}

}  // namespace
}  // namespace rouse::proxy
