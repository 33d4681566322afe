#include "proxy/admission/admission.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "proxy/admission/slot.h"
#include "proxy/model/snapshot.h"
#include "tests/sim/admission_world.h"

namespace rouse::proxy {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AdmissionWorld;
using testing::SimExchange;

/// A world with one workload, asleep.
struct Sleeping {
  explicit Sleeping(AdmissionWorld::Options options = {.seed = 1, .shards = 1}) : world(options) {
    (void)world.Edit(0);
    Tell();
  }
  void Tell() {
    world.Publish();
    world.shards().RunUntilIdle();
    world.Check();
  }
  SimExchange& Arrive(Duration patience = seconds(60), uint32_t shard = 0) {
    SimExchange& exchange = world.Arrive(shard, 0, patience, milliseconds(10));
    world.shards().RunUntilIdle();
    world.Check();
    return exchange;
  }
  Workload& workload(uint32_t shard = 0) { return *world.admission(shard).WorkloadAt(0); }

  AdmissionWorld world;
};

TEST_CASE("With a ready endpoint there is a slot at once") {
  Sleeping rig;
  const EndpointKey key = rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  {
    const Slot slot = rig.world.admission(0).TryAcquire(rig.workload());
    REQUIRE(slot);
    CHECK(slot.endpoint().key() == key);
    CHECK(&slot.workload() == &rig.workload());
    CHECK(rig.workload().in_flight() == 1);
  }
  CHECK(rig.workload().in_flight() == 0);
  SimExchange& exchange = rig.Arrive();
  CHECK(exchange.dispatched);
  CHECK(exchange.stream->parks() == 0);
  CHECK_FALSE(exchange.times.was_parked());
  CHECK(rig.world.wakes() == 0);
}

TEST_CASE("A cold request parks, wakes once, and goes on when an endpoint is ready") {
  Sleeping rig;
  SimExchange& first = rig.Arrive();
  SimExchange& second = rig.Arrive();
  CHECK(rig.world.wakes() == 1);
  CHECK(first.stream->parks() == 1);
  CHECK(rig.workload().parked() == 2);
  CHECK(rig.workload().waking());
  CHECK(rig.workload().meter().concurrency() == 2);

  rig.world.shards().Advance(milliseconds(3));
  rig.world.admission(0).MarkReported(rig.workload());
  rig.world.shards().Advance(milliseconds(40));
  const EndpointKey key = rig.world.AddEndpoint(0, EndpointState::kStarting);
  rig.Tell();
  CHECK_FALSE(first.dispatched);
  rig.world.shards().Advance(milliseconds(7));
  rig.world.Edit(0)->endpoints[0].state = EndpointState::kReady;
  rig.Tell();
  CHECK(first.dispatched);
  CHECK(second.dispatched);
  CHECK(first.endpoint == key);

  const ColdStartTimes& times = first.times;
  CHECK(times.cold);
  CHECK_FALSE(times.probed);
  CHECK(times.reported - times.parked == milliseconds(3));
  CHECK(times.known - times.parked == milliseconds(43));
  CHECK(times.ready - times.parked == milliseconds(50));
  CHECK(times.slot == times.ready);
  const WorkloadStats stats = rig.workload().SampleStats();
  CHECK(stats.cold_starts.value == 1);
  CHECK(stats.parked_total.value == 2);
  CHECK(stats.held_to_reported.count() == 1);
  CHECK(stats.reported_to_known.count() == 1);
  CHECK(stats.known_to_ready.count() == 1);
  CHECK(stats.wait.count() == 2);
  CHECK(stats.endpoints_ready.value == 1);
  CHECK(rig.workload().start_times().Median() == milliseconds(50));
  CHECK_FALSE(first.stream->watched());
  CHECK(first.stream->unparks() == 1);
}

TEST_CASE("A wait ends at the hold timeout or at the client's own deadline") {
  Sleeping rig;
  SimExchange& held = rig.Arrive(milliseconds(50));
  rig.world.shards().Advance(milliseconds(49));
  CHECK(held.end == SimExchange::End::kOpen);
  rig.world.shards().Advance(milliseconds(3));
  CHECK(held.error.kind == ErrorKind::kColdStartTimeout);
  CHECK(held.error.side == Side::kLocal);
  CHECK(held.error.retry_safe);
  CHECK(held.times.was_parked());
  CHECK(held.times.slot == kNever);

  SimExchange& hurried = rig.world.Arrive(0, 0, seconds(60), milliseconds(1));
  hurried.client_deadline = rig.world.now() + milliseconds(20);
  rig.world.shards().Advance(milliseconds(23));
  CHECK(hurried.error.kind == ErrorKind::kDeadlineExceeded);
  CHECK(rig.world.admission(0).parked() == 0);
}

TEST_CASE("A client that leaves is unparked at once and no longer counts") {
  Sleeping rig;
  SimExchange& leaver = rig.Arrive();
  SimExchange& other = rig.Arrive();
  leaver.stream->Leave();
  CHECK(rig.workload().parked() == 1);
  rig.world.shards().RunUntilIdle();
  CHECK(leaver.error.kind == ErrorKind::kDownstreamClosed);
  CHECK(rig.workload().meter().concurrency() == 1);
  other.stream->Leave();
  rig.world.shards().RunUntilIdle();
  CHECK_FALSE(rig.workload().waking());
  // Whoever comes next wakes anew.
  (void)rig.Arrive();
  CHECK(rig.world.wakes() == 2);
}

TEST_CASE("A client that has left before it parks is not parked") {
  Sleeping rig;
  SimExchange& exchange = rig.world.Arrive(0, 0, seconds(1), milliseconds(1));
  exchange.stream->Leave();
  rig.world.shards().RunUntilIdle();
  CHECK(exchange.error.kind == ErrorKind::kDownstreamClosed);
  CHECK(exchange.stream->parks() == 0);
  CHECK(rig.world.wakes() == 0);
}

TEST_CASE("A workload that disappears fails its parked exchanges; those in flight finish") {
  Sleeping rig;
  rig.world.Edit(0)->policy.concurrency_limit = 1;
  const EndpointKey key = rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  SimExchange& running = rig.Arrive();
  SimExchange& parked = rig.Arrive();
  rig.world.Remove(0);
  rig.Tell();
  CHECK(parked.error.kind == ErrorKind::kWorkloadGone);
  CHECK(rig.world.admission(0).WorkloadAt(0) == nullptr);
  CHECK(rig.world.leaving == std::vector<EndpointKey>{key});
  rig.world.shards().Advance(milliseconds(20));
  CHECK(running.end == SimExchange::End::kServed);
}

TEST_CASE("More than parked_max are refused at once") {
  Sleeping rig;
  rig.world.Edit(0)->policy.parked_max = 3;
  rig.Tell();
  for (int i = 0; i < 3; ++i) CHECK(rig.Arrive().end == SimExchange::End::kOpen);
  SimExchange& refused = rig.Arrive();
  CHECK(refused.error.kind == ErrorKind::kParkedFull);
  CHECK(refused.stream->parks() == 0);
}

TEST_CASE("Parked bytes are bounded in total, and per workload beyond its guarantee") {
  const AdmissionLimits limits = {.parked_bytes_max = 100'000, .guarantee_bytes = 10'000};
  Sleeping rig({.seed = 2, .shards = 1, .limits = limits});
  const auto arrive = [&](size_t bytes) -> SimExchange& {
    SimExchange& exchange = rig.world.Arrive(0, 0, seconds(1), milliseconds(1));
    exchange.stream = std::make_unique<http::testing::FakeServerStream>(bytes);
    rig.world.shards().RunUntilIdle();
    rig.world.Check();
    return exchange;
  };
  CHECK(arrive(9'000).end == SimExchange::End::kOpen);
  // (100 000 - 39 000) / 2 holds 29 000 beyond the guarantee; one more does not fit.
  CHECK(arrive(30'000).end == SimExchange::End::kOpen);
  SimExchange& refused = arrive(30'000);
  CHECK(refused.error.kind == ErrorKind::kParkedBytesFull);
  CHECK(refused.stream->unparks() == 1);
  CHECK(rig.world.totals().bytes.value() == 39'000);
  CHECK(rig.workload().parked_bytes() == 39'000);
  CHECK(rig.world.totals().requests.value() == 2);
}

TEST_CASE("A workload at its limit parks, and a freed slot serves the oldest") {
  Sleeping rig;
  rig.world.Edit(0)->policy.concurrency_limit = 2;
  rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  (void)rig.Arrive();
  (void)rig.Arrive();
  SimExchange& third = rig.Arrive();
  SimExchange& fourth = rig.Arrive();
  CHECK(rig.workload().parked() == 2);
  CHECK(rig.world.wakes() == 0);
  CHECK_FALSE(third.times.cold);
  rig.world.shards().Advance(milliseconds(12));
  CHECK(third.dispatched);
  CHECK(fourth.dispatched);
}

TEST_CASE("Switching a limit on counts what is in flight; off, forgets it") {
  Sleeping rig({.seed = 3, .shards = 2});
  rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  std::vector<Slot> slots;
  for (int i = 0; i < 5; ++i)
    slots.push_back(rig.world.admission(i % 2).TryAcquire(rig.workload(i % 2)));
  const auto shared = rig.world.Edit(0)->endpoints[0].slots;
  CHECK(shared->in_flight() == 0);
  rig.world.Edit(0)->policy.concurrency_limit = 3;
  rig.Tell();
  CHECK(shared->in_flight() == 5);
  CHECK_FALSE(rig.world.admission(0).TryAcquire(rig.workload()));
  slots.pop_back();
  slots.pop_back();
  CHECK(shared->in_flight() == 3);
  CHECK_FALSE(rig.world.admission(1).TryAcquire(rig.workload(1)));
  slots.pop_back();
  CHECK(rig.world.admission(1).TryAcquire(rig.workload(1)));
  rig.world.Edit(0)->policy.concurrency_limit = 0;
  rig.Tell();
  CHECK(shared->in_flight() == 0);
  slots.clear();
  CHECK(shared->in_flight() == 0);
}

TEST_CASE("A starting endpoint is probed by one shard, whichever shard's client waits") {
  Sleeping rig({.seed = 4, .shards = 2});
  rig.world.AddEndpoint(0, EndpointState::kStarting);
  rig.world.Edit(0)->endpoints[0].probe.kind = ProbeSpec::Kind::kTcpSocket;
  const EndpointKey key = rig.world.Edit(0)->endpoints[0].key;
  rig.Tell();
  CHECK(rig.world.probes.empty());
  for (const uint32_t shard : {0u, 1u}) (void)rig.Arrive(seconds(60), shard);
  REQUIRE(rig.world.probes.size() >= 1);
  const uint32_t prober = rig.world.probes[0].first;
  for (const auto& [shard, probed] : rig.world.probes) {
    CHECK(shard == prober);
    CHECK(probed == key);
  }
  // Its answer reaches both shards.
  rig.world.admission(prober).AnnounceReady(0, key);
  rig.world.shards().RunUntilIdle();
  for (const SimExchange& exchange : rig.world.exchanges()) {
    CHECK(exchange.dispatched);
    CHECK(exchange.times.probed);
  }
}

TEST_CASE("A failed dial takes back an early probe's word") {
  Sleeping rig;
  rig.world.AddEndpoint(0, EndpointState::kStarting);
  const EndpointKey key = rig.world.Edit(0)->endpoints[0].key;
  rig.Tell();
  rig.world.admission(0).MarkReady(0, key);
  {
    const Slot slot = rig.world.admission(0).TryAcquire(rig.workload());
    REQUIRE(slot);
    rig.world.admission(0).ConnectFailed(slot);
  }
  CHECK_FALSE(rig.workload().has_ready_endpoint());
  CHECK_FALSE(rig.world.admission(0).TryAcquire(rig.workload()));
  rig.world.admission(0).MarkReady(0, EndpointKey{"unknown", 1});
  CHECK_FALSE(rig.workload().has_ready_endpoint());
}

TEST_CASE("Draining endpoints take nothing new, and are said to leave once") {
  Sleeping rig;
  const EndpointKey key = rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  SimExchange& running = rig.Arrive();
  rig.world.Edit(0)->endpoints[0].state = EndpointState::kDraining;
  rig.Tell();
  rig.world.Edit(0)->endpoints.clear();
  rig.Tell();
  CHECK(rig.world.leaving == std::vector<EndpointKey>{key});
  SimExchange& parked = rig.Arrive();
  CHECK_FALSE(parked.dispatched);
  CHECK(rig.world.wakes() == 1);
  rig.world.shards().Advance(milliseconds(20));
  CHECK(running.end == SimExchange::End::kServed);
}

TEST_CASE("An ejected endpoint of a limited workload is used again when its time is over") {
  Sleeping rig;
  rig.world.Edit(0)->policy.concurrency_limit = 1;
  rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.world.AddEndpoint(0, EndpointState::kReady);
  rig.Tell();
  {
    const Slot refused = rig.world.admission(0).TryAcquire(rig.workload());
    REQUIRE(refused);
    rig.world.admission(0).ConnectFailed(refused);
  }
  const Slot busy = rig.world.admission(0).TryAcquire(rig.workload());
  REQUIRE(busy);
  SimExchange& waiting = rig.Arrive();
  rig.world.shards().Advance(milliseconds(900));
  CHECK_FALSE(waiting.dispatched);
  rig.world.shards().Advance(milliseconds(110));
  CHECK(waiting.dispatched);
}

TEST_CASE("Failing the parked ends every wait with that error") {
  Sleeping rig;
  for (int i = 0; i < 5; ++i) (void)rig.Arrive();
  rig.world.admission(0).FailParked(
      {ErrorKind::kDraining, Side::kLocal, true, "the proxy is shutting down"});
  CHECK(rig.world.admission(0).parked() == 0);
  rig.world.shards().RunUntilIdle();
  for (const SimExchange& exchange : rig.world.exchanges()) {
    CHECK(exchange.error.kind == ErrorKind::kDraining);
  }
}

TEST_CASE("A place that goes to another workload does not mix the two") {
  Sleeping rig;
  SimExchange& old = rig.Arrive();
  rig.world.Edit(0)->workload.name = "another";
  rig.Tell();
  CHECK(old.error.kind == ErrorKind::kWorkloadGone);
  CHECK(rig.workload().key().name == "another");
  CHECK(rig.workload().parked() == 0);
}

}  // namespace
}  // namespace rouse::proxy
