// The App over real sockets: the simulations have the rest.
#include "autoscaler/app.h"

#include <ctime>

#include <catch2/catch.hpp>

#include "tests/sim/autoscaler_world.h"
#include "tests/support/control/on_loopback.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// An API server, an autoscaler and a proxy's connection, on loopback.
struct World {
  explicit World(int workloads) {
    for (int i = 0; i < workloads; ++i) {
      const std::string name = "fn" + std::to_string(i);
      api.SetScale(name, 0);
      api.PutService(name, {});
      api.PutSlice(name, 0);
    }
    api_listener = net.Listen(api);
    k8s::ClusterAccess access;
    access.origin = control::OnLoopback::At(api_listener->port());
    access.ns = "ns";
    credentials.emplace(net.clock, access);
    client.emplace(*net.network, *credentials, k8s::ApiClientOptions{});
    Config config;
    config.intake.listen = "127.0.0.1:0";
    config.intake.auth = "none";
    app.emplace(*net.network, *client, net.log, config, 1);
    REQUIRE(app->Start().ok());
    REQUIRE(
        net.Until([&] { return app->ready() && app->leading() && api.scale_reads >= workloads; }));
    control::MessageHandlers handlers;
    handlers.on_open = [this] { open = true; };
    proxy = net.network->Dial(control::OnLoopback::At(app->intake_port()), "/", {}, {},
                              std::move(handlers));
    REQUIRE(net.Until([&] { return open; }));
  }
  void Send(const wire::Report& report) { REQUIRE(proxy->Send(wire::Encode(report), true).ok()); }
  Duration Wake(const std::string& name) {
    const TimePoint sent = net.clock.now();
    Send({.proxy = "p",
          .stats = {
              {{"ns", name},
               {.average_concurrent_requests = 1, .request_count = 1, .parked_requests = 1}}}});
    REQUIRE(net.Until([&] { return api.scales[name].replicas == 1; }));
    return net.clock.now() - sent;
  }

  control::OnLoopback net;
  sim::SimApi api{net.clock};
  std::unique_ptr<control::HttpListener> api_listener;
  std::optional<k8s::Credentials> credentials;
  std::optional<k8s::ApiClient> client;
  std::optional<App> app;
  std::unique_ptr<control::MessageChannel> proxy;
  bool open = false;
};

TEST_CASE("over real sockets a report of a parked request becomes a scale write") {
  World world(3);
  CHECK(world.Wake("fn1") < seconds(1));
  REQUIRE(world.api.writes.size() == 1);
  CHECK(world.api.writes[0].target == "fn1");
  REQUIRE(
      world.net.Until([&] { return world.app->writer().counters().wake_written.count() == 1; }));
  bool left = false;
  world.app->Drain([&] { left = true; });
  CHECK(world.net.Until([&] { return left; }));
  CHECK(world.api.lease.holder.empty());
}

TEST_CASE("an address that is taken is said at the start") {
  World world(0);
  Config config;
  config.intake.auth = "none";
  config.intake.listen = "127.0.0.1:" + std::to_string(world.api_listener->port());
  App second(*world.net.network, *world.client, world.net.log, config, 2);
  CHECK_FALSE(second.Start().ok());
}

/// Run by name; prints figures for the README.
TEST_CASE("figures: wake latency and idle cost", "[.figures]") {
  World world(200);
  std::vector<Duration> waits;
  for (int i = 0; i < 200; ++i) waits.push_back(world.Wake("fn" + std::to_string(i)));
  std::sort(waits.begin(), waits.end());
  const auto micros = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
  };
  WARN("report sent -> patched at the server (both sides here): p50 "
       << micros(waits[100]) << " us, p99 " << micros(waits[198]) << " us");
  const obs::Histogram& sent = world.app->writer().counters().wake_sent;
  WARN("decision to patch: p50 " << micros(sent.Quantile(0.5)) << " us");

  World idle(3);
  const std::clock_t before = std::clock();
  for (int s = 0; s < 30; ++s) {
    idle.Send({.proxy = "p", .complete = true});
    idle.net.For(seconds(1));
  }
  const double cpu = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  WARN("idle with 3 workloads and a report a second: " << cpu / 30 * 100 << " % of a core");
}

}  // namespace
}  // namespace rouse::autoscaler
