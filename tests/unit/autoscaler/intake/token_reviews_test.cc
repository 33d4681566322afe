#include "autoscaler/intake/token_reviews.h"

#include <catch2/catch.hpp>

#include "autoscaler/intake/intake_server.h"
#include "k8s/objects/token_review.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_network.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kProxies = "system:serviceaccount:rouse-system:rouse-proxy";
const std::string kAudience = "rouse-autoscaler";

std::string Reviewed(bool authenticated, const std::string& username,
                     const std::string& audience = kAudience) {
  return R"({"kind":"TokenReview","status":{"authenticated":)" +
         std::string(authenticated ? "true" : "false") + R"(,"user":{"username":")" + username +
         R"("},"audiences":[")" + audience + R"("]}})";
}

k8s::ClusterAccess Access(const control::Origin& origin) {
  k8s::ClusterAccess access;
  access.origin = origin;
  return access;
}

/// An API server that answers when the test says so.
struct World {
  World() {
    control::ListenOptions options;
    options.host = kApi.host;
    options.port = kApi.port;
    auto listening = network.Listen(options, service);
    REQUIRE(listening.ok());
    api_listener = *std::move(listening);
  }
  void Ask(const std::string& token) {
    reviews.Ask(token, [this](Verdict verdict) { verdicts.push_back(verdict); });
    network.RunFor(milliseconds(100));
  }
  /// Answers the oldest question; its target.
  std::string Answer(int status, const std::string& body) {
    network.RunFor(milliseconds(100));
    REQUIRE_FALSE(service.taken.empty());
    auto taken = std::move(service.taken.front());
    service.taken.erase(service.taken.begin());
    taken.responder->Respond(status, {}, body);
    network.RunFor(milliseconds(100));
    return taken.request.target;
  }
  /// The verdict over a token of which the API says this.
  Verdict Of(int status, const std::string& body) {
    verdicts.clear();
    Ask("token-" + std::to_string(++asked));
    Answer(status, body);
    REQUIRE(verdicts.size() == 1);
    return verdicts[0];
  }

  const control::Origin kApi{"api", 6443, std::nullopt};
  SimClock clock;
  control::SimNetwork network{clock, 1};
  obs::Log log{clock, {.sink = [](std::string_view) {}}};
  control::ScriptedService service;
  std::unique_ptr<control::HttpListener> api_listener;
  k8s::Credentials credentials{clock, Access(kApi)};
  k8s::ApiClient client{network, credentials, {}};
  TokenReviews reviews{client, kAudience, kProxies};
  std::vector<Verdict> verdicts;
  int asked = 0;
};

TEST_CASE("a token is admitted where it is the proxies' and meant for us") {
  World world;
  CHECK(world.Of(201, Reviewed(true, kProxies)) == Verdict::kAdmit);
  CHECK(world.Of(201, Reviewed(false, "")) == Verdict::kRefuse);
  CHECK(world.Of(201, Reviewed(true, "system:serviceaccount:other:rouse-proxy")) ==
        Verdict::kRefuse);
  CHECK(world.Of(201, Reviewed(true, kProxies, "https://kubernetes.default.svc")) ==
        Verdict::kRefuse);
  CHECK(world.Of(201, "{") == Verdict::kRefuse);
  CHECK(world.Of(503, "{}") == Verdict::kUnavailable);
}

TEST_CASE("a review is asked for once, and remembered for a minute") {
  World world;
  CHECK_FALSE(world.reviews.Known("t").has_value());
  world.Ask("t");
  world.Ask("t");
  CHECK(world.Answer(201, Reviewed(true, kProxies)) ==
        "/apis/authentication.k8s.io/v1/tokenreviews");
  CHECK(world.verdicts == std::vector<Verdict>{Verdict::kAdmit, Verdict::kAdmit});
  CHECK(world.reviews.Known("t") == Verdict::kAdmit);
  CHECK(world.service.taken.empty());
  world.network.RunFor(seconds(61));
  CHECK_FALSE(world.reviews.Known("t").has_value());
}

