#include <algorithm>
#include <cstdio>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "common/control/real_network.h"
#include "proxy/app.h"
#include "proxy/pages.h"
#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

constexpr Duration kPatience = net::testing::Loopback::kPatience;

/// App with real threads on two shards; clients and an upstream on the test's own thread.
struct AppRig {
  explicit AppRig(const std::string& access_log = "off")
      : log(clock, {.sink = [](std::string_view) {}}),
        network(control::NewRealNetwork(clock, log)),
        shard(9, clock, 1, {}),
        upstream(shard) {
    config.shards = 2;
    config.serving.listeners.listen = {"127.0.0.1:0"};
    config.serving.access_log = access_log;
    app.emplace(network->loop(), log, config, 1);
    snapshots.emplace(StaticSnapshots::Handles{
        .endpoint = [this](const EndpointKey& key) { return app->slots().Endpoint(key); },
        .workload = [this](const ObjectKey& key) { return app->slots().Workload(key); }});
    REQUIRE(app->Start().ok());
    view.workloads.push_back(
        {.key = {"ns", "fn"}, .endpoints = {upstream.address().text()}, .policy = {}});
    view.routes.push_back({.host = "*", .path = "/", .workload = {"ns", "fn"}});
  }
  void Publish() { app->Publish(snapshots->Build(view, clock.now())); }
  /// Turns the control loop and the test's shard until `done`.
  bool RunUntil(const std::function<bool()>& done) {
    const TimePoint give_up = clock.now() + kPatience;
    while (!done()) {
      if (clock.now() > give_up) return false;
      shard.Turn(std::chrono::milliseconds(1));
      upstream.Step();
      for (const auto& client : clients) client->Step();
      (void)network->RunUntil([] { return false; }, std::chrono::milliseconds(1));
    }
    return true;
  }
  WireClient& Connect() {
    clients.push_back(
        std::make_unique<WireClient>(shard, net::SocketAddress::Loopback(app->port())));
    return *clients.back();
  }

  SteadyClock clock;
  obs::Log log;
  std::unique_ptr<control::RealNetwork> network;
  net::Shard shard;
  FakeUpstream upstream;
  Config config;
  std::optional<App> app;
  std::optional<StaticSnapshots> snapshots;
  StaticView view;
  std::vector<std::unique_ptr<WireClient>> clients;
};

TEST_CASE("a program that is stopped at once answers those that are parked") {
  AppRig rig;
  rig.view.workloads.front().endpoints.clear();
  rig.Publish();
  WireClient& client = rig.Connect();
  client.Send(Get());
  const auto parked = [&] {
    std::optional<Sample> sample;
    rig.app->GatherSample([&](Sample taken) { sample = std::move(taken); });
    REQUIRE(rig.RunUntil([&] { return sample.has_value(); }));
    return Has(MetricsText(*sample), R"(rouse_proxy_parked_requests{workload="ns/fn"} 1)");
  };
  REQUIRE(rig.RunUntil(parked));
  rig.app->Stop();
  rig.app.reset();
  REQUIRE(rig.RunUntil([&] { return client.responses() == 1; }));
  CHECK(Has(client.received(), "HTTP/1.1 503"));
}

TEST_CASE("two shards serve one address, and their numbers are summed") {
  AppRig rig;
  rig.Publish();
  for (int i = 0; i < 8; ++i) rig.Connect().Send(Get());
  REQUIRE(rig.RunUntil([&] {
    for (const auto& client : rig.clients)
      if (client->responses() != 1) return false;
    return true;
  }));
  std::optional<Sample> sample;
  rig.app->GatherSample([&](Sample taken) { sample = std::move(taken); });
  REQUIRE(rig.RunUntil([&] { return sample.has_value(); }));
  REQUIRE(sample->workloads.size() == 1);
  CHECK(sample->workloads.front().stats.requests[static_cast<size_t>(CodeClass::k2xx)].value == 8);
  CHECK(sample->stats.connections.value == 8);
  CHECK(Has(MetricsText(*sample), "rouse_proxy_downstream_connections_total 8"));
  CHECK(Has(WorkloadsJson(*sample), "\"name\":\"ns/fn\""));

  std::optional<std::vector<DemandRow>> demand;
  rig.app->GatherDemand([&](std::vector<DemandRow> rows) { demand = std::move(rows); });
  REQUIRE(rig.RunUntil([&] { return demand.has_value(); }));
  REQUIRE(demand->size() == 1);
  CHECK(demand->front().demand.request_count == 8);
  CHECK(rig.app->SilenceOf(0) < kPatience);
}

TEST_CASE("nothing is accepted before the first snapshot, and a new one changes the routes") {
  AppRig rig;
  WireClient& early = rig.Connect();  // waits in the kernel's queue
  early.Send(Get());
  rig.Publish();
  REQUIRE(rig.RunUntil([&] { return early.responses() == 1; }));
  CHECK(early.received().starts_with("HTTP/1.1 200 "));
  rig.view.routes.front().host = "elsewhere";
  rig.Publish();
  WireClient& late = rig.Connect();
  REQUIRE(rig.RunUntil([&] {
    late.Forget();
    late.Send(Get());
    return rig.RunUntil([&] { return late.responses() == 1; }) && Has(late.received(), " 404 ");
  }));
}

