#pragma once
// What:      AdmissionWorld: several shards' admission with a slot table, snapshots that reach the
//            shards at different moments, and exchanges that hold a slot for a while. Counts
//            everything itself.
// Owner:     a simulation. One thread, simulated time.
// Invariant: Check() after every step; Settled() where nothing is left to do at this moment.

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "proxy/admission/admission.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/net/fake_server_stream.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::proxy::testing {

/// One request, as the world keeps it.
struct SimExchange {
  enum class End : uint8_t { kOpen, kServed, kRefused };

  uint64_t id = 0;
  uint32_t shard = 0;
  uint32_t place = 0;
  TimePoint arrival;
  TimePoint deadline;
  TimePoint client_deadline = kNever;
  Duration hold{};  ///< how long it keeps its slot
  std::unique_ptr<http::testing::FakeServerStream> stream;
  std::unique_ptr<net::Event> work;

  End end = End::kOpen;
  int ends = 0;  ///< how often it ended: exactly once
  bool dispatched = false;
  bool seen_off = false;  ///< the simulation needs it no longer
  TimePoint dispatched_at = kNever;
  EndpointKey endpoint;
  Error error;
  ColdStartTimes times;
};

class AdmissionWorld {
 public:
  struct Options {
    uint64_t seed = 1;
    uint32_t shards = 2;
    AdmissionLimits limits{};
  };
  explicit AdmissionWorld(const Options& options);
  ~AdmissionWorld();

  [[nodiscard]] net::testing::SimShards& shards() { return shards_; }
  [[nodiscard]] Admission& admission(uint32_t shard) { return *admissions_[shard]; }
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(admissions_.size()); }
  [[nodiscard]] TimePoint now() const { return clock_.now(); }
  [[nodiscard]] uint64_t wakes() const { return wakes_; }
  [[nodiscard]] SlotTable& table() { return table_; }
  [[nodiscard]] ParkedTotals& totals() { return totals_; }
  [[nodiscard]] std::deque<SimExchange>& exchanges() { return exchanges_; }

  /// Which shard was asked to probe which endpoint; which endpoints were said to leave.
  std::vector<std::pair<uint32_t, EndpointKey>> probes;
  std::vector<EndpointKey> leaving;

  /// What the next snapshot will say of a place; null: no such workload.
  EndpointSet* Edit(uint32_t place);
  void Remove(uint32_t place);
  /// Adds an endpoint; its pod's name is new in every call.
  EndpointKey AddEndpoint(uint32_t place, EndpointState state);
  /// Sends the next snapshot to every shard; each adopts it in its own time.
  void Publish();

  SimExchange& Arrive(uint32_t shard, uint32_t place, Duration patience, Duration hold);
  [[nodiscard]] size_t in_flight(const EndpointKey& key) const;
  [[nodiscard]] size_t open() const { return open_; }

  /// Every invariant that holds at any moment; crashes with the seed.
  void Check() const;
  /// After RunUntilIdle: nobody waits who could be served, and nobody waits too long.
  void CheckSettled() const;

 private:
  static net::Task<void> Run(AdmissionWorld& world, SimExchange& exchange);
  void Require(bool holds, const char* what) const;

  SimClock clock_;
  net::testing::SimShards shards_;
  SlotTable table_;
  ParkedTotals totals_;
  uint64_t seed_;
  uint64_t wakes_ = 0;
  uint64_t next_id_ = 0;
  uint64_t version_ = 0;
  size_t open_ = 0;
  std::vector<std::unique_ptr<EndpointSet>> draft_;
  std::vector<EndpointSetPtr> published_;
  std::vector<bool> touched_;
  std::deque<ShardStats> stats_;
  std::vector<std::unique_ptr<Admission>> admissions_;
  std::deque<SimExchange> exchanges_;
  std::map<EndpointKey, size_t> in_flight_;
};

