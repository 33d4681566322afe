#include "common/control/web_socket.h"

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;

/// Accepts every WebSocket at "/messages" and keeps it.
struct MessageService final : ScriptedService {
  struct Side {
    IncomingRequest request;
    std::unique_ptr<MessageChannel> channel;
    std::unique_ptr<ChannelRecorder> seen;
  };
  std::vector<Side> sides;
  bool echo = false;

  int AcceptMessages(const IncomingRequest& request) override {
    return request.target == "/messages" ? 0 : 403;
  }
  void OnMessages(IncomingRequest request, std::unique_ptr<MessageChannel> channel,
                  absl::AnyInvocable<void(MessageHandlers)> set_handlers) override {
    Side side{std::move(request), std::move(channel), std::make_unique<ChannelRecorder>()};
    MessageHandlers handlers = side.seen->Handlers();
    if (echo) {
      handlers.on_message = [channel = side.channel.get()](std::string_view message, bool binary) {
        CHECK(channel->Send(std::string(message), binary).ok());
      };
    }
    set_handlers(std::move(handlers));
    sides.push_back(std::move(side));
  }
};

struct Joined : OnLoopback {
  MessageService service;
  std::unique_ptr<HttpListener> listener;
  ChannelRecorder client;
  std::unique_ptr<MessageChannel> channel;

  explicit Joined(ListenOptions options = {}) : listener(Listen(service, std::move(options))) {}

  void Dial(const std::string& target = "/messages", MessageLimits limits = {}) {
    channel = network->Dial(At(listener->port()), target, {{"Authorization", "Bearer x"}}, limits,
                            client.Handlers());
  }
  void Open(MessageLimits limits = {}) {
    Dial("/messages", limits);
    REQUIRE(Until([&] { return client.opens == 1 && service.sides.size() == 1; }));
  }
};

TEST_CASE("messages go both ways, text and binary, of any size within the limit, in order") {
  Joined joined;
  joined.service.echo = true;
  joined.Open();
  CHECK(joined.service.sides[0].request.target == "/messages");
  CHECK(FindHeader(joined.service.sides[0].request.headers, "authorization") == "Bearer x");
  const std::vector<std::string> sent = {"hello",
                                         "",
                                         std::string(125, 'a'),
                                         std::string(126, 'b'),
                                         std::string(65535, 'c'),
                                         std::string(65536, 'd'),
                                         std::string(1 << 20, 'e'),
                                         std::string("\x00\xff", 2)};
  for (size_t i = 0; i < sent.size(); ++i) {
    CHECK(joined.channel->Send(sent[i], i % 2 == 1).ok());
  }
  REQUIRE(joined.Until([&] { return joined.client.messages.size() == sent.size(); }));
  CHECK(joined.client.messages == sent);
  for (size_t i = 0; i < sent.size(); ++i) CHECK(joined.client.binary[i] == (i % 2 == 1));
  CHECK(joined.channel->queued_bytes() == 0);
}

TEST_CASE("nothing can be sent before the channel is open, or after it has closed") {
  Joined joined;
  joined.Dial();
  CHECK(absl::IsUnavailable(joined.channel->Send("early", false)));
  CHECK(joined.client.opens == 0);
  REQUIRE(
      joined.Until([&] { return joined.client.opens == 1 && joined.service.sides.size() == 1; }));
  joined.channel->Close(1000, "done");
  CHECK(absl::IsUnavailable(joined.channel->Send("late", false)));
  REQUIRE(joined.Until(
      [&] { return joined.client.closes == 1 && joined.service.sides[0].seen->closes == 1; }));
  CHECK(joined.client.close.ok());
  CHECK(joined.service.sides[0].seen->close.ok());
}

