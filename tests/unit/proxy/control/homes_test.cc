#include "proxy/control/homes.h"

#include <catch2/catch.hpp>

#include "proxy/upstream/slot_table.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/control/sim_network.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kLimit = 2;
const EndpointKey kPod{"pod-uid", 8080};

/// One proxy: its homes, and the counters that its shards would use.
struct Proxy {
  Proxy(control::SimNetwork& network, obs::Log& log, std::string at)
      : address(std::move(at)),
        slots(std::make_shared<EndpointSlots>()),
        homes(network, log,
              {.address = address, .listen = address + ":8083", .life = address.size()},
              {.reserve =
                   [](EndpointSlots& each, uint32_t before, uint32_t now) {
                     if (now > before) each.Add(now - before);
                     if (now < before) each.Release(before - now);
                   },
               .in_flight = [](const EndpointSlots& each) { return each.in_flight(); },
               .freed = [this] { ++freed; }},
              [this] { ++moved; }) {}

  /// What the data side sees of the workload of this key.
  EndpointSetPtr Place(const std::string& key) {
    auto set = std::make_shared<EndpointSet>();
    set->workload = {"ns", "fn"};
    set->policy.concurrency_limit = kLimit;
    set->endpoints.push_back({.key = kPod,
                              .addresses = {"10.9.9.9"},
                              .tls = nullptr,
                              .pod_name = "pod",
                              .probe = {},
                              .slots = slots});
    placed = homes.Place(std::move(set), key);
    return placed;
  }

  std::string address;
  std::shared_ptr<EndpointSlots> slots;
  EndpointSetPtr placed;  ///< as a snapshot would keep it
  int freed = 0;
  int moved = 0;
  Homes homes;
};

struct Bench {
  SimClock clock;
  control::SimNetwork network{clock, 1};
  obs::Log log{clock, {obs::Level::kError, obs::Log::Format::kText, 64, [](std::string_view) {}}};
  Proxy a{network, log, "10.0.0.1"};
  Proxy b{network, log, "10.0.0.2"};

  static k8s::EndpointSlice Slice(std::vector<std::pair<std::string, bool>> proxies) {
    k8s::EndpointSlice slice;
    slice.meta.ns = "rouse-system";
    slice.meta.name = "proxies-1";
    slice.ports.push_back({"internal", "TCP", "", uint16_t{8082}});
    slice.ports.push_back({"hand-over", "TCP", "", uint16_t{8083}});
    for (const auto& [address, ready] : proxies) {
      slice.endpoints.emplace_back();
      slice.endpoints.back().addresses = {address};
      slice.endpoints.back().ready = ready;
    }
    return slice;
  }
  void Tell(Proxy& proxy, std::vector<std::pair<std::string, bool>> proxies) {
    proxy.homes.slices().OnUpsert(Slice(std::move(proxies)));
    if (!proxy.homes.synced()) proxy.homes.slices().OnSynced();
  }
  void StartBoth() {
    for (Proxy* proxy : {&a, &b}) {
      REQUIRE(proxy->homes.Start().ok());
      Tell(*proxy, {{a.address, true}, {b.address, true}});
    }
    network.RunFor(seconds(1));
  }
  [[nodiscard]] std::string KeyOf(const Proxy& home) const {
    for (int i = 0;; ++i) {
      const std::string key = "ns/deployments/" + std::to_string(i);
      if (HomeAmong(key, {a.address, b.address}) == home.address) return key;
    }
  }
};

TEST_CASE("a workload without a limit is nobody's business") {
  Bench bench;
  bench.StartBoth();
  auto set = std::make_shared<EndpointSet>();
  CHECK(bench.a.homes.Place(set, bench.KeyOf(bench.b)) == set);
}

TEST_CASE("where another is home, the workload is that one's internal port, without a limit") {
  Bench bench;
  bench.StartBoth();
  const EndpointSetPtr set = bench.a.Place(bench.KeyOf(bench.b));
  CHECK(set->away);
  CHECK(set->policy.concurrency_limit == 0);
  REQUIRE(set->endpoints.size() == 1);
  CHECK(set->endpoints[0].hop);
  CHECK(set->endpoints[0].key.port == 8082);
  CHECK(set->endpoints[0].addresses == std::vector<std::string>{"10.0.0.2"});
  CHECK(set->endpoints[0].protocol == UpstreamProtocol::kHttp2);
}

