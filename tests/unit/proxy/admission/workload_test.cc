#include "proxy/admission/workload.h"

#include <deque>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "proxy/admission/waiter.h"
#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using testing::AdmissionWorld;

TEST_CASE("Waiters stand in the order of their arrival, whoever leaves or comes again") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    ParkedList list;
    std::deque<Parked> waiters;
    std::vector<Parked*> inside;
    for (int step = 0; step < 300; ++step) {
      if (inside.empty() || random.Below(3) != 0) {
        // Most come now; a second attempt brings its old arrival.
        const int64_t late = random.Below(4) == 0 ? static_cast<int64_t>(random.Below(200)) : 0;
        const TimePoint arrival = TimePoint(std::chrono::hours(1)) + milliseconds(step * 2 - late);
        Parked& waiter = waiters.emplace_back(arrival);
        list.Insert(waiter);
        inside.push_back(&waiter);
      } else {
        const size_t at = random.Below(inside.size());
        list.Remove(*inside[at]);
        inside.erase(inside.begin() + static_cast<long>(at));
      }
      uint32_t count = 0;
      for (const Parked* at = list.front(); at != nullptr; at = at->next) {
        if (at->next != nullptr) {
          REQUIRE(at->arrival <= at->next->arrival);
          REQUIRE(at->next->previous == at);
        }
        ++count;
      }
      REQUIRE(count == inside.size());
      REQUIRE(list.size() == inside.size());
    }
  }
}

TEST_CASE("Demand is counted until its entry goes, and keeps a workload that a snapshot dropped") {
  AdmissionWorld world({.seed = 2, .shards = 1});
  (void)world.Edit(0);
  world.Publish();
  world.shards().RunUntilIdle();
  WorkloadRef workload(world.admission(0).WorkloadAt(0));
  REQUIRE(workload);
  {
    const DemandEntry entry(workload);
    CHECK(workload->meter().concurrency() == 1);
    world.Remove(0);
    world.Publish();
    world.shards().RunUntilIdle();
    CHECK(workload->gone());
    CHECK(&entry.workload() == workload.get());
    CHECK(workload->SampleStats().concurrency.value == 1);
  }
  CHECK(workload->meter().concurrency() == 0);
}

TEST_CASE("A workload knows what to tell a refused client") {
  AdmissionWorld world({.seed = 3, .shards = 1});
  (void)world.Edit(0);
  world.Publish();
  world.shards().RunUntilIdle();
  Workload& workload = *world.admission(0).WorkloadAt(0);
  CHECK(workload.name() == "sim/w0");
  CHECK(workload.retry_after() == std::chrono::seconds(1));
  workload.start_times().Observe(std::chrono::seconds(9));
  CHECK(workload.retry_after() == std::chrono::seconds(9));
  world.Arrive(0, 0, std::chrono::seconds(30), milliseconds(1));
  world.shards().Advance(milliseconds(4100));
  CHECK(workload.oldest_arrival() == world.exchanges().front().arrival);
  CHECK(workload.retry_after() == std::chrono::seconds(5));
}

}  // namespace
}  // namespace rouse::proxy
