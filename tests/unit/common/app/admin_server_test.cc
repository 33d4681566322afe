#include "common/app/admin_server.h"

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_network.h"

namespace rouse::app {
namespace {

using control::Recorder;
using std::chrono::seconds;

struct Administered {
  SimClock clock;
  control::SimNetwork network{clock, 1};
  obs::Log log{clock, {}};
  AdminServer server{network, log, Ports()};

  static AdminOptions Ports() {
    AdminOptions options;
    options.health_address = ":8081";
    options.admin_address = "127.0.0.1:9901";
    return options;
  }

  Administered() { REQUIRE(server.Listen().ok()); }

  Recorder Get(uint16_t port, const std::string& target, const std::string& method = "GET") {
    control::Origin origin;
    origin.host = "127.0.0.1";
    origin.port = port;
    const auto client = network.NewClient(origin);
    Recorder call;
    control::HttpRequest request;
    request.method = method;
    request.target = target;
    const auto handle = client->Start(request, call.Handlers());
    network.RunUntilIdle();
    REQUIRE(call.end.ok());
    return call;
  }
  Recorder Health(const std::string& target) { return Get(8081, target); }
  Recorder Admin(const std::string& target) { return Get(9901, target); }
};

TEST_CASE("metrics and pages are written after they have been brought up to date") {
  Administered program;
  std::string fresh = "stale";
  std::vector<absl::AnyInvocable<void()>> waiting;
  program.server.SetMetrics([&] { return fresh; });
  program.server.AddPage("/p", "a page", [&] { return fresh; });
  program.server.SetRefresh([&](absl::AnyInvocable<void()> done) {
    waiting.push_back(std::move(done));
    program.network.loop().Post([&] {
      fresh = "fresh";
      for (auto& write : std::exchange(waiting, {})) write();
    });
  });
  CHECK(program.Health("/metrics").body == "fresh");
  fresh = "stale";
  CHECK(program.Admin("/p").body == "fresh\n");
  CHECK(program.Health("/livez").body == "live\n");

  // Where that is given up, the page fails instead of showing what was.
  program.server.SetRefresh([](const absl::AnyInvocable<void()>&) {});
  CHECK(program.Health("/metrics").status == 500);
}

TEST_CASE("a program is live until one of its parts has been silent for over ten seconds") {
  Administered program;
  program.server.AddHeartbeat("shard 0");
  program.server.BeatWithLoop("control");
  CHECK(program.Health("/livez").status == 200);
  program.network.RunFor(seconds(10));
  CHECK(program.Health("/livez").body == "live\n");
  program.network.RunFor(seconds(1));
  Recorder dead = program.Health("/livez");
  CHECK(dead.status == 503);
  CHECK(dead.body == "[+] control\n[-] shard 0: silent for 11000 ms\nnot live\n");
  program.server.Beat("shard 0");
  program.server.Beat("nobody");
  CHECK(program.Health("/livez").status == 200);
}

TEST_CASE("a program is ready when every check passes, and not while it drains") {
  Administered program;
  absl::Status synced = absl::UnavailableError("services not listed yet");
  program.server.AddReadiness("synced", [&] { return synced; });
  program.server.AddReadiness("listening", [] { return absl::OkStatus(); });
  Recorder early = program.Health("/readyz");
  CHECK(early.status == 503);
  CHECK(early.body == "[-] synced: services not listed yet\n[+] listening\nnot ready\n");
  synced = absl::OkStatus();
  CHECK(program.Health("/readyz").body == "ready\n");
  CHECK(program.Health("/readyz?verbose").body == "[+] synced\n[+] listening\nready\n");
  program.server.SetDraining();
  CHECK(program.Health("/readyz").status == 503);
  CHECK(program.Health("/livez").status == 200);
}

TEST_CASE("metrics are served as text, and what is not there as 404") {
  Administered program;
  CHECK(program.Health("/metrics").status == 404);
  program.server.SetMetrics([] { return std::string("a_total 1\n"); });
  Recorder metrics = program.Health("/metrics");
  CHECK(metrics.body == "a_total 1\n");
  CHECK(control::FindHeader(metrics.headers, "content-type") ==
        "text/plain; version=0.0.4; charset=utf-8");
  CHECK(program.Health("/config").status == 404);
}

TEST_CASE("admin pages are JSON, listed at the index and where a page is not known") {
  Administered program;
  int asked = 0;
  program.server.AddPage("/config", "the options in force",
                         [&] { return "{\"n\":" + std::to_string(++asked) + "}"; });
  program.server.AddPage("/workloads", "what scales", [] { return std::string("[]"); });
  Recorder config = program.Admin("/config?pretty");
  CHECK(config.body == "{\"n\":1}\n");
  CHECK(control::FindHeader(config.headers, "content-type") == "application/json");
  CHECK(program.Admin("/config").body == "{\"n\":2}\n");
  CHECK(program.Admin("/").body == "/config  the options in force\n/workloads  what scales\n");
  Recorder unknown = program.Admin("/worklods");
  CHECK(unknown.status == 404);
  CHECK(unknown.body.find("/workloads") != std::string::npos);
  CHECK(program.Admin("/livez").status == 404);
}

TEST_CASE("nothing can be written through either port") {
  Administered program;
  program.server.AddPage("/config", "", [] { return std::string("{}"); });
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    CHECK(program.Get(9901, "/config", method).status == 405);
    CHECK(program.Get(8081, "/livez", method).status == 405);
  }
  CHECK(program.Get(9901, "/config", "HEAD").status == 200);
}

TEST_CASE("the admin port answers only under its own names") {
  control::OnLoopback here;
  AdminOptions options;
  options.health_address = "127.0.0.1:0";
  options.admin_address = "127.0.0.1:0";
  options.admin_hosts = {"admin.internal"};
  AdminServer server(*here.network, here.log, options);
  REQUIRE(server.Listen().ok());
  const std::string port = ":" + std::to_string(server.admin_port());
  const std::pair<std::string, bool> cases[] = {{"127.0.0.1" + port, true},
                                                {"localhost" + port, true},
                                                {"LOCALHOST", true},
                                                {"[::1]" + port, true},
                                                {"admin.internal" + port, true},
                                                {"evil.example" + port, false},
                                                {"127.0.0.1.evil.example", false},
                                                {"127.evil.example" + port, false},
                                                {"", false}};
  for (const auto& [host, allowed] : cases) {
    INFO(host);
    control::RawSocket client = control::RawSocket::Connect(server.admin_port());
    client.Send("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
    REQUIRE(here.Until([&] { return client.Ended(); }));
    CHECK(client.Received().starts_with(allowed ? "HTTP/1.1 200" : "HTTP/1.1 403"));
  }
  control::RawSocket without = control::RawSocket::Connect(server.admin_port());
  without.Send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  REQUIRE(here.Until([&] { return without.Ended(); }));
  CHECK(without.Received().starts_with("HTTP/1.1 403"));
}

TEST_CASE("an address that cannot be used is named") {
  Administered program;
  AdminServer second(program.network, program.log, Administered::Ports());
  CHECK(second.Listen().message().find("8081") != absl::string_view::npos);
  AdminOptions wrong;
  wrong.health_address = "localhost";
  AdminServer third(program.network, program.log, wrong);
  CHECK(absl::IsInvalidArgument(third.Listen()));
}

TEST_CASE("an address is a host and a port") {
  CHECK(ParseHostPort("127.0.0.1:80")->host == "127.0.0.1");
  CHECK(ParseHostPort("127.0.0.1:80")->port == 80);
  CHECK(ParseHostPort("[::1]:8080")->host == "::1");
  CHECK(ParseHostPort(":8080")->host == "0.0.0.0");
  CHECK(ParseHostPort("name:0")->port == 0);
  for (const char* text : {"", "80", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80",
                           "[::1:80", "[]:80"}) {
    INFO(text);
    CHECK_FALSE(ParseHostPort(text).ok());
  }
}

TEST_CASE("text becomes a JSON string") { CHECK(JsonText("a\"b\n\x01") == "\"a\\\"b\\n\\u0001\""); }

}  // namespace
}  // namespace rouse::app