TEST_CASE("what is no token is refused without asking") {
  World world;
  CHECK(world.reviews.Known("") == Verdict::kRefuse);
  CHECK(world.reviews.Known(std::string((16 << 10) + 1, 'x')) == Verdict::kRefuse);
}

TEST_CASE("memory and questions are bounded") {
  World world;
  TokenReviews few(world.client, kAudience, kProxies, {.remembered_max = 2, .in_flight_max = 1});
  const auto decide = [](Verdict) {};
  for (const std::string token : {"a", "b", "c"}) {
    few.Ask(token, decide);
    CHECK(few.Known("other") == Verdict::kUnavailable);
    world.Answer(201, Reviewed(true, kProxies));
  }
  CHECK_FALSE(few.Known("a").has_value());
  CHECK(few.Known("b") == Verdict::kAdmit);
  CHECK(few.Known("c") == Verdict::kAdmit);
}

/// An intake whose senders' tokens are reviewed.
struct Intake : World {
  Intake() {
    demand.Declare(kFn, {}, clock.now());
    control::ListenOptions options;
    options.host = kOrigin.host;
    options.port = kOrigin.port;
    auto listening = network.Listen(options, server);
    REQUIRE(listening.ok());
    listener = *std::move(listening);
    control::MessageHandlers handlers;
    handlers.on_close = [this](const absl::Status&) { closed = true; };
    channel =
        network.Dial(kOrigin, "/", {{"authorization", "Bearer mine"}}, {}, std::move(handlers));
    network.RunFor(seconds(1));
  }
  void Report() {
    const wire::Report report{.proxy = "p", .stats = {{kFn, {.average_concurrent_requests = 1}}}};
    REQUIRE(channel->Send(wire::Encode(report), true).ok());
    network.RunFor(milliseconds(100));
  }

  const ObjectKey kFn{"ns", "fn"};
  const control::Origin kOrigin{"autoscaler", 8080, std::nullopt};
  DemandStore demand{DemandLimits{}};
  int told = 0;
  IntakeServer server{
      network.loop(),      demand, log,
      IntakeAuth(reviews), {},     [this](const ObjectKey&, const wire::Stat&) { ++told; }};
  std::unique_ptr<control::HttpListener> listener;
  std::unique_ptr<control::MessageChannel> channel;
  bool closed = false;
};

TEST_CASE("what a sender says while its token is reviewed counts once it is admitted") {
  Intake intake;
  intake.Report();
  CHECK(intake.told == 0);
  intake.Answer(201, Reviewed(true, kProxies));
  intake.network.RunFor(milliseconds(100));
  CHECK(intake.told == 1);
  intake.Report();
  CHECK(intake.told == 2);
  CHECK_FALSE(intake.closed);
}

TEST_CASE("a sender whose token is not the proxies' is closed unheard") {
  Intake intake;
  intake.Report();
  intake.Answer(201, Reviewed(true, "system:serviceaccount:ns:somebody"));
  intake.network.RunFor(seconds(1));
  CHECK(intake.told == 0);
  CHECK(intake.closed);
  CHECK(intake.server.counters().unauthorized == 1);
}

TEST_CASE("a sender whose token nobody reviews is sent away to try again") {
  Intake intake;
  intake.Report();
  intake.Answer(503, "{}");
  intake.network.RunFor(seconds(1));
  CHECK(intake.told == 0);
  CHECK(intake.closed);
  CHECK(intake.server.counters().unauthorized == 0);
}

TEST_CASE("a sender that floods while its token is reviewed is closed") {
  Intake intake;
  for (size_t i = 0; i <= IntakeLimits{}.held_max; ++i) intake.Report();
  intake.network.RunFor(seconds(1));
  CHECK(intake.closed);
  CHECK(intake.told == 0);
}

}  // namespace
}  // namespace rouse::autoscaler