inline AdmissionWorld::AdmissionWorld(const Options& options)
    : shards_(clock_, options.seed, options.shards), table_(options.shards), seed_(options.seed) {
  std::vector<Admission::Peer> peers;
  for (uint32_t i = 0; i < options.shards; ++i) {
    AdmissionWires wires;
    wires.on_wake = [this](Workload&) { ++wakes_; };
    wires.on_starting = [this, i](Workload&, const EndpointRef& endpoint) {
      probes.emplace_back(i, endpoint->key());
    };
    wires.on_endpoint_leaving = [this](LocalEndpoint& endpoint) {
      leaving.push_back(endpoint.key());
    };
    admissions_.push_back(std::make_unique<Admission>(shards_.shard(i), options.limits, totals_,
                                                      stats_.emplace_back(), std::move(wires)));
    peers.push_back(admissions_.back()->peer());
  }
  for (auto& admission : admissions_) admission->ConnectPeers(peers);
}

/// Everything ends first: then nothing may be left anywhere.
inline AdmissionWorld::~AdmissionWorld() {
  shards_.Advance(std::chrono::hours(1));
  Check();
  Require(open_ == 0, "every exchange has ended");
  Require(totals_.requests.value() == 0 && totals_.bytes.value() == 0, "nothing is parked");
  for (const auto& set : published_) {
    if (set == nullptr) continue;
    Require(set->slots->parked.value() == 0, "no workload counts parked exchanges");
    for (const Endpoint& endpoint : set->endpoints) {
      Require(endpoint.slots->in_flight() == 0, "no slot is taken");
    }
  }
  for (uint32_t place = 0; place < draft_.size(); ++place) Remove(place);
  Publish();
  shards_.RunUntilIdle();
  published_.clear();
  admissions_.clear();
  shards_.RunUntilIdle();
  table_.Sweep();
  Require(table_.endpoints() == 0 && table_.workloads() == 0, "the slot table is empty");
}

inline EndpointSet* AdmissionWorld::Edit(uint32_t place) {
  if (place >= draft_.size()) {
    draft_.resize(place + 1);
    touched_.resize(place + 1);
  }
  touched_[place] = true;
  if (draft_[place] == nullptr) {
    draft_[place] = std::make_unique<EndpointSet>();
    draft_[place]->workload = ObjectKey{"sim", "w" + std::to_string(place)};
    draft_[place]->slots = table_.Workload(draft_[place]->workload);
  }
  return draft_[place].get();
}

inline void AdmissionWorld::Remove(uint32_t place) {
  if (place >= draft_.size()) return;
  draft_[place].reset();
  touched_[place] = true;
}

inline EndpointKey AdmissionWorld::AddEndpoint(uint32_t place, EndpointState state) {
  Endpoint endpoint;
  endpoint.key = EndpointKey{"pod-" + std::to_string(++next_id_), 8080};
  endpoint.addresses = {"10.0.0.1"};
  endpoint.state = state;
  endpoint.slots = table_.Endpoint(endpoint.key);
  Edit(place)->endpoints.push_back(endpoint);
  return endpoint.key;
}

inline void AdmissionWorld::Publish() {
  published_.resize(draft_.size());
  for (size_t place = 0; place < draft_.size(); ++place) {
    if (!touched_[place]) continue;
    touched_[place] = false;
    published_[place] = draft_[place] ? std::make_shared<EndpointSet>(*draft_[place]) : nullptr;
  }
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = ++version_;
  snapshot->workloads = published_;
  for (uint32_t i = 0; i < count(); ++i) {
    shards_.shard(i).Post([this, i, snapshot] { admissions_[i]->Adopt(snapshot); });
  }
}