TEST_CASE("a home grants at once where all have answered, and nothing before") {
  Bench bench;
  const std::string key = bench.KeyOf(bench.a);
  REQUIRE(bench.a.homes.Start().ok());
  REQUIRE(bench.b.homes.Start().ok());
  bench.Tell(bench.a, {{bench.a.address, true}, {bench.b.address, true}});
  CHECK(bench.a.moved > 0);
  CHECK_FALSE(bench.a.Place(key)->away);
  CHECK_FALSE(bench.a.slots->TryTake(kLimit));
  bench.Tell(bench.b, {{bench.a.address, true}, {bench.b.address, true}});
  bench.network.RunFor(milliseconds(200));
  CHECK(bench.a.freed > 0);
  CHECK(bench.a.slots->TryTake(kLimit));
  CHECK(bench.a.slots->TryTake(kLimit));
  CHECK_FALSE(bench.a.slots->TryTake(kLimit));
}

TEST_CASE("what the home before still has in flight is handed over as it ends") {
  Bench bench;
  const std::string key = bench.KeyOf(bench.b);
  REQUIRE(bench.a.homes.Start().ok());
  REQUIRE(bench.b.homes.Start().ok());
  bench.Tell(bench.a, {{bench.a.address, true}});
  bench.network.RunFor(milliseconds(200));
  (void)bench.a.Place(key);
  REQUIRE(bench.a.slots->TryTake(kLimit));
  REQUIRE(bench.a.slots->TryTake(kLimit));
  // `b` joins, and is home from now on.
  for (Proxy* proxy : {&bench.a, &bench.b})
    bench.Tell(*proxy, {{bench.a.address, true}, {bench.b.address, true}});
  CHECK_FALSE(bench.b.Place(key)->away);
  bench.network.RunFor(milliseconds(200));
  CHECK_FALSE(bench.b.slots->TryTake(kLimit));
  CHECK_FALSE(bench.a.homes.HandedOver());
  bench.a.slots->Release();
  CHECK_FALSE(bench.a.slots->TryTake(kLimit));  // it is not this one's to grant any more
  bench.network.RunFor(milliseconds(200));
  CHECK(bench.b.slots->TryTake(kLimit));
  CHECK_FALSE(bench.b.slots->TryTake(kLimit));
  bench.a.slots->Release();
  bench.network.RunFor(milliseconds(200));
  CHECK(bench.b.slots->TryTake(kLimit));
  CHECK(bench.a.homes.HandedOver());
}

TEST_CASE("a home whose predecessor is silent waits for the fence") {
  Bench bench;
  const std::string key = bench.KeyOf(bench.a);
  REQUIRE(bench.a.homes.Start().ok());
  bench.Tell(bench.a, {{bench.a.address, true}, {bench.b.address, true}});  // nobody listens there
  (void)bench.a.Place(key);
  bench.network.RunFor(milliseconds(4800));
  CHECK_FALSE(bench.a.slots->TryTake(kLimit));
  bench.network.RunFor(milliseconds(400));
  CHECK(bench.a.slots->TryTake(kLimit));
}

TEST_CASE("a pod that comes while nothing may be granted cannot be granted either") {
  Bench bench;
  const std::string key = bench.KeyOf(bench.a);
  REQUIRE(bench.a.homes.Start().ok());
  bench.Tell(bench.a, {{bench.a.address, true}, {bench.b.address, true}});
  bench.network.RunFor(seconds(1));
  (void)bench.a.Place(key);
  CHECK_FALSE(bench.a.slots->TryTake(kLimit));
}

TEST_CASE("what is no claim is refused, and changes nothing") {
  Bench bench;
  bench.StartBoth();
  (void)bench.a.Place(bench.KeyOf(bench.a));
  const auto client = bench.network.NewClient({bench.a.address, 8083, std::nullopt});
  const auto ask = [&](std::string method, std::string target, std::string body) {
    int answered = 0;
    control::HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    control::HttpHandlers handlers;
    handlers.on_head = [&](int status, const control::Headers&) { answered = status; };
    handlers.on_data = [](std::string_view) {};
    handlers.on_end = [](const absl::Status&) {};
    const auto call = client->Start(std::move(request), std::move(handlers));
    bench.network.RunFor(milliseconds(100));
    return answered;
  };
  CHECK(ask("POST", "/claim", "nonsense") == 400);
  CHECK(ask("POST", "/claim", "") == 400);
  CHECK(ask("GET", "/claim", "") == 404);
  CHECK(ask("POST", "/", "") == 404);
  CHECK(bench.a.slots->TryTake(kLimit));
}

}  // namespace
}  // namespace rouse::proxy
