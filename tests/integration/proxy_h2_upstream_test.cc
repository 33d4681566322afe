// Pods that speak HTTP/2, behind clients of either version.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_h2_rig.h"

namespace rouse::proxy::testing {
namespace {

using namespace net::testing;  // NOLINT: frame names

using Request = H2Origin::Request;

std::string Echo(const Request& request) {
  return H2Ok(request.stream, request.message.Field(":method") + " " +
                                  request.message.Field(":path") + " " + request.message.body);
}

struct PodRig : H2Rig {
  explicit PodRig(std::string settings = {}, const DataPlaneOptions& options = Defaults())
      : H2Rig(options), pod(UsePod(std::move(settings))) {
    pod.SetAnswer(Echo);
  }
  ~PodRig() { pod.CloseAll(); }
  H2Origin& pod;
};

TEST_CASE("an HTTP/1.1 client reaches a pod that speaks HTTP/2") {
  PodRig rig;
  const std::string answer = rig.Ask(Get("/a?b", "X-One: 1\r\nConnection: keep-alive\r\n"));
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.ends_with("GET /a?b "));
  const H2Answer& seen = rig.pod.requests().at(0).message;
  CHECK(seen.Field(":scheme") == "http");
  CHECK(seen.Field(":authority") == "fn.example");
  CHECK(seen.Field("x-one") == "1");
  CHECK(seen.Field("connection").empty());
  CHECK(seen.Field("host").empty());
  CHECK(rig.Ask(Post("hello")).ends_with("POST /p hello"));
  CHECK(rig.pod.requests().at(1).message.Field("content-length") == "5");
  CHECK(rig.pod.connections() == 1);
}

TEST_CASE("an HTTP/2 client reaches a pod that speaks HTTP/2, trailers both ways") {
  PodRig rig;
  rig.pod.SetAnswer([](const Request& request) {
    return H2Frame(kHeaders, kEndHeaders, request.stream, Hpack({{":status", "200"}})) +
           H2Frame(kData, 0, request.stream, request.message.body) +
           H2Frame(kHeaders, kEndHeaders | kEndStream, request.stream,
                   Hpack({{"grpc-status", "0"}, {"x-sum", request.message.Trailer("x-up")}}));
  });
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post("/a.B/C", {{"te", "trailers"}, {"content-type", "application/grpc"}}),
               false);
  wire.Data(1, "message", false);
  wire.Headers(1, {{"x-up", "7"}}, true);
  H2Answer& answer = rig.Wait(wire, 1);
  CHECK(answer.body == "message");
  CHECK(answer.Trailer("grpc-status") == "0");
  CHECK(answer.Trailer("x-sum") == "7");
  CHECK(rig.pod.requests().at(0).message.Field("te") == "trailers");
  CHECK(answer.ended);
}

TEST_CASE("trailers alone stay trailers alone") {
  PodRig rig;
  rig.pod.SetAnswer([](const Request& request) {
    return H2Ok(request.stream, "", {{"content-type", "application/grpc"}, {"grpc-status", "5"}});
  });
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(wire, 1, H2Post(), "x");
  CHECK(answer.Field("grpc-status") == "5");
  CHECK(answer.trailers.empty());
  CHECK(answer.ended);
}

TEST_CASE("early hints of a pod go down, its 100 does not") {
  PodRig rig;
  rig.pod.SetAnswer([](const Request& request) {
    const auto early = [&](std::string status) {
      return H2Frame(kHeaders, kEndHeaders, request.stream,
                     Hpack({{":status", std::move(status)}, {"link", "</x>"}}));
    };
    return early("100") + early("103") + H2Ok(request.stream, "late");
  });
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(wire, 1, H2Get());
  CHECK(answer.early.size() == 1);
  CHECK(answer.body == "late");
}

