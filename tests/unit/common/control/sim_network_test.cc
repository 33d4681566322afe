// The simulated network keeps the same promises as the real one, and adds faults on demand.
#include "tests/support/control/sim_network.h"

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Simulated {
  SimClock clock;
  SimNetwork network{clock, 7};
  ScriptedService service;
  std::unique_ptr<HttpListener> listener;
  std::unique_ptr<HttpClient> client;

  Simulated() {
    ListenOptions options;
    options.host = "api";
    options.port = 443;
    listener = *network.Listen(options, service);
    client = network.NewClient(Api());
  }
  static Origin Api() {
    Origin origin;
    origin.host = "api";
    origin.port = 443;
    return origin;
  }
};

TEST_CASE("a simulated call reaches the service and its answer the caller, without time passing") {
  Simulated sim;
  const TimePoint start = sim.clock.now();
  Recorder call;
  HttpRequest request;
  request.method = "PUT";
  request.target = "/x";
  request.headers = {{"A", "b"}};
  request.body = "body";
  const auto handle = sim.client->Start(request, call.Handlers());
  CHECK(sim.service.taken.empty());
  sim.network.RunUntilIdle();
  REQUIRE(sim.service.taken.size() == 1);
  CHECK(sim.service.taken[0].request.method == "PUT");
  CHECK(sim.service.taken[0].request.target == "/x");
  CHECK(sim.service.taken[0].request.body == "body");
  CHECK(FindHeader(sim.service.taken[0].request.headers, "a") == "b");
  sim.service.taken[0].responder->Respond(201, {{"C", "d"}}, "made");
  CHECK(call.status == 0);
  sim.network.RunUntilIdle();
  CHECK(call.status == 201);
  CHECK(FindHeader(call.headers, "c") == "d");
  CHECK(call.body == "made");
  CHECK(call.end.ok());
  CHECK(call.ends == 1);
  CHECK(sim.clock.now() == start);
}

TEST_CASE("a simulated watch streams until one side leaves, and the other learns of it") {
  Simulated sim;
  Recorder call;
  HttpRequest request;
  request.limits.idle_timeout = Duration::max();
  auto handle = sim.client->Start(request, call.Handlers());
  sim.network.RunUntilIdle();
  HttpResponder& responder = *sim.service.taken.at(0).responder;
  int gone = 0;
  responder.OnGone([&] { ++gone; });
  responder.Begin(200, {});
  CHECK(responder.Write("one").ok());
  sim.network.RunFor(std::chrono::hours(5));
  CHECK(responder.Write("two").ok());
  sim.network.RunUntilIdle();
  CHECK(call.pieces == std::vector<std::string>{"one", "two"});
  CHECK_FALSE(call.ended());
  handle.reset();
  sim.network.RunUntilIdle();
  CHECK(gone == 1);
  CHECK(absl::IsUnavailable(responder.Write("three")));
  CHECK(call.ends == 0);
}

TEST_CASE("simulated faults end a call as the real ones do") {
  Simulated sim;
  Recorder call;
  HttpRequest request;
  std::unique_ptr<HttpCall> handle;
  const auto start = [&] {
    handle = sim.client->Start(request, call.Handlers());
    sim.network.RunUntilIdle();
  };
  SECTION("nobody listens there") {
    sim.listener.reset();
    start();
    CHECK(absl::IsUnavailable(call.end));
  }
  SECTION("refused") {
    sim.network.SetLink("api:443", {.refuse = true});
    start();
    CHECK(absl::IsUnavailable(call.end));
    CHECK(sim.service.taken.empty());
  }
  SECTION("a black hole before the connection") {
    sim.network.SetLink("*", {.black_hole = true});
    start();
    CHECK_FALSE(call.ended());
    sim.network.RunFor(seconds(5));
    CHECK(absl::IsDeadlineExceeded(call.end));
  }
  SECTION("no answer") {
    start();
    sim.network.RunFor(seconds(14));
    CHECK_FALSE(call.ended());
    sim.network.RunFor(seconds(1));
    CHECK(absl::IsDeadlineExceeded(call.end));
  }
  SECTION("an answer that stops") {
    start();
    sim.service.taken.at(0).responder->Begin(200, {});
    sim.network.RunFor(seconds(31));
    CHECK(call.status == 200);
    CHECK(absl::IsDeadlineExceeded(call.end));
  }
  SECTION("cut") {
    start();
    int gone = 0;
    sim.service.taken.at(0).responder->OnGone([&] { ++gone; });
    CHECK(sim.network.open_connections() == 1);
    sim.network.Cut("other:1");
    sim.network.RunUntilIdle();
    CHECK_FALSE(call.ended());
    sim.network.Cut("api:443");
    sim.network.RunUntilIdle();
    CHECK(absl::IsUnavailable(call.end));
    CHECK(gone == 1);
    CHECK(sim.network.open_connections() == 0);
  }
  SECTION("a black hole under an open watch is found as TCP would find it") {
    request.limits.idle_timeout = Duration::max();
    start();
    sim.service.taken.at(0).responder->Begin(200, {});
    sim.network.RunUntilIdle();
    sim.network.SetLink("api:443", {.black_hole = true});
    CHECK(sim.service.taken.at(0).responder->Write("lost").ok());
    sim.network.SetLink("api:443", {});
    CHECK(sim.service.taken.at(0).responder->Write("lost too").ok());
    sim.network.RunFor(seconds(29));
    CHECK_FALSE(call.ended());
    sim.network.RunFor(seconds(1));
    CHECK(absl::IsUnavailable(call.end));
    CHECK(call.body.empty());
  }
  SECTION("the service drops the answer") {
    start();
    sim.service.taken.clear();
    sim.network.RunUntilIdle();
    CHECK(call.status == 500);
    CHECK(call.end.ok());
  }
  SECTION("the service cuts the answer") {
    start();
    sim.service.taken.at(0).responder->Begin(200, {});
    sim.service.taken.at(0).responder->Abort();
    sim.network.RunUntilIdle();
    CHECK(absl::IsUnavailable(call.end));
  }
  CHECK(call.ends == 1);
}

