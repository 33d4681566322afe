#include "proxy/upstream/dial.h"

#include <optional>

#include <catch2/catch.hpp>

#include "common/net/listener.h"
#include "tests/support/net/h2_origin.h"
#include "tests/support/net/loopback.h"

namespace rouse::proxy {
namespace {

using namespace std::chrono_literals;
using Outcome = std::optional<Result<std::unique_ptr<http::ClientConnection>>>;

const DialOptions kDefaults;

/// `options` outlive the connection, as those of the program do.
net::Task<void> DialInto(net::Shard& shard, Endpoint endpoint, const DialOptions& options,
                         TimePoint deadline, Outcome& outcome) {
  Result<std::unique_ptr<http::ClientConnection>> dialled =
      co_await Dial(shard, endpoint, endpoint.protocol, options, deadline);
  outcome.emplace(std::move(dialled));
}

Endpoint At(std::vector<std::string> addresses, uint16_t port) {
  Endpoint endpoint;
  endpoint.key = {"uid", port};
  endpoint.addresses = std::move(addresses);
  return endpoint;
}

TEST_CASE("a pod that listens is connected to") {
  net::testing::Loopback loop;
  Outcome outcome;
  REQUIRE(loop.RunToEnd(DialInto(loop.shard(), At({"127.0.0.1"}, loop.address().port()), kDefaults,
                                 kNever, outcome)));
  REQUIRE(outcome->has_value());
  CHECK((*outcome)->get()->streams_free() == 1);
}

TEST_CASE("a refusal is told at once, and may be repeated") {
  net::testing::Loopback loop;
  const uint16_t port = loop.address().port();
  loop.acceptor().StopAccepting();
  Outcome outcome;
  REQUIRE(
      loop.RunToEnd(DialInto(loop.shard(), At({"127.0.0.1"}, port), kDefaults, kNever, outcome)));
  CHECK(outcome->error().kind == ErrorKind::kConnectRefused);
  CHECK(outcome->error().retry_safe);
}

TEST_CASE("where the first address refuses, the second is tried") {
  net::testing::Loopback loop;
  Outcome outcome;
  const Endpoint endpoint = At({"127.9.9.9", "127.0.0.1"}, loop.address().port());
  REQUIRE(loop.RunToEnd(DialInto(loop.shard(), endpoint, kDefaults, kNever, outcome)));
  CHECK(outcome->has_value());
}

TEST_CASE("an address that swallows everything is given up by the deadline, after several tries") {
  // A listener whose queue is full drops further SYNs, as an address that is not routed yet does.
  net::testing::Loopback loop;
  std::vector<Outcome> fill(4);
  const auto socket = net::Listen(net::SocketAddress::Loopback(0), {.backlog = 0});
  REQUIRE(socket.ok());
  const Endpoint full = At({"127.0.0.1"}, net::SocketAddress::OfSocket(socket->get()).port());
  DialOptions options;
  options.connect_timeout = 150ms;
  options.first_try = 10ms;
  for (Outcome& each : fill)
    REQUIRE(loop.RunToEnd(DialInto(loop.shard(), full, options, kNever, each)));
  CHECK(fill.front()->has_value());
  REQUIRE(fill.back()->has_error());
  CHECK(fill.back()->error().kind == ErrorKind::kConnectTimeout);
}

TEST_CASE("an endpoint without a numeric address is an error, not a crash") {
  net::testing::Loopback loop;
  Outcome outcome;
  REQUIRE(
      loop.RunToEnd(DialInto(loop.shard(), At({"pod.example"}, 80), kDefaults, kNever, outcome)));
  CHECK(outcome->error().kind == ErrorKind::kConnectRefused);
}

TEST_CASE("a pod that is to speak HTTP/2 is waited for until it has") {
  net::testing::Loopback loop;
  DialOptions options;
  options.connect_timeout = 200ms;
  Outcome outcome;
  SECTION("it does") {
    net::testing::H2Origin pod(loop.shard(), net::testing::H2Setting(3, 7));
    Endpoint endpoint = At({"127.0.0.1"}, pod.address().port());
    endpoint.protocol = UpstreamProtocol::kHttp2;
    net::Detach(DialInto(loop.shard(), endpoint, options, kNever, outcome));
    REQUIRE(loop.RunUntil([&] {
      pod.Step();
      return outcome.has_value();
    }));
    REQUIRE(outcome->has_value());
    CHECK((*outcome)->get()->multiplexes());
    CHECK((*outcome)->get()->streams_free() == 7);
    outcome.reset();
  }
  SECTION("it speaks HTTP/1") {
    Endpoint endpoint = At({"127.0.0.1"}, loop.address().port());
    endpoint.protocol = UpstreamProtocol::kHttp2;
    net::Detach(DialInto(loop.shard(), endpoint, options, kNever, outcome));
    REQUIRE(loop.RunUntil([&] { return !loop.accepted().empty(); }));
    const std::string_view answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    CHECK(loop.accepted().front()->Write({&answer, 1}).status == net::IoStatus::kDone);
    REQUIRE(loop.RunUntil([&] { return outcome.has_value(); }));
    REQUIRE(outcome->has_error());
    CHECK(outcome->error().kind == ErrorKind::kUpstreamProtocol);
  }
  SECTION("it says nothing") {
    Endpoint endpoint = At({"127.0.0.1"}, loop.address().port());
    endpoint.protocol = UpstreamProtocol::kHttp2;
    REQUIRE(loop.RunToEnd(DialInto(loop.shard(), endpoint, options, kNever, outcome)));
    REQUIRE(outcome->has_error());
    CHECK(outcome->error().kind == ErrorKind::kConnectTimeout);
    CHECK(outcome->error().retry_safe);
  }
}

}  // namespace
}  // namespace rouse::proxy