TEST_CASE("concurrent requests share one connection, and park no second dial") {
  PodRig rig;
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 80; ++i) wire.Headers(2 * i + 1, H2Get("/" + std::to_string(i)), true);
  for (uint32_t i = 0; i < 80; ++i)
    CHECK(rig.Wait(wire, 2 * i + 1).body == "GET /" + std::to_string(i) + " ");
  CHECK(rig.pod.connections() == 1);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  CHECK(rig.plane().pool().idle() == 1);
}

TEST_CASE("a pod's limit of streams opens another connection") {
  PodRig rig(H2Setting(3, 10));
  rig.pod.SetAnswer({});
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 25; ++i) wire.Headers(2 * i + 1, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return rig.pod.requests().size() == 25; }));
  CHECK(rig.pod.connections() == 3);
  for (const Request& request : rig.pod.requests()) rig.pod.Send(request.connection, Echo(request));
  for (uint32_t i = 0; i < 25; ++i) CHECK(rig.Wait(wire, 2 * i + 1).status == 200);
}

TEST_CASE("a refused stream is asked again, whatever its method (G03)") {
  PodRig rig;
  size_t asked = 0;
  rig.pod.SetAnswer([&](const Request& request) {
    if (asked++ == 0) return H2Frame(kRstStream, 0, request.stream, Number32(7));
    return Echo(request);
  });
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Post("/once"), "body").body == "POST /once body");
  CHECK(asked == 2);
}

TEST_CASE("streams above a GOAWAY's last id are asked again elsewhere, the others finish (G03)") {
  PodRig rig;
  rig.pod.SetAnswer([&](const Request& request) {
    if (request.connection > 0) return Echo(request);
    if (request.message.Field(":path") == "/second")
      return H2Frame(kGoAway, 0, 0, Number32(request.stream - 2) + Number32(0));
    return std::string();
  });
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post("/first"), true);
  REQUIRE(rig.RunUntil([&] { return rig.pod.requests().size() == 1; }));
  wire.Headers(3, H2Post("/second"), true);
  CHECK(rig.Wait(wire, 3).body == "POST /second ");
  CHECK_FALSE(wire.stream(1).over());
  rig.pod.Send(0, Echo(rig.pod.requests().at(0)));
  CHECK(rig.Wait(wire, 1).body == "POST /first ");
  CHECK(rig.Ask(wire, 5, H2Get("/third")).status == 200);
  CHECK(rig.pod.connections() == 2);
}

TEST_CASE("another reset is not asked again") {
  PodRig rig;
  size_t asked = 0;
  rig.pod.SetAnswer([&](const Request& request) {
    ++asked;
    return H2Frame(kRstStream, 0, request.stream, Number32(2));
  });
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Post()).status == 502);
  CHECK(asked == 1);
}

TEST_CASE("a client that leaves resets its stream at the pod, and the connection stays") {
  PodRig rig;
  rig.pod.SetAnswer({});
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Get("/slow"), true);
  REQUIRE(rig.RunUntil([&] { return rig.pod.requests().size() == 1; }));
  wire.Reset(1, 8);
  REQUIRE(rig.RunUntil([&] { return rig.pod.on(0, 1).reset.has_value(); }));
  CHECK(rig.pod.on(0, 1).reset == 8U);
  rig.pod.SetAnswer(Echo);
  CHECK(rig.Ask(wire, 3, H2Get()).status == 200);
  CHECK(rig.pod.connections() == 1);
}

TEST_CASE("a pod that resets inside its answer resets the client's stream") {
  PodRig rig;
  rig.pod.SetAnswer([](const Request& request) {
    return H2Frame(kHeaders, kEndHeaders, request.stream, Hpack({{":status", "200"}})) +
           H2Frame(kData, 0, request.stream, "half") +
           H2Frame(kRstStream, 0, request.stream, Number32(2));
  });
  H2Wire& wire = rig.Dial();
  H2Answer& answer = rig.Ask(wire, 1, H2Get());
  CHECK(answer.reset == 2U);
  CHECK_FALSE(answer.ended);
  const std::string cut = rig.Ask(Get());
  CHECK_FALSE(Has(cut, "\r\n0\r\n\r\n"));
}