inline net::Task<void> AdmissionWorld::Run(AdmissionWorld& world, SimExchange& exchange) {
  Admission& admission = *world.admissions_[exchange.shard];
  Workload* workload = admission.WorkloadAt(exchange.place);
  if (workload != nullptr) {
    const DemandEntry demand{WorkloadRef(workload)};
    Slot slot;
    AcquireRequest request{.slot = slot,
                           .workload = WorkloadRef(workload),
                           .stream = *exchange.stream,
                           .times = exchange.times};
    request.arrival = exchange.arrival;
    request.hold = exchange.deadline;
    request.client_deadline = exchange.client_deadline;
    exchange.error = co_await admission.Acquire(std::move(request));
    if (exchange.error.ok()) {
      exchange.dispatched = true;
      exchange.dispatched_at = world.now();
      exchange.endpoint = slot.endpoint().key();
      ++world.in_flight_[exchange.endpoint];
      co_await exchange.work->Wait(Later(world.now(), exchange.hold));
      --world.in_flight_[exchange.endpoint];
      exchange.end = SimExchange::End::kServed;
    }
  } else {
    exchange.error.kind = ErrorKind::kNoRoute;
  }
  if (exchange.end == SimExchange::End::kOpen) exchange.end = SimExchange::End::kRefused;
  ++exchange.ends;
  --world.open_;
}

inline SimExchange& AdmissionWorld::Arrive(uint32_t shard, uint32_t place, Duration patience,
                                           Duration hold) {
  SimExchange& exchange = exchanges_.emplace_back();
  exchange.id = ++next_id_;
  exchange.shard = shard;
  exchange.place = place;
  exchange.arrival = now();
  exchange.deadline = now() + patience;
  exchange.hold = hold;
  exchange.stream = std::make_unique<http::testing::FakeServerStream>(600 + next_id_ % 800);
  exchange.work = std::make_unique<net::Event>(shards_.shard(shard));
  ++open_;
  shards_.shard(shard).Post([this, &exchange] { net::Detach(Run(*this, exchange)); });
  return exchange;
}

inline size_t AdmissionWorld::in_flight(const EndpointKey& key) const {
  const auto found = in_flight_.find(key);
  return found == in_flight_.end() ? 0 : found->second;
}

inline void AdmissionWorld::Require(bool holds, const char* what) const {
  if (holds) return;
  std::fprintf(stderr, "seed %llu: does not hold: %s\n", static_cast<unsigned long long>(seed_),
               what);
  std::abort();
}

inline void AdmissionWorld::Check() const {
  uint64_t parked = 0;
  uint64_t bytes = 0;
  for (const auto& admission : admissions_) {
    admission->CheckInvariants();
    parked += admission->parked();
    bytes += admission->parked_bytes();
  }
  Require(parked == totals_.requests.value(), "parked is what the totals say");
  Require(bytes == totals_.bytes.value(), "parked bytes are what the totals say");
  for (const SimExchange& exchange : exchanges_) {
    Require(exchange.ends == (exchange.end == SimExchange::End::kOpen ? 0 : 1), "ends once");
  }
  for (const EndpointSetPtr& set : published_) {
    if (set == nullptr) continue;
    Require(set->slots->parked.value() <= set->policy.parked_max, "parked <= limit");
    const uint32_t limit = set->policy.concurrency_limit;
    for (const Endpoint& endpoint : set->endpoints) {
      Require(limit == 0 || in_flight(endpoint.key) <= limit, "in flight <= limit");
    }
  }
}

inline void AdmissionWorld::CheckSettled() const {
  for (const auto& admission : admissions_) {
    for (const WorkloadRef& workload : admission->workloads()) {
      if (!workload || workload->parked() == 0) continue;
      for (const EndpointRef& endpoint : workload->endpoints()) {
        // A timer tells of its return.
        const TimePoint returned = Later(endpoint->ejected_until, 2 * net::TimerWheel::kTick);
        if (!endpoint->ready() || now() < returned) continue;
        Require(workload->limited(), "nobody waits without a limit");
        Require(endpoint->shared->in_flight() >= workload->policy().concurrency_limit,
                "nobody waits while a slot is free");
      }
    }
  }
  for (const SimExchange& exchange : exchanges_) {
    if (exchange.end != SimExchange::End::kOpen || exchange.dispatched) continue;
    Require(now() <= exchange.deadline + 2 * net::TimerWheel::kTick, "nobody waits too long");
  }
}

}  // namespace rouse::proxy::testing
