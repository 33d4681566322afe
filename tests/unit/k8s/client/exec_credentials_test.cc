#include "k8s/exec_credentials.h"

#include <utility>

#include <catch2/catch.hpp>

#include "k8s/objects/service.h"
#include "tests/unit/k8s/client/api_fixture.h"

namespace rouse::k8s {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

/// Runs of a plugin, ended by the test.
struct Runs {
  struct Run final : ExecRun {
    explicit Run(Runs& of) : runs(of) {}
    ~Run() override { ++runs.gone; }
    Runs& runs;
  };
  size_t begun = 0;
  size_t gone = 0;
  ExecDone done;
  ExecStart Start() {
    return [this](ExecDone told) {
      ++begun;
      done = std::move(told);
      return std::make_unique<Run>(*this);
    };
  }
  [[nodiscard]] bool running() const { return begun > gone; }
};

/// An ApiFixture whose credentials come from a plugin.
struct PluginFixture : ApiFixture {
  Runs runs;
  PluginFixture() {
    files.clear();
    credentials.UsePlugin(std::make_unique<ExecCredentials>(network.loop(), log, 1, runs.Start()));
  }
  ~PluginFixture() { runs.done = nullptr; }

  void Give(const std::string& token, std::optional<Duration> life = {}) {
    ExecCredential credential;
    credential.token = token;
    if (life) {
      credential.expires = clock.wall() + std::chrono::duration_cast<WallTime::duration>(*life);
    }
    std::exchange(runs.done, nullptr)(std::move(credential));
    Settle();
  }
  void Fail(const std::string& why) {
    std::exchange(runs.done, nullptr)(absl::UnauthenticatedError(why));
    Settle();
  }
  struct Asked {
    std::unique_ptr<ApiCall> call;
    std::optional<absl::Status> end;
  };
  std::unique_ptr<Asked> Ask() {
    auto asked = std::make_unique<Asked>();
    ApiRequest request;
    request.path = "/api/v1/pods";
    asked->call =
        client.Send(std::move(request),
                    [at = asked.get()](absl::StatusOr<std::string> r) { at->end = r.status(); });
    Settle();
    return asked;
  }
  /// The token of the oldest request that waits, which is answered.
  std::string TokenAsked(int status) {
    const control::IncomingRequest request =
        Answer(status, status == 200 ? "{}" : StatusText(status, "Unauthorized", "who?"));
    return std::string(control::FindHeader(request.headers, "Authorization").value_or("none"));
  }
};

TEST_CASE("calls wait for the plugin's first answer, which is one for all of them") {
  PluginFixture f;
  const auto one = f.Ask();
  const auto two = f.Ask();
  CHECK(f.service.taken.empty());
  CHECK(f.runs.begun == 1);
  f.Give("T1");
  CHECK(f.TokenAsked(200) == "Bearer T1");
  CHECK(f.TokenAsked(200) == "Bearer T1");
  CHECK(one->end->ok());
  CHECK(two->end->ok());
  CHECK(f.runs.gone == 1);
}

TEST_CASE("a call that waits for the plugin ends at its deadline, and may be given up") {
  PluginFixture f;
  const auto given_up = f.Ask();
  const auto late = f.Ask();
  given_up->call = nullptr;
  f.RunFor(seconds(16));
  REQUIRE(late->end.has_value());
  CHECK(absl::IsDeadlineExceeded(*late->end));
  f.Give("T1");
  CHECK(f.service.taken.empty());
  CHECK_FALSE(given_up->end.has_value());
}

TEST_CASE("a plugin that fails fails the calls, and is tried again at growing distances") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Fail("no such key");
  REQUIRE(first->end.has_value());
  CHECK(first->end->message() == "no such key");
  // At once again: told the same, without a run.
  const auto second = f.Ask();
  CHECK(second->end->message() == "no such key");
  CHECK(f.runs.begun == 1);
  Duration before{};
  for (int i = 0; i < 8; ++i) {
    const TimePoint ended = f.clock.now();
    while (!f.runs.running()) f.RunFor(std::chrono::milliseconds(100));
    const Duration waited = f.clock.now() - ended;
    CHECK(waited >= seconds(1));
    CHECK(waited <= seconds(61));
    before = std::max(before, waited);
    f.Fail("no such key");
  }
  CHECK(before > seconds(10));
  while (!f.runs.running()) f.RunFor(seconds(1));
  f.Give("T1");
  const auto third = f.Ask();
  CHECK(f.TokenAsked(200) == "Bearer T1");
}

TEST_CASE("what expires is renewed a minute before, and used until the new one has come") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1", minutes(15));
  CHECK(f.TokenAsked(200) == "Bearer T1");
  f.RunFor(minutes(14) - seconds(1));
  CHECK(f.runs.begun == 1);
  f.RunFor(seconds(2));
  CHECK(f.runs.begun == 2);
  const auto meanwhile = f.Ask();
  CHECK(f.TokenAsked(200) == "Bearer T1");
  f.Give("T2", minutes(15));
  const auto after = f.Ask();
  CHECK(f.TokenAsked(200) == "Bearer T2");
}

