#include "autoscaler/intake/intake_server.h"

#include <catch2/catch.hpp>

#include "autoscaler/intake/intake_auth.h"
#include "tests/support/control/sim_network.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::seconds;

const ObjectKey kFn{"ns", "fn"};
const control::Origin kOrigin{"autoscaler", 8080, std::nullopt};

/// A proxy's end of a connection.
struct Sender {
  std::unique_ptr<control::MessageChannel> channel;
  bool open = false;
  bool closed = false;
  std::string why;
};

struct World {
  explicit World(std::string token = {}, IntakeLimits limits = {}, DemandLimits demand_limits = {})
      : demand(demand_limits),
        server(network.loop(), demand, log,
               IntakeAuth(token.empty() ? "" : "/token",
                          [token](const std::string&) { return token; }),
               limits,
               [this](const ObjectKey& key, const wire::Stat&) { told.push_back(key.text()); }) {
    Policy policy;
    demand.Declare(kFn, policy, clock.now());
    control::ListenOptions options;
    options.host = kOrigin.host;
    options.port = kOrigin.port;
    auto listening = network.Listen(options, server);
    REQUIRE(listening.ok());
    listener = *std::move(listening);
  }
  std::unique_ptr<Sender> Dial(control::Headers headers = {}, const std::string& path = "/") {
    auto sender = std::make_unique<Sender>();
    Sender* s = sender.get();
    control::MessageHandlers handlers;
    handlers.on_open = [s] { s->open = true; };
    handlers.on_close = [s](absl::Status status) {
      s->closed = true;
      s->why = std::string(status.message());
    };
    sender->channel = network.Dial(kOrigin, path, std::move(headers), {}, std::move(handlers));
    network.RunFor(seconds(1));
    return sender;
  }
  void Send(Sender& sender, const wire::Report& report) {
    REQUIRE(sender.channel->Send(wire::Encode(report), true).ok());
    network.RunFor(std::chrono::milliseconds(10));
  }

  SimClock clock;
  control::SimNetwork network{clock, 1};
  obs::Log log{clock, {.sink = [](std::string_view) {}}};
  DemandStore demand;
  std::vector<std::string> told;
  IntakeServer server;
  std::unique_ptr<control::HttpListener> listener;
};

wire::Report Reporting(double concurrency, const std::string& proxy = "p1") {
  return {.proxy = proxy,
          .complete = true,
          .stats = {{kFn, {.pod_name = "pod", .average_concurrent_requests = concurrency}}}};
}

TEST_CASE("where certificates are required, a sender without one is refused") {
  World world;
  world.server.RequireCertificates();
  const auto sender = world.Dial();
  CHECK(sender->closed);
  CHECK_FALSE(sender->open);
  CHECK(world.server.counters().unauthorized == 1);
}

TEST_CASE("a proxy's report is filed under its name, and told where it shows demand") {
  World world;
  auto sender = world.Dial();
  REQUIRE(sender->open);
  world.Send(*sender, Reporting(3));
  CHECK(world.told == std::vector<std::string>{"ns/fn"});
  CHECK(world.demand.Read(kFn, world.clock.now()).stable == 3);
  world.Send(*sender, Reporting(0));
  CHECK(world.told.size() == 1);
  const auto senders = world.demand.Senders(world.clock.now());
  REQUIRE(senders.size() == 1);
  CHECK(senders[0].name == "p1");
  CHECK_FALSE(senders[0].knative);
  CHECK(senders[0].connections == 1);
}

TEST_CASE("any path is accepted, and Knative's activator is known by its stats") {
  World world;
  auto sender = world.Dial({}, "/whatever/path");
  world.Send(
      *sender,
      {.stats = {
           {kFn,
            {.pod_name = "activator-1", .average_concurrent_requests = 1, .request_count = 1}}}});
  const auto senders = world.demand.Senders(world.clock.now());
  REQUIRE(senders.size() == 1);
  CHECK(senders[0].name == "activator-1");
  CHECK(senders[0].knative);
}

TEST_CASE("an idle proxy says so, and an idle stranger says nothing") {
  World world;
  auto stranger = world.Dial();
  world.Send(*stranger, {});
  CHECK(world.demand.Senders(world.clock.now()).empty());
  auto proxy = world.Dial();
  world.Send(*proxy, {.proxy = "p1", .complete = true});
  CHECK(world.demand.Senders(world.clock.now()).size() == 1);
}

TEST_CASE("a malformed message closes its connection, and only that") {
  World world;
  auto good = world.Dial();
  auto bad = world.Dial();
  world.Send(*good, Reporting(1));
  REQUIRE(bad->channel->Send("\xff\xff\xff", true).ok());
  REQUIRE(bad->channel->Send(wire::Encode(Reporting(9, "p2")), true).ok());
  world.network.RunFor(seconds(1));
  CHECK(bad->closed);
  CHECK_FALSE(good->closed);
  CHECK(world.server.counters().malformed == 1);
  CHECK(world.server.connections() == 1);
  CHECK(world.demand.Read(kFn, world.clock.now()).present == 1);
}

