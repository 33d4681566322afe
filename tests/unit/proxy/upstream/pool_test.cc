#include "proxy/upstream/pool.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "proxy/upstream/slot_table.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::proxy {
namespace {

using namespace std::chrono_literals;

/// A connection that does as the test says. One stream at a time, as HTTP/1.
class FakeConnection final : public http::ClientConnection, private http::ClientStream {
 public:
  explicit FakeConnection(size_t& alive) : alive_(alive) { ++alive_; }
  ~FakeConnection() override { --alive_; }

  bool usable_after = true;  ///< what Finish says
  bool closed = false;
  void Break() { watch_.told(watch_.context, false); }

  size_t streams_free() const override { return busy_ ? 0 : 1; }
  http::ClientStream& Open() override {
    busy_ = true;
    return *this;
  }
  void OnChange(Watch watch) override { watch_ = watch; }
  void Close() override { closed = true; }
  std::unique_ptr<http::CarriedConnection> Detach() override {
    return carries ? std::make_unique<Carried>(alive_) : nullptr;
  }
  bool carries = true;

 private:
  struct Carried final : http::CarriedConnection {
    explicit Carried(size_t& alive) : alive(alive) {}
    std::unique_ptr<http::ClientConnection> Attach(net::Shard&) override {
      return std::make_unique<FakeConnection>(alive);
    }
    size_t& alive;
  };

  http::Step TrySendHead(const http::RequestHead&, const http::HeadPatch&, std::string_view,
                         bool) override {
    return http::Step::kFailed;
  }
  http::BodyWriter& request_body() override { UNREACHABLE(); }
  Result<const http::ResponseHead*> TryReceiveHead() override { UNREACHABLE(); }
  net::Event::Awaiter BeginWait(TimePoint) override { UNREACHABLE(); }
  void EndWait(net::Wake) override {}
  http::BodyReader& response_body() override { UNREACHABLE(); }
  void Cancel(const Error&) override {}
  void Finish() override {
    busy_ = false;
    watch_.told(watch_.context, usable_after);
  }
  bool untouched() const override { return false; }

  size_t& alive_;
  Watch watch_;
  bool busy_ = false;
};

struct Rig {
  explicit Rig(PoolLimits limits = {}) : shards(clock, 1, 1), pool(shards.shard(), limits, stats) {}

  EndpointRef NewEndpoint(uint32_t limit = 0) {
    auto set = std::make_shared<EndpointSet>();
    set->policy.concurrency_limit = limit;
    Endpoint spec;
    spec.key = {"uid-" + std::to_string(made++), 80};
    set->endpoints.push_back(spec);
    auto* const endpoint = new_endpoint();
    endpoint->set = set;
    endpoint->spec = &set->endpoints.front();
    if (limit > 0) {
      endpoint->shared = std::make_shared<EndpointSlots>();
      endpoint->counted = true;
    }
    return EndpointRef(endpoint);
  }
  static LocalEndpoint* new_endpoint() { return std::make_unique<LocalEndpoint>().release(); }
  Pool::Lease Add(const EndpointRef& endpoint) {
    auto wire = std::make_unique<FakeConnection>(alive);
    last = wire.get();
    return pool.Add(*endpoint, endpoint->spec->tls, std::move(wire));
  }
  /// What a snapshot does that changes by which rules TLS is spoken.
  void UseTls(const EndpointRef& endpoint) {
    auto set = std::make_shared<EndpointSet>(*endpoint->set);
    set->endpoints.front().tls = *net::TlsClientContext::Make({.verify = false});
    endpoint->set = set;
    endpoint->spec = &set->endpoints.front();
  }

  SimClock clock;
  net::testing::SimShards shards;
  ShardStats stats;
  size_t alive = 0;
  size_t made = 0;
  FakeConnection* last = nullptr;
  Pool pool;
};

TEST_CASE("the connection used last is borrowed first") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  CHECK_FALSE(rig.pool.TakeIdle(*endpoint));
  Pool::Lease first = rig.Add(endpoint);
  http::ClientStream* const of_first = &first.stream();
  Pool::Lease second = rig.Add(endpoint);
  second.Release();
  first.Release();
  CHECK(rig.pool.idle() == 2);
  rig.pool.CheckInvariants();
  const Pool::Lease again = rig.pool.TakeIdle(*endpoint);
  CHECK(&again.stream() == of_first);
  CHECK(rig.pool.idle() == 1);
  rig.pool.CheckInvariants();
}

