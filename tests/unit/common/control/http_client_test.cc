#include "common/control/http_client.h"

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;

/// A peer that is only a socket: what the client does on the wire, and what it makes of odd
/// answers.
struct RawPeer : OnLoopback {
  uint16_t port = 0;
  RawSocket listener = RawSocket::Listen(&port);
  std::unique_ptr<HttpClient> client = network->NewClient(At(port));

  RawSocket Accepted() {
    RawSocket socket;
    REQUIRE(Until([&] {
      socket = listener.Accept();
      return socket.open();
    }));
    return socket;
  }
  void Expect(RawSocket& socket, const std::string& text) {
    REQUIRE(Until([&] { return socket.Received().find(text) != std::string::npos; }));
  }
};

TEST_CASE("a request goes out as one message with its host and length") {
  RawPeer peer;
  Recorder call;
  HttpRequest request;
  request.method = "PATCH";
  request.target = "/apis/scale?x=1";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = "{\"a\":1}";
  const auto handle = peer.client->Start(request, call.Handlers());
  RawSocket socket = peer.Accepted();
  peer.Expect(socket, "{\"a\":1}");
  CHECK(socket.Received() ==
        "PATCH /apis/scale?x=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port) +
            "\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
  socket.Send("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi");
  REQUIRE(peer.Until([&] { return call.ended(); }));
  CHECK(call.end.ok());
  CHECK(call.status == 200);
  CHECK(FindHeader(call.headers, "x-a") == "b");
  CHECK(call.body == "hi");
}

TEST_CASE("a streamed body is handed over as it comes, whatever its chunks") {
  RawPeer peer;
  Recorder call;
  HttpRequest request;
  request.limits.idle_timeout = Duration::max();
  const auto handle = peer.client->Start(request, call.Handlers());
  RawSocket socket = peer.Accepted();
  peer.Expect(socket, "\r\n\r\n");
  socket.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  REQUIRE(peer.Until([&] { return call.body == "first"; }));
  CHECK_FALSE(call.ended());
  socket.Send("6\r\nsec");  // half a chunk is handed over too
  REQUIRE(peer.Until([&] { return call.body == "firstsec"; }));
  socket.Send("ond\r\n");
  REQUIRE(peer.Until([&] { return call.body == "firstsecond"; }));
  socket.Send("0\r\n\r\n");
  REQUIRE(peer.Until([&] { return call.ended(); }));
  CHECK(call.end.ok());
}

TEST_CASE("answers with odd shapes are read as the standard says") {
  struct Case {
    const char* name;
    const char* method;
    const char* wire;
    bool closes;
    int status;
    const char* body;
    bool ok;
  };
  const Case cases[] = {
      {"interim answers are skipped", "GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 "
       "Created\r\n"
       "Content-Length: 1\r\n\r\nx",
       false, 201, "x", true},
      {"no body after HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", false, 200,
       "", true},
      {"no body with 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true},
      {"no body with 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false,
       304, "", true},
      {"a body up to the end of the connection", "GET", "HTTP/1.0 200 OK\r\n\r\nall of it", true,
       200, "all of it", true},
      {"cut in a body of known length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
       true, 200, "half", false},
      {"cut in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
       true, 200, "half", false},
      {"cut between chunks", "GET",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true, 200, "half",
       false},
      {"cut in the head", "GET", "HTTP/1.1 200 OK\r\nConte", true, 0, "", false},
      {"not HTTP", "GET", "SSH-2.0-x\r\n\r\n", false, 0, "", false}};
  for (const Case& c : cases) {
    INFO(c.name);
    RawPeer peer;
    Recorder call;
    HttpRequest request;
    request.method = c.method;
    const auto handle = peer.client->Start(request, call.Handlers());
    RawSocket socket = peer.Accepted();
    peer.Expect(socket, "\r\n\r\n");
    socket.Send(c.wire);
    if (c.closes) socket.Close();
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK(call.end.ok() == c.ok);
    if (!c.ok) CHECK(absl::IsUnavailable(call.end));
    CHECK(call.status == c.status);
    CHECK(call.body == c.body);
    CHECK(call.ends == 1);
  }
}

TEST_CASE("a connection is used again, and one that died while idle is not") {
  RawPeer peer;
  Recorder first;
  const auto one = peer.client->Start({}, first.Handlers());
  RawSocket socket = peer.Accepted();
  peer.Expect(socket, "\r\n\r\n");
  socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(peer.Until([&] { return first.ended(); }));

  Recorder second;
  const auto two = peer.client->Start({}, second.Handlers());
  const size_t length = socket.Received().size();
  REQUIRE(peer.Until([&] { return socket.Received().size() == 2 * length; }));
  socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(peer.Until([&] { return second.ended(); }));
  socket.Close();
  peer.For(milliseconds(30));

  Recorder third;
  const auto three = peer.client->Start({}, third.Handlers());
  RawSocket fresh = peer.Accepted();
  peer.Expect(fresh, "\r\n\r\n");
  fresh.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(peer.Until([&] { return third.ended(); }));
  CHECK(third.end.ok());
}

TEST_CASE(
    "a call on a kept connection that dies before any answer is repeated once if that is safe") {
  for (const std::string method : {"GET", "PUT", "POST", "PATCH"}) {
    INFO(method);
    RawPeer peer;
    Recorder first;
    const auto one = peer.client->Start({}, first.Handlers());
    RawSocket socket = peer.Accepted();
    peer.Expect(socket, "\r\n\r\n");
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    REQUIRE(peer.Until([&] { return first.ended(); }));

    Recorder second;
    HttpRequest request;
    request.method = method;
    const auto two = peer.client->Start(request, second.Handlers());
    peer.Expect(socket, method + " / HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port));
    socket.Close();  // it has read the request and says nothing
    if (method == "POST" || method == "PATCH") {
      REQUIRE(peer.Until([&] { return second.ended(); }));
      CHECK(absl::IsUnavailable(second.end));
      continue;
    }
    RawSocket again = peer.Accepted();
    peer.Expect(again, "\r\n\r\n");
    again.Close();  // a second time it is not
    REQUIRE(peer.Until([&] { return second.ended(); }));
    CHECK(absl::IsUnavailable(second.end));
    CHECK_FALSE(peer.listener.Accept().open());
  }
}

TEST_CASE(
    "a connection that nobody accepts, a refused one and a silent one end with their own errors") {
  SECTION("refused") {
    RawPeer peer;
    peer.listener.Close();
    Recorder call;
    const auto handle = peer.client->Start({}, call.Handlers());
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK(absl::IsUnavailable(call.end));
    CHECK(call.end.message().find("refused") != absl::string_view::npos);
  }
  SECTION("silent before the head") {
    RawPeer peer;
    Recorder call;
    HttpRequest request;
    request.limits.head_timeout = milliseconds(40);
    const auto handle = peer.client->Start(request, call.Handlers());
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK(absl::IsDeadlineExceeded(call.end));
    CHECK(call.end.message().find("head timeout") != absl::string_view::npos);
  }
  SECTION("silent inside the body") {
    RawPeer peer;
    Recorder call;
    HttpRequest request;
    request.limits.idle_timeout = milliseconds(40);
    const auto handle = peer.client->Start(request, call.Handlers());
    RawSocket socket = peer.Accepted();
    peer.Expect(socket, "\r\n\r\n");
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK(absl::IsDeadlineExceeded(call.end));
    CHECK(call.end.message().find("idle timeout") != absl::string_view::npos);
    CHECK(call.body == "half");
    CHECK(peer.Until([&] { return socket.Ended(); }));
  }
  SECTION("a name that does not exist") {
    RawPeer peer;
    Origin origin = OnLoopback::At(1);
    origin.host = "no-such-host.invalid";
    const auto client = peer.network->NewClient(origin);
    Recorder call;
    const auto handle = client->Start({}, call.Handlers());
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK_FALSE(call.end.ok());
  }
}

TEST_CASE("nothing is called from within Start, nor after the call has been destroyed") {
  RawPeer peer;
  Recorder call;
  auto handle = peer.client->Start({}, call.Handlers());
  CHECK(call.ends == 0);
  RawSocket socket = peer.Accepted();
  peer.Expect(socket, "\r\n\r\n");
  socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  handle.reset();
  CHECK(peer.Until([&] { return socket.Ended(); }));
  peer.For(milliseconds(20));
  CHECK(call.status == 0);
  CHECK(call.ends == 0);
}

TEST_CASE("a call may be destroyed by any of its own handlers") {
  for (const int when : {0, 1, 2}) {
    RawPeer peer;
    std::unique_ptr<HttpCall> handle;
    const auto held = std::make_shared<std::string>("still there");
    int told = 0;
    const auto drop = [&handle, &told, held](int) {
      handle.reset();
      CHECK(*held == "still there");
      ++told;
    };
    Recorder call;
    HttpHandlers handlers = call.Handlers();
    if (when == 0) handlers.on_head = [drop](int, const Headers&) { drop(0); };
    if (when == 1) handlers.on_data = [drop](std::string_view) { drop(1); };
    if (when == 2) handlers.on_end = [drop](const absl::Status&) { drop(2); };
    handle = peer.client->Start({}, std::move(handlers));
    RawSocket socket = peer.Accepted();
    peer.Expect(socket, "\r\n\r\n");
    socket.Send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    REQUIRE(peer.Until([&] { return told == 1; }));
    peer.For(milliseconds(10));
    CHECK(told == 1);
    CHECK(call.ends == 0);
  }
}

TEST_CASE("calls beyond the limit of connections wait their turn, oldest first") {
  RawPeer peer;
  HttpRequest request;
  request.limits.connections_max = 1;
  Recorder calls[3];
  std::vector<std::unique_ptr<HttpCall>> handles;
  for (int i = 0; i < 3; ++i) {
    request.target = "/" + std::to_string(i);
    handles.push_back(peer.client->Start(request, calls[i].Handlers()));
  }
  RawSocket socket = peer.Accepted();
  for (int i = 0; i < 3; ++i) {
    peer.Expect(socket, "GET /" + std::to_string(i));
    CHECK(socket.Received().find("GET /" + std::to_string(i + 1)) == std::string::npos);
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    REQUIRE(peer.Until([&] { return calls[i].ended(); }));
  }
  CHECK_FALSE(peer.listener.Accept().open());
}

TEST_CASE(
    "a call that waits for a connection keeps its deadline, and leaves the queue when destroyed") {
  RawPeer peer;
  HttpRequest request;
  request.limits.connections_max = 1;
  Recorder first;
  auto one = peer.client->Start(request, first.Handlers());
  RawSocket socket = peer.Accepted();
  Recorder second;
  request.limits.head_timeout = milliseconds(30);
  const auto two = peer.client->Start(request, second.Handlers());
  Recorder third;
  request.limits.head_timeout = std::chrono::seconds(5);
  auto three = peer.client->Start(request, third.Handlers());
  Recorder fourth;
  const auto four = peer.client->Start(request, fourth.Handlers());
  REQUIRE(peer.Until([&] { return second.ended(); }));
  CHECK(absl::IsDeadlineExceeded(second.end));
  three.reset();
  one.reset();  // frees the place
  RawSocket fresh = peer.Accepted();
  peer.Expect(fresh, "\r\n\r\n");
  fresh.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(peer.Until([&] { return fourth.ended(); }));
  CHECK(fourth.end.ok());
  CHECK(third.ends == 0);
}

TEST_CASE("what would break the message is refused") {
  RawPeer peer;
  for (const Header& header :
       {Header{"X-A", "b\r\nX-Evil: 1"}, Header{"X A", "b"}, Header{"", "b"}}) {
    Recorder call;
    HttpRequest request;
    request.headers = {header};
    const auto handle = peer.client->Start(request, call.Handlers());
    REQUIRE(peer.Until([&] { return call.ended(); }));
    CHECK(absl::IsInvalidArgument(call.end));
  }
  Recorder call;
  HttpRequest request;
  request.target = "/a b";
  const auto handle = peer.client->Start(request, call.Handlers());
  REQUIRE(peer.Until([&] { return call.ended(); }));
  CHECK(absl::IsInvalidArgument(call.end));
}

}  // namespace
}  // namespace rouse::control