TEST_CASE("what was queued before Close still arrives") {
  Joined joined;
  joined.Open();
  for (int i = 0; i < 20; ++i) CHECK(joined.channel->Send(std::string(50'000, 'x'), true).ok());
  joined.channel->Close(1001, "going");
  REQUIRE(joined.Until([&] { return joined.client.closes == 1; }));
  CHECK(joined.service.sides[0].seen->messages.size() == 20);
}

TEST_CASE("the other side learns of an unusual close code with its reason") {
  Joined joined;
  joined.Open();
  joined.service.sides[0].channel->Close(1011, "no room");
  REQUIRE(joined.Until([&] { return joined.client.closes == 1; }));
  CHECK(absl::IsUnavailable(joined.client.close));
  CHECK(joined.client.close.message().find("1011") != absl::string_view::npos);
  CHECK(joined.client.close.message().find("no room") != absl::string_view::npos);
}

TEST_CASE("an upgrade that is refused closes the channel with the status") {
  Joined joined;
  joined.Dial("/elsewhere");
  REQUIRE(joined.Until([&] { return joined.client.closes == 1; }));
  CHECK(joined.client.opens == 0);
  CHECK(absl::IsUnavailable(joined.client.close));
  CHECK(joined.client.close.message().find("403") != absl::string_view::npos);
}

TEST_CASE("a channel to nowhere closes") {
  Joined joined;
  joined.channel = joined.network->Dial(OnLoopback::At(1), "/", {}, {}, joined.client.Handlers());
  REQUIRE(joined.Until([&] { return joined.client.closes == 1; }));
  CHECK(absl::IsUnavailable(joined.client.close));
}

TEST_CASE("a destroyed channel ends the connection, and none of its handlers runs") {
  Joined joined;
  joined.Open();
  CHECK(joined.service.sides[0].channel->Send("on its way", false).ok());
  joined.channel.reset();
  REQUIRE(joined.Until([&] { return joined.service.sides[0].seen->closes == 1; }));
  CHECK(absl::IsUnavailable(joined.service.sides[0].seen->close));
  CHECK(joined.client.messages.empty());
  CHECK(joined.client.closes == 0);
}

TEST_CASE("a channel may be destroyed by its own handlers") {
  for (const int when : {0, 1, 2}) {
    Joined joined;
    int told = 0;
    const auto held = std::make_shared<int>(7);
    const auto drop = [&joined, &told, held] {
      joined.channel.reset();
      CHECK(*held == 7);
      ++told;
    };
    MessageHandlers handlers;
    if (when == 0) handlers.on_open = drop;
    if (when == 1) handlers.on_message = [drop](std::string_view, bool) { drop(); };
    if (when == 2) handlers.on_close = [drop](const absl::Status&) { drop(); };
    joined.channel = joined.network->Dial(OnLoopback::At(joined.listener->port()), "/messages", {},
                                          {}, std::move(handlers));
    REQUIRE(joined.Until([&] { return joined.service.sides.size() == 1; }));
    static_cast<void>(joined.service.sides[0].channel->Send("m", false));
    joined.service.sides[0].channel->Close(1000, "");
    REQUIRE(joined.Until([&] { return told == 1; }));
    joined.For(milliseconds(10));
    CHECK(told == 1);
  }
}

TEST_CASE("a full queue refuses, so that a reader that has stopped costs bounded memory") {
  Joined joined;
  uint16_t port = 0;
  RawSocket listening = RawSocket::Listen(&port);
  MessageLimits limits;
  limits.queue_bytes_max = 1 << 20;
  joined.Open(limits);
  int accepted = 0;
  while (accepted < 100 && joined.channel->Send(std::string(100'000, 'x'), true).ok()) ++accepted;
  CHECK(accepted == 10);  // the loop has not turned: all of it waits
  CHECK(absl::IsResourceExhausted(joined.channel->Send(std::string(100'000, 'x'), true)));
  CHECK(joined.channel->queued_bytes() == 1'000'000);
  REQUIRE(joined.Until([&] { return joined.channel->queued_bytes() == 0; }));
  CHECK(joined.channel->Send(std::string(100'000, 'x'), true).ok());
}

TEST_CASE("a message over the limit ends the channel on both sides") {
  ListenOptions options;
  options.messages.message_bytes_max = 1000;
  Joined joined(options);
  joined.Open();
  CHECK(joined.channel->Send(std::string(1001, 'x'), true).ok());
  REQUIRE(joined.Until([&] { return joined.client.closes == 1; }));
  CHECK(joined.client.close.message().find("1009") != absl::string_view::npos);
  REQUIRE(joined.Until([&] { return joined.service.sides[0].seen->closes == 1; }));
  CHECK(absl::IsResourceExhausted(joined.service.sides[0].seen->close));
  CHECK(joined.service.sides[0].seen->messages.empty());
}

TEST_CASE("pings keep a silent channel open, and find a peer that has stopped") {
  MessageLimits limits;
  limits.ping_interval = milliseconds(30);
  ListenOptions options;
  options.messages = limits;
  Joined joined(options);
  joined.Open(limits);
  joined.For(milliseconds(200));
  CHECK(joined.client.closes == 0);
  CHECK(joined.service.sides[0].seen->closes == 0);

  uint16_t port = 0;
  RawSocket listening = RawSocket::Listen(&port);
  ChannelRecorder other;
  limits.connect_timeout = milliseconds(50);
  const auto silent = joined.network->Dial(OnLoopback::At(port), "/", {}, limits, other.Handlers());
  REQUIRE(joined.Until([&] { return other.closes == 1; }));  // connected, but no handshake
  CHECK(absl::IsDeadlineExceeded(other.close));
}

TEST_CASE(
    "a peer that opens a channel and then falls silent is given up after two ping intervals") {
  MessageLimits limits;
  limits.ping_interval = milliseconds(40);
  ListenOptions options;
  options.messages = limits;
  Joined joined(options);
  RawSocket raw = RawSocket::Connect(joined.listener->port());
  raw.Send(
      "GET /messages HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, "
      "Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  REQUIRE(joined.Until([&] { return joined.service.sides.size() == 1; }));
  CHECK(raw.Received().find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") !=
        std::string::npos);
  REQUIRE(joined.Until([&] { return joined.service.sides[0].seen->closes == 1; }));
  CHECK(absl::IsDeadlineExceeded(joined.service.sides[0].seen->close));
  CHECK(raw.Received().find(std::string("\x89\x00", 2)) != std::string::npos);  // it had been asked
}

TEST_CASE("frames that a peer sent right behind its upgrade are not lost") {
  Joined joined;
  RawSocket raw = RawSocket::Connect(joined.listener->port());
  raw.Send(std::string(
               "GET /messages HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n") +
           std::string("\x81\x82\x00\x00\x00\x00hi", 8));
  REQUIRE(joined.Until([&] {
    return joined.service.sides.size() == 1 && joined.service.sides[0].seen->messages.size() == 1;
  }));
  CHECK(joined.service.sides[0].seen->messages[0] == "hi");
}

TEST_CASE("a frame that breaks the rules ends the channel") {
  Joined joined;
  RawSocket raw = RawSocket::Connect(joined.listener->port());
  raw.Send(std::string(
               "GET /messages HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n") +
           std::string("\x81\x02hi", 4));  // a client's frame must be masked (RFC 6455 section 5.1)
  REQUIRE(joined.Until([&] {
    return joined.service.sides.size() == 1 && joined.service.sides[0].seen->closes == 1;
  }));
  CHECK(absl::IsUnavailable(joined.service.sides[0].seen->close));
  REQUIRE(joined.Until([&] { return raw.Ended(); }));
}

TEST_CASE("a WebSocket counts among its listener's connections until it ends") {
  ListenOptions options;
  options.connections_max = 1;
  Joined joined(options);
  joined.Open();
  RawSocket raw = RawSocket::Connect(joined.listener->port());
  REQUIRE(joined.Until([&] { return raw.Ended(); }));
  joined.channel.reset();
  REQUIRE(joined.Until([&] { return joined.service.sides[0].seen->closes == 1; }));
  RawSocket next = RawSocket::Connect(joined.listener->port());
  joined.For(milliseconds(10));
  CHECK_FALSE(next.Ended());
}

}  // namespace
}  // namespace rouse::control
