#include "k8s/leader.h"

#include <catch2/catch.hpp>

#include "tests/unit/k8s/client/api_fixture.h"

namespace rouse::k8s {
namespace {

using control::ScriptedService;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// One Lease, kept as the API keeps it: versions, conflicts, creation once.
class LeaseServer {
 public:
  explicit LeaseServer(ApiFixture& api) {
    api.service.on_request = [this](ScriptedService::Taken taken) { Serve(std::move(taken)); };
  }
  std::optional<Lease> lease;
  bool away = false;          ///< 503 to everything
  bool lose_answers = false;  ///< writes, and does not say so
  int writes = 0;

 private:
  void Serve(ScriptedService::Taken taken) {
    control::HttpResponder& responder = *taken.responder;
    if (away) return responder.Respond(503, {}, "");
    if (taken.request.method == "GET") {
      if (!lease) return responder.Respond(404, {}, StatusText(404, "NotFound", "x"));
      return responder.Respond(200, {}, lease->Encode());
    }
    absl::StatusOr<Lease> written = Lease::Decode(taken.request.body);
    if (!written.ok()) return responder.Respond(400, {}, "");
    const bool create = taken.request.method == "POST";
    if (create && lease) return responder.Respond(409, {}, StatusText(409, "AlreadyExists", "x"));
    if (!create && (!lease || lease->meta.resource_version != written->meta.resource_version)) {
      return responder.Respond(409, {}, StatusText(409, "Conflict", "x"));
    }
    ++writes;
    lease = *std::move(written);
    lease->meta.resource_version = std::to_string(++version_);
    if (lose_answers) return responder.Abort();
    responder.Respond(create ? 201 : 200, {}, lease->Encode());
  }
  int version_ = 100;
};

struct Candidate {
  std::vector<bool> changes;
  Leader leader;
  Candidate(ApiFixture& api, const std::string& name, uint64_t seed)
      : leader(api.client, api.log, seed, Options(name),
               [this](bool leads) { changes.push_back(leads); }) {}
  static LeaderOptions Options(const std::string& name) {
    LeaderOptions options;
    options.lease = {"sys", "rouse"};
    options.identity = name;
    return options;
  }
};

TEST_CASE("the first to come makes the lease, leads at once and renews it") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  CHECK_FALSE(one.leader.IsLeader(api.clock.now()));
  one.leader.Start();
  api.Settle();
  CHECK(one.leader.IsLeader(api.clock.now()));
  CHECK(one.changes == std::vector<bool>{true});
  CHECK(server.lease->holder == "one");
  CHECK(server.lease->duration_seconds == 15);
  CHECK(server.lease->meta.key() == ObjectKey{"sys", "rouse"});
  api.RunFor(minutes(5));
  CHECK(one.leader.IsLeader(api.clock.now()));
  CHECK(one.changes.size() == 1);
  CHECK(server.lease->transitions == 0);
  CHECK(server.writes >= 125);  // every 2 to 2.4 s
  CHECK(server.writes <= 151);
}

TEST_CASE("a second follows, and takes over once the lease has not moved for its duration") {
  ApiFixture api;
  LeaseServer server(api);
  auto one = std::make_unique<Candidate>(api, "one", 1);
  Candidate two(api, "two", 2);
  one->leader.Start();
  api.RunFor(milliseconds(10));
  two.leader.Start();
  api.RunFor(minutes(1));
  CHECK(two.leader.holder() == "one");
  CHECK(two.changes.empty());
  one = nullptr;  // dies without a word
  const TimePoint died = api.clock.now();
  while (!two.leader.IsLeader(api.clock.now())) api.RunFor(milliseconds(50));
  const Duration took = api.clock.now() - died;
  CHECK(took >= milliseconds(12500));  // the last renewal may lie 2.4 s back
  CHECK(took <= milliseconds(17500));
  CHECK(server.lease->transitions == 1);
  CHECK(two.leader.transitions() == 1);
}

TEST_CASE("another's lease is judged by when we saw it change, not by the times in it") {
  ApiFixture api;
  LeaseServer server(api);
  Lease old;
  old.meta.ns = "sys";
  old.meta.name = "rouse";
  old.meta.resource_version = "7";
  old.holder = "other";
  old.duration_seconds = 15;
  old.renew_time = *ParseTimestamp("2001-01-01T00:00:00Z");  // a clock far behind
  server.lease = old;
  Candidate two(api, "two", 2);
  two.leader.Start();
  api.RunFor(seconds(14));
  CHECK(two.changes.empty());
  old.meta.resource_version = "8";  // it is alive after all
  server.lease = old;
  api.RunFor(seconds(14));
  CHECK(two.changes.empty());
  api.RunFor(seconds(6));
  CHECK(two.leader.IsLeader(api.clock.now()));
}

TEST_CASE("a leader that cannot renew stops at its deadline, before anybody may take over") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  one.leader.Start();
  api.RunFor(minutes(1));
  server.away = true;
  const TimePoint gone = api.clock.now();
  while (one.leader.IsLeader(api.clock.now())) api.RunFor(milliseconds(10));
  const Duration held = api.clock.now() - gone;
  CHECK(held <= seconds(10));
  CHECK(held >= milliseconds(7500));
  CHECK(one.changes == std::vector<bool>{true, false});
  server.away = false;
  api.RunFor(seconds(3));
  CHECK(one.changes == std::vector<bool>{true, false, true});
  CHECK(server.lease->transitions == 0);
}

