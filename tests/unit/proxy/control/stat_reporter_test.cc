#include "proxy/control/stat_reporter.h"

#include <catch2/catch.hpp>

#include "common/wire/stat_codec.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/control/sim_network.h"
#include "tests/support/control/test_certificates.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kHello{"default", "hello"};

/// One autoscaler replica: keeps every report that reaches it.
class Autoscaler final : public control::HttpService {
 public:
  Autoscaler(control::Network& network, const std::string& host, uint16_t port,
             std::optional<control::ServerTls> tls = std::nullopt) {
    control::ListenOptions options;
    options.host = host;
    options.port = port;
    options.tls = std::move(tls);
    auto listening = network.Listen(options, *this);
    REQUIRE(listening.ok());
    listener_ = *std::move(listening);
  }
  void Serve(control::IncomingRequest, std::unique_ptr<control::HttpResponder> responder) override {
    responder->Respond(404, {}, "");
  }
  int AcceptMessages(const control::IncomingRequest& request) override {
    const auto token = control::FindHeader(request.headers, "authorization");
    tokens.push_back(std::string(token.value_or("")));
    return 0;
  }
  void OnMessages(control::IncomingRequest, std::unique_ptr<control::MessageChannel> channel,
                  absl::AnyInvocable<void(control::MessageHandlers)> set_handlers) override {
    channel_ = std::move(channel);
    control::MessageHandlers handlers;
    handlers.on_message = [this](std::string_view message, bool binary) {
      CHECK(binary);
      auto report = wire::Decode(message);
      REQUIRE(report.ok());
      reports.push_back(*std::move(report));
    };
    handlers.on_close = [](const absl::Status&) {};
    set_handlers(std::move(handlers));
  }

  [[nodiscard]] uint16_t port() const { return listener_->port(); }

  std::vector<wire::Report> reports;
  std::vector<std::string> tokens;

 private:
  std::unique_ptr<control::HttpListener> listener_;
  std::unique_ptr<control::MessageChannel> channel_;
};

struct Bench {
  SimClock clock;
  control::SimNetwork network{clock, 1};
  obs::Log log{clock, {obs::Level::kError, obs::Log::Format::kText, 64, [](std::string_view) {}}};
  std::vector<WorkloadDemand> demand;
  StatReporter reporter{network, log, "proxy-1", 7,
                        [this](StatReporter::Gathered done) { done(demand); }};

  void ReportTo(std::vector<uint16_t> ports) {
    std::vector<control::Origin> origins;
    for (const uint16_t port : ports) origins.push_back({"10.0.0.1", port, std::nullopt});
    reporter.SetAutoscalers(std::move(origins));
  }
};

TEST_CASE("a wake reaches every replica at once, not at the next report") {
  Bench bench;
  Autoscaler a(bench.network, "10.0.0.1", 1);
  Autoscaler b(bench.network, "10.0.0.1", 2);
  bench.reporter.Start();
  bench.ReportTo({1, 2});
  bench.network.RunFor(milliseconds(10));
  REQUIRE(bench.reporter.connected() == 2);
  const TimePoint before = bench.clock.now();
  a.reports.clear();
  b.reports.clear();
  bench.reporter.Wake(kHello);
  bench.network.RunFor(milliseconds(1));
  CHECK(bench.clock.now() - before <= milliseconds(1));
  for (const Autoscaler* replica : {&a, &b}) {
    REQUIRE(replica->reports.size() == 1);
    const wire::Report& report = replica->reports[0];
    CHECK_FALSE(report.complete);
    REQUIRE(report.stats.size() == 1);
    CHECK(report.stats[0].workload == kHello);
    CHECK(report.stats[0].stat.average_concurrent_requests == 1);
    CHECK(report.stats[0].stat.request_count == 1);
  }
}

TEST_CASE("a report goes out each second, also without demand") {
  Bench bench;
  Autoscaler a(bench.network, "10.0.0.1", 1);
  bench.reporter.Start();
  bench.ReportTo({1});
  bench.network.RunFor(milliseconds(10));
  a.reports.clear();
  bench.network.RunFor(seconds(5));
  CHECK(a.reports.size() == 5);
  for (const wire::Report& report : a.reports) {
    CHECK(report.complete);
    CHECK(report.proxy == "proxy-1");
    CHECK(report.stats.empty());
  }
}

TEST_CASE("what a wake has already told is not told again in the next report") {
  Bench bench;
  Autoscaler a(bench.network, "10.0.0.1", 1);
  bench.reporter.Start();
  bench.ReportTo({1});
  bench.network.RunFor(milliseconds(10));
  bench.reporter.Wake(kHello);
  bench.demand = {{kHello, 2.5, 4, 3}};
  bench.network.RunFor(seconds(1));
  REQUIRE(a.reports.back().stats.size() == 1);
  CHECK(a.reports.back().stats[0].stat.average_concurrent_requests == Approx(1.5));
  CHECK(a.reports.back().stats[0].stat.request_count == Approx(3));
  CHECK(a.reports.back().stats[0].stat.parked_requests == 3);
  bench.network.RunFor(seconds(1));
  CHECK(a.reports.back().stats[0].stat.average_concurrent_requests == Approx(2.5));
}