TEST_CASE("text messages are dropped, as Knative drops them") {
  World world;
  auto sender = world.Dial();
  REQUIRE(sender->channel->Send("hello", false).ok());
  world.Send(*sender, Reporting(1));
  CHECK(world.server.counters().text == 1);
  CHECK(world.told.size() == 1);
}

TEST_CASE("a proxy that changes its name is closed") {
  World world;
  auto sender = world.Dial();
  world.Send(*sender, Reporting(1, "p1"));
  world.Send(*sender, Reporting(1, "p2"));
  world.network.RunFor(seconds(1));
  CHECK(sender->closed);
  CHECK(world.demand.Senders(world.clock.now()).size() == 1);
}

TEST_CASE("a sender that hangs up is disconnected, and remembered") {
  World world;
  auto sender = world.Dial();
  world.Send(*sender, Reporting(2));
  sender.reset();
  world.network.RunFor(seconds(1));
  CHECK(world.server.connections() == 0);
  CHECK(world.demand.Senders(world.clock.now())[0].connections == 0);
  world.network.RunFor(seconds(20));
  CHECK(world.demand.Read(kFn, world.clock.now()).present == 2);
}

TEST_CASE("with a token only its bearer may report") {
  World world("s3cret");
  CHECK_FALSE(world.Dial()->open);
  CHECK_FALSE(world.Dial({{"Authorization", "Bearer wrong1"}})->open);
  CHECK_FALSE(world.Dial({{"Authorization", "Bearer s3cret2"}})->open);
  CHECK_FALSE(world.Dial({{"Authorization", "Basic s3cret"}})->open);
  CHECK_FALSE(world.Dial({{"Authorization", "Bearer "}})->open);
  CHECK(world.Dial({{"authorization", "bearer s3cret"}})->open);
  CHECK(world.server.counters().unauthorized == 5);
}

TEST_CASE("connections and senders are bounded") {
  World world({}, {.connections_max = 2}, {.senders_max = 1});
  auto first = world.Dial();
  auto second = world.Dial();
  CHECK_FALSE(world.Dial()->open);
  world.Send(*first, Reporting(1, "p1"));
  world.Send(*second, Reporting(1, "p2"));
  world.network.RunFor(seconds(1));
  CHECK(second->closed);
  CHECK_FALSE(first->closed);
}

TEST_CASE("going down closes what is open and takes nothing new") {
  World world;
  auto sender = world.Dial();
  world.server.Drain();
  world.network.RunFor(seconds(1));
  CHECK(sender->closed);
  CHECK_FALSE(world.Dial()->open);
}

TEST_CASE("plain requests are told what this port takes; the kubelet is told how we are") {
  World world;
  const auto ask = [&](control::Headers headers) {
    int status = 0;
    auto client = world.network.NewClient(kOrigin);
    control::HttpHandlers handlers;
    handlers.on_head = [&](int code, const control::Headers&) { status = code; };
    control::HttpRequest request;
    request.headers = std::move(headers);
    auto call = client->Start(std::move(request), std::move(handlers));
    world.network.RunFor(seconds(1));
    return status;
  };
  CHECK(ask({}) == 426);
  CHECK(ask({{"User-Agent", "kube-probe/1.30"}}) == 200);
  world.server.Drain();
  CHECK(ask({{"User-Agent", "kube-probe/1.30"}}) == 500);
}

TEST_CASE("a rotated token counts once it is read again, an unreadable one admits nobody") {
  std::string token = "one";
  bool readable = true;
  IntakeAuth auth("/token", [&](const std::string&) -> absl::StatusOr<std::string> {
    if (!readable) return absl::NotFoundError("gone");
    return token + "\n";
  });
  const TimePoint start{seconds(1000)};
  CHECK(auth.Check("Bearer one", start) == Verdict::kAdmit);
  token = "two";
  CHECK(auth.Check("Bearer one", start + seconds(1)) == Verdict::kAdmit);
  CHECK(auth.Check("Bearer one", start + seconds(10)) == Verdict::kRefuse);
  CHECK(auth.Check("Bearer two", start + seconds(10)) == Verdict::kAdmit);
  readable = false;
  CHECK(auth.Check("Bearer two", start + seconds(30)) == Verdict::kRefuse);
  CHECK(auth.Check("Bearer ", start + seconds(31)) == Verdict::kRefuse);
  CHECK(IntakeAuth("").Check(std::nullopt, start) == Verdict::kAdmit);
}

}  // namespace
}  // namespace rouse::autoscaler