TEST_CASE("the same seed gives the same run, another seed another") {
  const auto run = [](uint64_t seed) {
    SimClock clock;
    SimNetwork network(clock, seed);
    ScriptedService service;
    service.on_request = [](ScriptedService::Taken taken) {
      taken.responder->Respond(200, {}, "");
    };
    ListenOptions options;
    options.host = "0.0.0.0";
    const auto listener = *network.Listen(options, service);
    network.SetLink("*", {.delay_min = milliseconds(1), .delay_max = milliseconds(50)});
    Origin origin;
    origin.host = "anything";
    origin.port = listener->port();
    const auto client = network.NewClient(origin);
    std::vector<int> order;
    std::vector<std::unique_ptr<HttpCall>> handles;
    for (int i = 0; i < 50; ++i) {
      HttpHandlers handlers;
      handlers.on_end = [&order, i](const absl::Status& status) {
        order.push_back(status.ok() ? i : -1);
      };
      handles.push_back(client->Start({}, std::move(handlers)));
    }
    network.RunFor(milliseconds(200));
    CHECK(order.size() == 50);
    return order;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

struct SimMessages final : ScriptedService {
  std::unique_ptr<MessageChannel> channel;
  ChannelRecorder seen;
  int refuse = 0;
  int AcceptMessages(const IncomingRequest&) override { return refuse; }
  void OnMessages(IncomingRequest, std::unique_ptr<MessageChannel> opened,
                  absl::AnyInvocable<void(MessageHandlers)> set_handlers) override {
    set_handlers(seen.Handlers());
    channel = std::move(opened);
  }
};

struct SimJoined {
  SimClock clock;
  SimNetwork network{clock, 3};
  SimMessages service;
  std::unique_ptr<HttpListener> listener;
  ChannelRecorder client;
  std::unique_ptr<MessageChannel> channel;

  explicit SimJoined(int refuse = 0) {
    service.refuse = refuse;
    ListenOptions options;
    options.port = 80;
    listener = *network.Listen(options, service);
    channel = network.Dial(OnLoopback::At(80), "/", {}, {}, client.Handlers());
    CHECK(client.opens == 0);
    CHECK(absl::IsUnavailable(channel->Send("early", false)));
    network.RunUntilIdle();
  }
};

TEST_CASE("simulated messages go both ways in order, and a clean close ends both sides") {
  SimJoined sim;
  REQUIRE(sim.client.opens == 1);
  sim.network.SetLink("*", {.delay_min = milliseconds(1), .delay_max = milliseconds(90)});
  for (int i = 0; i < 20; ++i) CHECK(sim.channel->Send(std::to_string(i), true).ok());
  CHECK(sim.service.channel->Send("hi", false).ok());
  CHECK(sim.channel->queued_bytes() == 30);
  sim.network.RunFor(milliseconds(100));
  REQUIRE(sim.service.seen.messages.size() == 20);
  for (int i = 0; i < 20; ++i) CHECK(sim.service.seen.messages[i] == std::to_string(i));
  CHECK(sim.client.messages == std::vector<std::string>{"hi"});
  CHECK(sim.channel->queued_bytes() == 0);
  sim.channel->Close(1000, "");
  sim.network.RunFor(seconds(1));
  CHECK(sim.client.close.ok());
  CHECK(sim.service.seen.close.ok());
  CHECK(sim.client.closes + sim.service.seen.closes == 2);
}

TEST_CASE("simulated channels end by refusal, cut, silence and destruction as real ones do") {
  SECTION("refused") {
    SimJoined sim(403);
    CHECK(sim.client.opens == 0);
    CHECK(sim.client.close.message().find("403") != absl::string_view::npos);
  }
  SECTION("cut") {
    SimJoined sim;
    sim.network.Cut("*");
    sim.network.RunUntilIdle();
    CHECK(absl::IsUnavailable(sim.client.close));
    CHECK(absl::IsUnavailable(sim.service.seen.close));
  }
  SECTION("silence") {
    SimJoined sim;
    sim.network.SetLink("*", {.black_hole = true});
    sim.network.RunFor(seconds(25));
    CHECK(absl::IsDeadlineExceeded(sim.client.close));
    CHECK(absl::IsDeadlineExceeded(sim.service.seen.close));
  }
  SECTION("destroyed") {
    SimJoined sim;
    CHECK(sim.service.channel->Send("on its way", false).ok());
    sim.channel.reset();
    sim.network.RunUntilIdle();
    CHECK(absl::IsUnavailable(sim.service.seen.close));
    CHECK(sim.client.messages.empty());
    CHECK(sim.client.closes == 0);
  }
  SECTION("a queue that is full") {
    SimJoined sim;
    int accepted = 0;
    while (accepted < 100 && sim.channel->Send(std::string(1 << 20, 'x'), true).ok()) ++accepted;
    CHECK(accepted == 4);
    CHECK(absl::IsResourceExhausted(sim.channel->Send("x", true)));
  }
}

}  // namespace
}  // namespace rouse::control
