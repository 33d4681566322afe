// Admission on real threads: what the simulation cannot see, the thread sanitizer and a hundred
// thousand hand-overs can.

#include <atomic>
#include <deque>
#include <latch>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

#include "common/net/shard_set.h"
#include "proxy/admission/admission.h"
#include "tests/support/net/fake_server_stream.h"

namespace rouse::proxy {
namespace {

constexpr uint32_t kShards = 2;
constexpr uint32_t kLimit = 3;
constexpr int kCallers = 40;
constexpr int kCalls = 1000;
/// A shard that has run alone so far goes on calling until the other has joined it.
constexpr Duration kJoinWithin = std::chrono::seconds(60);

/// One shard's part: callers that take a slot, keep it for some turns, and come again.
struct Part {
  Part(net::Shard& on, ParkedTotals& totals, std::vector<EndpointSlots>& pods,
       std::atomic<bool>& any_sent, std::latch& all_done)
      : shard(on),
        seen(pods),
        handed_over(any_sent),
        done(all_done),
        admission(on, {}, totals, stats, {}) {}

  /// Both threads must have been at it at once, which a busy machine may not grant at first.
  [[nodiscard]] bool MoreCalls(int made) const {
    return made < kCalls || (!handed_over && shard.now() < began + kJoinWithin);
  }

  static net::Task<void> Call(Part& part, int turns) {
    http::testing::FakeServerStream stream;
    for (int i = 0; part.MoreCalls(i); ++i) {
      ++part.called;
      WorkloadRef workload(part.admission.WorkloadAt(0));
      Slot slot;
      ColdStartTimes times;
      AcquireRequest request{.slot = slot, .workload = workload, .stream = stream, .times = times};
      request.arrival = part.shard.now();
      const Error refused = co_await part.admission.Acquire(std::move(request));
      if (!refused.ok()) break;  // `served` tells
      const auto pod = static_cast<size_t>(slot.endpoint().key().port) - 1;
      // The pod counts for itself.
      if (!part.seen[pod].TryTake(kLimit)) part.overfull = true;
      for (int turn = 0; turn < turns; ++turn) co_await part.shard.NextTurn();
      part.seen[pod].Release();
      slot.Release();
      ++part.served;
      if (part.stats.grants_sent.value > 0) part.handed_over = true;
    }
    if (--part.callers == 0) part.done.count_down();
  }

  net::Shard& shard;
  std::vector<EndpointSlots>& seen;
  std::atomic<bool>& handed_over;
  std::latch& done;
  ShardStats stats;
  Admission admission;
  TimePoint began{};
  int callers = kCallers;
  int called = 0;
  int served = 0;
  bool overfull = false;
};

TEST_CASE("Two threads share the slots of a limited workload", "[threads]") {
  const SteadyClock clock;
  net::ShardSet shards(clock, {.count = kShards, .seed = 1, .limits = {}});
  SlotTable table(kShards);
  ParkedTotals totals;
  std::vector<EndpointSlots> pods(2);
  std::atomic<bool> handed_over = false;
  std::latch done(kShards);
  std::deque<Part> parts;
  std::vector<Admission::Peer> peers;
  for (uint32_t i = 0; i < kShards; ++i) {
    parts.emplace_back(shards.shard(i), totals, pods, handed_over, done);
    peers.push_back(parts.back().admission.peer());
  }
  for (Part& part : parts) part.admission.ConnectPeers(peers);

  auto set = std::make_shared<EndpointSet>();
  set->workload = {"ns", "fn"};
  set->policy.concurrency_limit = kLimit;
  set->slots = table.Workload(set->workload);
  for (uint16_t port = 1; port <= pods.size(); ++port) {
    Endpoint endpoint;
    endpoint.key = {"pod", port};
    endpoint.slots = table.Endpoint(endpoint.key);
    set->endpoints.push_back(std::move(endpoint));
  }
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->workloads = {set};
  for (Part& part : parts) {
    part.shard.Post([&part, snapshot] {
      part.admission.Adopt(snapshot);
      part.began = part.shard.now();
      for (int i = 0; i < kCallers; ++i) net::Detach(Part::Call(part, 1 + i % 3));
    });
  }
  shards.Start();
  done.wait();
  shards.Stop();
  // What was still under way between the shards.
  for (int turn = 0; turn < 10; ++turn) {
    for (Part& part : parts) (void)part.shard.Turn(Duration::zero());
  }
  for (Part& part : parts) {
    CHECK(part.called >= kCallers * kCalls);
    CHECK(part.served == part.called);
    CHECK_FALSE(part.overfull);
    part.admission.CheckInvariants();
  }
  CHECK(parts[0].stats.grants_sent.value + parts[1].stats.grants_sent.value > 0);
  CHECK(totals.requests.value() == 0);
  CHECK(totals.bytes.value() == 0);
  for (const Endpoint& endpoint : set->endpoints) CHECK(endpoint.slots->in_flight() == 0);
}

}  // namespace
}  // namespace rouse::proxy