TEST_CASE("a thousand callers of one pod find their connections again") {
  constexpr size_t kCallers = 1000;
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  std::vector<Pool::Lease> leases;
  for (size_t i = 0; i < kCallers; ++i) leases.push_back(rig.Add(endpoint));
  leases.clear();  // all answered in one turn
  CHECK(rig.pool.idle() == kCallers);
  for (size_t i = 0; i < kCallers; ++i) leases.push_back(rig.pool.TakeIdle(*endpoint));
  CHECK(std::all_of(leases.begin(), leases.end(), [](const Pool::Lease& l) { return bool(l); }));
}

TEST_CASE("a connection of another endpoint is never given") {
  Rig rig;
  const EndpointRef one = rig.NewEndpoint();
  const EndpointRef other = rig.NewEndpoint();
  rig.Add(one).Release();
  CHECK_FALSE(rig.pool.TakeIdle(*other));
}

TEST_CASE("what was dialled by rules of TLS that changed meanwhile serves its request alone") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  const net::TlsClientPtr dialled = endpoint->spec->tls;
  rig.UseTls(endpoint);
  rig.pool.Add(*endpoint, dialled, std::make_unique<FakeConnection>(rig.alive)).Release();
  CHECK_FALSE(rig.pool.TakeIdle(*endpoint));
  CHECK(rig.pool.open() == 0);
  rig.Add(endpoint).Release();
  CHECK(rig.pool.TakeIdle(*endpoint));
}

TEST_CASE("what cannot be used again goes, from the loop") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  Pool::Lease lease = rig.Add(endpoint);
  SECTION("as its stream ends") {
    rig.last->usable_after = false;
    lease.Release();
  }
  SECTION("while it is idle") {
    lease.Release();
    rig.last->Break();
  }
  SECTION("while it is in use") {
    rig.last->Break();
    CHECK(rig.pool.open() == 1);
    lease.Release();
  }
  CHECK_FALSE(rig.pool.TakeIdle(*endpoint));
  CHECK(rig.pool.open() == 0);
  CHECK(rig.alive == 1);
  rig.shards.Advance(2ms);
  CHECK(rig.alive == 0);
  CHECK(endpoint->connections == nullptr);
  rig.pool.CheckInvariants();
}

TEST_CASE("idle connections are bounded in number and in time") {
  Rig rig({.idle_per_endpoint_max = 2, .idle_max = 3, .idle_timeout = 10s});
  const EndpointRef one = rig.NewEndpoint();
  const EndpointRef other = rig.NewEndpoint();
  {
    std::vector<Pool::Lease> leases;
    for (int i = 0; i < 3; ++i) leases.push_back(rig.Add(one));
    for (int i = 0; i < 3; ++i) leases.push_back(rig.Add(other));
  }
  CHECK(rig.pool.idle() == 3);
  rig.shards.Advance(6s);
  rig.pool.TakeIdle(*one).Release();  // used: its time starts again
  rig.shards.Advance(5s);
  CHECK(rig.pool.idle() == 1);
  CHECK(rig.alive == 1);
  rig.shards.Advance(11s);
  CHECK(rig.alive == 0);
  rig.pool.CheckInvariants();
}

TEST_CASE("an endpoint that leaves keeps only what is in use") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  Pool::Lease busy = rig.Add(endpoint);
  rig.Add(endpoint).Release();
  endpoint->leaving = true;
  rig.pool.EndpointLeaving(*endpoint);
  CHECK(rig.pool.open() == 1);
  rig.pool.CheckInvariants();
  busy.Release();
  CHECK(rig.pool.open() == 0);
}

TEST_CASE("connections to a limited workload's pod never exceed its limit over all shards") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint(2);
  EndpointSlots& shared = *endpoint->shared;
  REQUIRE(rig.pool.TakePlace(*endpoint));
  Pool::Lease first = rig.Add(endpoint);
  CHECK(shared.open() == 1);
  CHECK(shared.TryOpen(2));  // another shard's
  CHECK_FALSE(rig.pool.TakePlace(*endpoint));
  first.Release();
  CHECK(shared.idle_shards() == 1);
  rig.pool.CloseOneIdle(&shared);  // what the other shard asks for
  CHECK(shared.open() == 1);
  CHECK(shared.idle_shards() == 0);
  REQUIRE(rig.pool.TakePlace(*endpoint));
  rig.pool.ReturnPlace(*endpoint);  // the dial failed
  CHECK(shared.open() == 1);
}