TEST_CASE("bodies of many windows pass both ways between HTTP/2 peers") {
  PodRig rig;
  rig.pod.SetAnswer([](const Request& request) {
    std::string out = H2Frame(kHeaders, kEndHeaders, request.stream, Hpack({{":status", "200"}}));
    return out +
           H2Frame(kData, kEndStream, request.stream, std::to_string(request.message.body.size()));
  });
  // The pod credits the connection only: a stream's first window is 65 535 bytes.
  H2Wire& wire = rig.Dial();
  CHECK(rig.Ask(wire, 1, H2Post(), std::string(16'000, 'x')).body == "16000");
}

TEST_CASE("a pod that speaks no HTTP/2 is a 502") {
  H2Rig rig;
  rig.view().workloads.front().protocol = UpstreamProtocol::kHttp2;
  rig.Publish();
  rig.upstream().SetAnswer(SayLine);
  const std::string answer = rig.Ask(Get());
  CHECK((answer.starts_with("HTTP/1.1 502") || answer.starts_with("HTTP/1.1 504")));
}

TEST_CASE("a pod that does not settle in time is not dialled by everyone who waited for it") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.exchange.dial.connect_timeout = std::chrono::milliseconds(50);
  H2Rig rig(options);
  rig.view().workloads.front().protocol = UpstreamProtocol::kHttp2;
  rig.Publish();
  rig.upstream().Hold();
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 80; ++i) wire.Headers(2 * i + 1, H2Get(), true);
  for (uint32_t i = 0; i < 80; ++i) CHECK(rig.Wait(wire, 2 * i + 1).status == 504);
  CHECK(rig.upstream().connections() <= 10);  // a few attempts each, all of them together
}

TEST_CASE("a request whose deadline passes while it waits for another one's dial is told so") {
  H2Rig rig;
  rig.view().workloads.front().protocol = UpstreamProtocol::kHttp2;
  rig.Publish();
  rig.upstream().Hold();  // it takes the connection, and settles nothing
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return rig.upstream().connections() == 1; }));
  wire.Headers(3, H2Get("/", {{"x-request-timeout", "30ms"}}), true);
  const H2Answer& late = rig.Wait(wire, 3);
  CHECK(late.status == 504);
  CHECK(late.Field("x-rouse-error") == "deadline_exceeded");
  CHECK(rig.upstream().connections() == 1);
}

TEST_CASE("a burst dials as many connections as it needs at once") {
  H2Rig rig;
  H2Origin& pod = rig.UsePod({});
  pod.SetAnswer(Echo);
  std::vector<H2Wire*> wires;
  for (int i = 0; i < 5; ++i) wires.push_back(&rig.Dial());
  for (H2Wire* const wire : wires)
    for (uint32_t i = 0; i < 100; ++i) wire->Headers(2 * i + 1, H2Get(), true);
  for (H2Wire* const wire : wires)
    for (uint32_t i = 0; i < 100; ++i) CHECK(rig.Wait(*wire, 2 * i + 1).status == 200);
  CHECK(pod.connections() <= 5);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
  pod.CloseAll();
}

TEST_CASE("a connection that dies fails its streams, and those that are safe are asked again") {
  PodRig rig;
  rig.pod.SetAnswer({});
  H2Wire& wire = rig.Dial();
  wire.Headers(1, H2Post("/unsafe"), true);
  REQUIRE(rig.RunUntil([&] { return rig.pod.requests().size() == 1; }));
  rig.pod.Close(0);
  CHECK(rig.Wait(wire, 1).status == 502);
  rig.pod.SetAnswer(Echo);
  CHECK(rig.Ask(wire, 3, H2Get()).status == 200);
  REQUIRE(rig.RunUntil([&] { return rig.Quiet(); }));
}

}  // namespace
}  // namespace rouse::proxy::testing