TEST_CASE("a wake reaches the control loop, and the held request is served on whichever shard") {
  AppRig rig;
  rig.view.workloads.front().endpoints.clear();
  std::vector<ObjectKey> woken;
  rig.app->OnWake([&](const ObjectKey& key) { woken.push_back(key); });
  rig.Publish();
  for (int i = 0; i < 4; ++i) rig.Connect().Send(Get());
  REQUIRE(rig.RunUntil([&] { return !woken.empty(); }));
  CHECK(woken.front() == ObjectKey{"ns", "fn"});
  rig.app->MarkReported(woken.front());
  rig.view.workloads.front().endpoints = {rig.upstream.address().text()};
  rig.Publish();
  REQUIRE(rig.RunUntil([&] {
    for (const auto& client : rig.clients)
      if (client->responses() != 1) return false;
    return true;
  }));
}

TEST_CASE("a limit holds over shards, in flight and in connections") {
  AppRig rig;
  rig.view.workloads.front().policy.concurrency_limit = 1;
  rig.Publish();
  for (int i = 0; i < 12; ++i) rig.Connect().Send(Get("/" + std::to_string(i)));
  size_t most = 0;
  REQUIRE(rig.RunUntil([&] {
    most = std::max(most, rig.upstream.open());
    for (const auto& client : rig.clients)
      if (client->responses() != 1) return false;
    return true;
  }));
  CHECK(rig.upstream.requests().size() == 12);
  CHECK(most <= 2);  // one that is open, and one whose FIN is on its way
}

TEST_CASE("a slot that goes to another shard takes its connection along") {
  AppRig rig;
  rig.view.workloads.front().policy.concurrency_limit = 2;
  rig.Publish();
  for (int i = 0; i < 8; ++i) rig.Connect();
  uint64_t handed_over = 0;
  for (size_t sent = 5; handed_over < 20; sent += 5) {
    REQUIRE(sent < 5000);
    for (const auto& client : rig.clients)
      for (int i = 0; i < 5; ++i) client->Send(Get());
    REQUIRE(rig.RunUntil([&] {
      return std::all_of(rig.clients.begin(), rig.clients.end(),
                         [&](const auto& client) { return client->responses() == sent; });
    }));
    std::optional<Sample> sample;
    rig.app->GatherSample([&](Sample taken) { sample = std::move(taken); });
    REQUIRE(rig.RunUntil([&] { return sample.has_value(); }));
    handed_over = sample->stats.grants_sent.value;
  }
  // Dialled for the first two slots; a few more where a slot was found free while its connection
  // idled elsewhere.
  CHECK(rig.upstream.connections() <= handed_over / 2);
}

TEST_CASE("a drained app has served what was under way") {
  AppRig rig;
  rig.Publish();
  rig.upstream.Hold();
  WireClient& client = rig.Connect();
  client.Send(Get());
  REQUIRE(rig.RunUntil([&] { return rig.upstream.connections() == 1; }));
  rig.app->Drain();
  (void)rig.app->Drained();
  (void)rig.RunUntil([end = rig.clock.now() + std::chrono::milliseconds(50), &rig] {
    return rig.clock.now() > end;
  });
  CHECK_FALSE(rig.app->Drained());
  rig.upstream.Release();
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(Has(client.received(), "connection: close"));
  CHECK(rig.RunUntil([&] { return rig.app->Drained(); }));
  rig.app->Stop();
}

/// Standard output, taken into a file while it lives.
class TakenOutput {
 public:
  TakenOutput() : file_(std::tmpfile()), kept_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    dup2(fileno(file_), STDOUT_FILENO);
  }
  ~TakenOutput() {
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
    std::fclose(file_);
  }
  [[nodiscard]] size_t lines() const {
    std::string text(1 << 20, '\0');
    const ssize_t size = pread(fileno(file_), text.data(), text.size(), 0);
    return static_cast<size_t>(std::count(text.begin(), text.begin() + size, '\n'));
  }

 private:
  std::FILE* file_;
  int kept_;
};

TEST_CASE("the access log is written where it is asked for, and nothing where it is off") {
  // More than fill a batch of records on both shards, so that one is on its way before the sample.
  const size_t requests = 2 * AccessLog::kRing;
  for (const std::string format : {"off", "text", "json"}) {
    size_t lines = 0;
    {
      const TakenOutput output;
      AppRig rig(format);
      rig.Publish();
      WireClient& client = rig.Connect();
      for (size_t i = 0; i < requests; ++i) client.Send(Get());
      REQUIRE(rig.RunUntil([&] { return client.responses() == requests; }));
      std::optional<Sample> sample;
      rig.app->GatherSample([&](Sample taken) { sample = std::move(taken); });
      REQUIRE(rig.RunUntil([&] { return sample.has_value(); }));
      lines = output.lines();
    }
    INFO(format);
    CHECK((lines > 0) == (format != "off"));
  }
}

TEST_CASE("an abort ends what does not end by itself") {
  AppRig rig;
  rig.Publish();
  rig.upstream.Hold();
  WireClient& client = rig.Connect();
  client.Send(Get());
  REQUIRE(rig.RunUntil([&] { return rig.upstream.connections() == 1; }));
  rig.app->Drain();
  rig.app->Abort();
  REQUIRE(rig.RunUntil([&] { return client.ended(); }));
  CHECK(client.received().starts_with("HTTP/1.1 503 "));
  CHECK(Has(client.received(), "x-rouse-error: draining"));
  CHECK(rig.RunUntil([&] { return rig.app->Drained(); }));
}

}  // namespace
}  // namespace rouse::proxy::testing