TEST_CASE("an idle connection goes to another shard with its place") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint(2);
  EndpointSlots& shared = *endpoint->shared;
  REQUIRE(rig.pool.TakePlace(*endpoint));
  CHECK(rig.pool.Detach(*endpoint) == nullptr);  // none is idle
  rig.Add(endpoint).Release();

  SECTION("and is idle there") {
    std::unique_ptr<http::CarriedConnection> carried = rig.pool.Detach(*endpoint);
    REQUIRE(carried != nullptr);
    CHECK(rig.pool.open() == 0);
    CHECK(shared.open() == 1);
    CHECK(shared.idle_shards() == 0);
    rig.pool.CheckInvariants();

    Pool other(rig.shards.shard(), {}, rig.stats);
    const EndpointRef seen_there = rig.NewEndpoint(2);
    seen_there->shared = endpoint->shared;
    other.Attach(*seen_there, std::move(carried));
    CHECK(other.idle() == 1);
    CHECK(shared.open() == 1);
    CHECK(other.TakeIdle(*seen_there));
    other.CheckInvariants();
    other.CloseIdle();
    CHECK(shared.open() == 0);
    rig.shards.Advance(2ms);
  }
  SECTION("and loses it where there is no limit any more") {
    std::unique_ptr<http::CarriedConnection> carried = rig.pool.Detach(*endpoint);
    endpoint->counted = false;
    rig.pool.Attach(*endpoint, std::move(carried));
    CHECK(rig.pool.idle() == 1);
    CHECK(shared.open() == 0);
  }
  SECTION("and closes where it cannot be carried") {
    rig.last->carries = false;
    CHECK(rig.pool.Detach(*endpoint) == nullptr);
    CHECK(rig.pool.open() == 0);
    CHECK(shared.open() == 0);
  }
}

TEST_CASE("connections are counted when a limit is switched on, and forgotten when off") {
  Rig rig;
  const EndpointRef endpoint = rig.NewEndpoint();
  const Pool::Lease busy = rig.Add(endpoint);
  rig.Add(endpoint).Release();
  endpoint->shared = std::make_shared<EndpointSlots>();
  endpoint->counted = true;
  rig.pool.CountedChanged(*endpoint);
  CHECK(endpoint->shared->open() == 2);
  CHECK(endpoint->shared->idle_shards() == 1);
  endpoint->counted = false;
  rig.pool.CountedChanged(*endpoint);
  CHECK(endpoint->shared->open() == 0);
}

TEST_CASE("any order of borrowing, returning and breaking keeps the books") {
  const uint64_t seed = GENERATE(range(1, 6));
  INFO("seed " << seed);
  Random random(seed);
  Rig rig({.idle_per_endpoint_max = 3, .idle_max = 5, .idle_timeout = 1s});
  std::vector<EndpointRef> endpoints;
  for (uint32_t limit : {0u, 2u, 0u}) endpoints.push_back(rig.NewEndpoint(limit));
  std::vector<Pool::Lease> leases;
  for (int step = 0; step < 4000; ++step) {
    const EndpointRef& endpoint = endpoints[random.Below(endpoints.size())];
    const uint64_t what = random.Below(10);
    if (what < 4) {
      Pool::Lease lease = rig.pool.TakeIdle(*endpoint);
      if (!lease && rig.pool.TakePlace(*endpoint)) lease = rig.Add(endpoint);
      if (lease) leases.push_back(std::move(lease));
      if (rig.last != nullptr && random.Below(4) == 0 && !leases.empty()) rig.last = nullptr;
    } else if (what < 8 && !leases.empty()) {
      const size_t at = random.Below(leases.size());
      std::swap(leases[at], leases.back());
      leases.pop_back();
    } else if (what == 8) {
      rig.shards.Advance(Duration(random.Below(300) * 1'000'000));
    } else {
      endpoint->leaving = !endpoint->leaving;
      if (endpoint->leaving) rig.pool.EndpointLeaving(*endpoint);
    }
    if (!endpoint->leaving) rig.pool.CheckInvariants();
    if (endpoint->shared) CHECK(endpoint->shared->open() <= 2);
  }
  leases.clear();
  rig.pool.CloseIdle();
  rig.shards.Advance(10ms);
  CHECK(rig.alive == 0);
}

}  // namespace
}  // namespace rouse::proxy