TEST_CASE("leadership counts from when the renewal was sent, not from when it was answered") {
  ApiFixture api;
  api.network.SetLink("*", {seconds(1), seconds(1), false, false});
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  one.leader.Start();
  api.RunFor(seconds(4));  // read 2 s, write 2 s
  REQUIRE(one.leader.IsLeader(api.clock.now()));
  CHECK(one.leader.IsLeader(api.clock.now() + milliseconds(7999)));
  CHECK_FALSE(one.leader.IsLeader(api.clock.now() + seconds(8)));
}

TEST_CASE("a renewal whose answer is lost is found out and kept") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  one.leader.Start();
  api.RunFor(seconds(30));
  server.lose_answers = true;
  api.RunFor(milliseconds(2500));
  server.lose_answers = false;
  api.RunFor(minutes(1));
  CHECK(one.changes == std::vector<bool>{true});
  CHECK(server.lease->transitions == 0);
}

TEST_CASE("a lease taken by another ends leadership as soon as it is seen") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  one.leader.Start();
  api.RunFor(seconds(30));
  server.lease->holder = "thief";
  server.lease->meta.resource_version = "9999";
  api.RunFor(milliseconds(4900));
  CHECK(one.changes == std::vector<bool>{true, false});
  CHECK_FALSE(one.leader.IsLeader(api.clock.now()));
  CHECK(one.leader.holder() == "thief");
}

TEST_CASE("a clean exit gives the lease back, and the next one leads within a retry") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  Candidate two(api, "two", 2);
  one.leader.Start();
  api.RunFor(milliseconds(10));
  two.leader.Start();
  api.RunFor(minutes(1));
  bool released = false;
  one.leader.Release([&] { released = true; });
  CHECK_FALSE(one.leader.IsLeader(api.clock.now()));
  CHECK(one.changes == std::vector<bool>{true, false});
  api.Settle();
  CHECK(released);
  CHECK(server.lease->holder.empty());
  CHECK(server.lease->duration_seconds == 1);
  api.RunFor(milliseconds(2500));
  CHECK(two.leader.IsLeader(api.clock.now()));
  CHECK(server.lease->transitions == 1);
  api.RunFor(minutes(1));
  CHECK(one.changes.size() == 2);
}

TEST_CASE("giving back ends in time though the server is away, or nothing was held") {
  ApiFixture api;
  LeaseServer server(api);
  Candidate one(api, "one", 1);
  one.leader.Start();
  api.RunFor(seconds(10));
  api.service.on_request = [](ScriptedService::Taken taken) {
    static ScriptedService::Taken held;
    held = std::move(taken);
  };
  bool released = false;
  one.leader.Release([&] { released = true; });
  api.RunFor(milliseconds(3100));
  CHECK(released);
  Candidate idle(api, "idle", 2);
  released = false;
  idle.leader.Release([&] { released = true; });
  api.Settle();
  CHECK(released);
}

TEST_CASE("under any trouble there are never two leaders") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    ApiFixture api(seed);
    LeaseServer server(api);
    std::vector<std::unique_ptr<Candidate>> all;
    Random random(seed);
    for (int i = 0; i < 3; ++i) {
      all.push_back(std::make_unique<Candidate>(api, "c" + std::to_string(i), seed * 10 + i));
      all.back()->leader.Start();
    }
    int led = 0;
    for (int step = 0; step < 4000; ++step) {
      api.RunFor(milliseconds(100));
      const auto leading = std::count_if(all.begin(), all.end(), [&](const auto& each) {
        return each && each->leader.IsLeader(api.clock.now());
      });
      REQUIRE(leading <= 1);
      led += static_cast<int>(leading);
      if (random.Below(100) == 0) server.away = !server.away;
      if (random.Below(100) == 0) server.lose_answers = !server.lose_answers;
      if (random.Below(200) == 0) {
        const int64_t delay = static_cast<int64_t>(random.Below(2500));
        api.network.SetLink("*", {Duration(), milliseconds(delay), false, false});
      }
      if (random.Below(300) == 0) {
        const size_t victim = random.Below(3);
        all[victim] = std::make_unique<Candidate>(api, "n" + std::to_string(step), step);
        all[victim]->leader.Start();
      }
    }
    REQUIRE(led > 0);
  }
}

}  // namespace
}  // namespace rouse::k8s