TEST_CASE("what has expired is not sent, even where nothing newer can be had") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1", seconds(90));
  CHECK(f.TokenAsked(200) == "Bearer T1");
  f.RunFor(seconds(45));
  REQUIRE(f.runs.begun == 2);
  f.Fail("the provider is away");
  const auto still = f.Ask();
  CHECK(f.TokenAsked(200) == "Bearer T1");
  while (!f.runs.running()) f.RunFor(seconds(1));
  f.RunFor(seconds(60));
  const auto expired = f.Ask();
  CHECK(f.service.taken.empty());
  f.Give("T2", seconds(90));
  CHECK(f.TokenAsked(200) == "Bearer T2");
}

TEST_CASE("an answer that has expired already is a failure") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1", seconds(-1));
  REQUIRE(first->end.has_value());
  CHECK(first->end->message().find("expired already") != absl::string_view::npos);
}

TEST_CASE("without an expiry the plugin is asked again after ten minutes") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1");
  f.RunFor(minutes(10) - seconds(61));
  CHECK(f.runs.begun == 1);
  f.RunFor(seconds(2));
  CHECK(f.runs.begun == 2);
}

TEST_CASE("a 401 runs the plugin again and repeats the call once") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1", minutes(15));
  CHECK(f.TokenAsked(200) == "Bearer T1");
  f.RunFor(minutes(5));
  const auto refused = f.Ask();
  const auto also = f.Ask();
  CHECK(f.TokenAsked(401) == "Bearer T1");
  CHECK(f.runs.begun == 2);
  f.Give("T2", minutes(15));
  // The second was on its way with the old one: it takes the new one, without a run.
  CHECK(f.TokenAsked(401) == "Bearer T1");
  CHECK(f.TokenAsked(200) == "Bearer T2");
  CHECK(f.TokenAsked(200) == "Bearer T2");
  CHECK(f.runs.begun == 2);
  CHECK(refused->end->ok());
  CHECK(also->end->ok());
}

TEST_CASE("401 again and again does not run the plugin again and again") {
  PluginFixture f;
  const auto first = f.Ask();
  f.Give("T1");
  CHECK(f.TokenAsked(200) == "Bearer T1");
  for (int i = 0; i < 600; ++i) {
    const auto call = f.Ask();
    while (!call->end) {
      if (f.runs.done) f.Give("T");
      if (!f.service.taken.empty()) f.TokenAsked(401);
      f.Settle();
    }
    CHECK(absl::IsUnauthenticated(*call->end));
    f.RunFor(seconds(1));
  }
  // Ten minutes of a call each second.
  CHECK(f.runs.begun > 3);
  CHECK(f.runs.begun < 45);
}

TEST_CASE("a watch waits for the plugin too, and begins again after a 401") {
  PluginFixture f;
  int opened = 0;
  WatchHandlers handlers;
  handlers.on_open = [&] { ++opened; };
  const auto watch = f.client.Watch(Service::kType, "", {}, std::move(handlers));
  f.Settle();
  CHECK(f.service.taken.empty());
  f.Give("T1");
  f.RunFor(seconds(3));
  CHECK(f.TokenAsked(401) == "Bearer T1");
  REQUIRE(f.runs.begun == 2);
  f.Give("T2");
  control::ScriptedService::Taken again = f.Take();
  CHECK(control::FindHeader(again.request.headers, "Authorization") == "Bearer T2");
  again.responder->Begin(200, {});
  f.Settle();
  CHECK(opened == 1);
}

TEST_CASE("a new client certificate makes new connections, a new token alone does not") {
  PluginFixture f;
  ClusterAccess access;
  access.origin.tls.emplace();
  Credentials credentials(f.clock, access);
  Runs runs;
  credentials.UsePlugin(
      std::make_unique<ExecCredentials>(f.network.loop(), f.log, 1, runs.Start()));
  CHECK_FALSE(credentials.usable());
  const auto wait = std::make_shared<CredentialTold>([](const absl::Status&) {});
  CHECK(credentials.Renew(wait));
  runs.done(ExecCredential{"", "CERT", "KEY", {}});
  CHECK(credentials.usable());
  CHECK(credentials.origin().tls->certificate_pem == "CERT");
  CHECK_FALSE(credentials.authorization().has_value());
  const uint64_t generation = credentials.tls_generation();
  f.RunFor(seconds(5));
  CHECK(credentials.Renew(wait));
  runs.done(ExecCredential{"T", "CERT", "KEY", {}});
  CHECK(credentials.tls_generation() == generation);
  f.RunFor(seconds(5));
  CHECK(credentials.Renew(wait));
  runs.done(ExecCredential{"T", "CERT2", "KEY2", {}});
  CHECK(credentials.tls_generation() == generation + 1);
  runs.done = nullptr;
}

}  // namespace
}  // namespace rouse::k8s