TEST_CASE(
    "the first report after a time without replicas is of a second too, and takes nothing off") {
  Bench bench;
  Autoscaler a(bench.network, "10.0.0.1", 1);
  bench.reporter.Start();
  for (int i = 0; i < 5; ++i) bench.reporter.Wake(kHello);
  bench.network.RunFor(milliseconds(9500));
  bench.demand = {{kHello, 2.5, 1000, 3}};  // of ten seconds
  bench.ReportTo({1});
  bench.network.RunFor(seconds(1));
  REQUIRE(a.reports.back().stats.size() == 1);
  CHECK(a.reports.back().stats[0].stat.request_count == Approx(100));
  CHECK(a.reports.back().stats[0].stat.average_concurrent_requests == Approx(2.5));
  bench.demand = {{kHello, 2.5, 90, 3}};
  bench.network.RunFor(seconds(1));
  CHECK(a.reports.back().stats[0].stat.request_count == Approx(90));
}

TEST_CASE(
    "a replica that comes late learns at once of what is waited for, until endpoints are known") {
  Bench bench;
  bench.reporter.Start();
  bench.ReportTo({1});
  bench.network.RunFor(milliseconds(10));
  CHECK(bench.reporter.connected() == 0);
  bench.reporter.Wake(kHello);
  bench.network.RunFor(seconds(1));
  {
    Autoscaler late(bench.network, "10.0.0.1", 1);
    bench.network.RunFor(seconds(3));
    CHECK(bench.reporter.connected() == 1);
    REQUIRE_FALSE(late.reports.empty());
    REQUIRE(late.reports[0].stats.size() == 1);
    CHECK(late.reports[0].stats[0].workload == kHello);
  }
  bench.reporter.EndpointsKnown(kHello);
  Autoscaler again(bench.network, "10.0.0.1", 1);
  bench.network.RunFor(seconds(5));
  REQUIRE_FALSE(again.reports.empty());
  CHECK(again.reports[0].stats.empty());
}

TEST_CASE(
    "a lost replica is dialled again with the token of then, and a removed one is left alone") {
  Bench bench;
  Autoscaler a(bench.network, "10.0.0.1", 1);
  std::string token = "secret";
  bench.reporter.SetToken([&] { return token; });
  std::vector<bool> told;
  bench.reporter.OnConnected([&](bool some) { told.push_back(some); });
  bench.reporter.Start();
  bench.ReportTo({1});
  bench.network.RunFor(milliseconds(10));
  token = "renewed";
  bench.network.Cut("*");
  bench.network.RunFor(seconds(3));
  CHECK(bench.reporter.connected() == 1);
  CHECK(told == std::vector<bool>{true, false, true});
  CHECK(a.tokens == std::vector<std::string>{"Bearer secret", "Bearer renewed"});
  bench.ReportTo({});
  bench.network.RunFor(seconds(3));
  CHECK(bench.reporter.connected() == 0);
  CHECK_FALSE(bench.reporter.configured());
}

control::ClientTls Trusting(const char* authority) {
  control::ClientTls tls;
  tls.ca_pem = authority;
  return tls;
}

/// A replica behind TLS, on a real socket.
struct Secured : control::OnLoopback {
  Autoscaler autoscaler{*network, "127.0.0.1", 0,
                        control::ServerTls{control::kServerCertificate, control::kServerKey, ""}};
  absl::StatusOr<control::ClientTls> tls = Trusting(control::kTestAuthority);
  StatReporter reporter{*network, log, "proxy-1", 7, [](StatReporter::Gathered done) { done({}); }};

  Secured() {
    reporter.SetTls([this] { return tls; });
    reporter.Start();
  }
  void Report() { reporter.SetAutoscalers({{"127.0.0.1", autoscaler.port(), std::nullopt}}); }
};

TEST_CASE("reports go by TLS to a replica whose certificate is right, and to no other") {
  Secured secured;
  secured.tls = Trusting(control::kOtherAuthority);
  secured.Report();
  REQUIRE(secured.Until([&] { return secured.Logged("autoscaler_unreachable") > 0; }));
  CHECK(secured.reporter.connected() == 0);
  secured.tls = absl::NotFoundError("the file is away for a moment");
  REQUIRE(secured.Until([&] { return secured.reporter.counters().connects >= 4; }));
  CHECK(secured.autoscaler.tokens.empty());
  secured.tls = Trusting(control::kTestAuthority);
  REQUIRE(secured.Until([&] { return !secured.autoscaler.reports.empty(); }));
  CHECK(secured.reporter.connected() == 1);
}

}  // namespace
}  // namespace rouse::proxy
