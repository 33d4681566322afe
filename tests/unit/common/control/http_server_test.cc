#include "common/control/http_server.h"

#include <catch2/catch.hpp>

#include "common/control/http_session.h"
#include "tests/support/control/on_loopback.h"

namespace rouse::control {
namespace {

using std::chrono::milliseconds;

struct Served : OnLoopback {
  ScriptedService service;
  std::unique_ptr<HttpListener> listener;

  explicit Served(ListenOptions options = {}) : listener(Listen(service, std::move(options))) {}

  RawSocket Connect() { return RawSocket::Connect(listener->port()); }
  /// Waits for request number `count` that has not been answered.
  ScriptedService::Taken& Request(size_t count = 1) {
    REQUIRE(Until([&] { return service.taken.size() >= count; }));
    return service.taken[count - 1];
  }
  void Expect(RawSocket& socket, const std::string& wire) {
    REQUIRE(Until([&] { return socket.Received().size() >= wire.size(); }));
    CHECK(socket.Received() == wire);
  }
  void AnswerAll() {
    service.on_request = [](ScriptedService::Taken taken) {
      taken.responder->Respond(200, {}, taken.request.target);
    };
  }
};

TEST_CASE("a request reaches the service whole, and its answer the client") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y: z\r\nContent-Length: 5\r\n\r\nhe");
  served.For(milliseconds(5));
  CHECK(served.service.taken.empty());
  client.Send("llo");
  ScriptedService::Taken& taken = served.Request();
  CHECK(taken.request.method == "POST");
  CHECK(taken.request.target == "/a?b=c");
  CHECK(taken.request.body == "hello");
  CHECK(FindHeader(taken.request.headers, "x-y") == "z");
  CHECK(taken.request.peer.starts_with("127.0.0.1:"));
  CHECK(taken.request.local == "127.0.0.1:" + std::to_string(served.listener->port()));
  taken.responder->Respond(404, {{"X-A", "b"}}, "no");
  served.Expect(client, "HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno");
}

TEST_CASE("requests that came together are answered one after another, in their order") {
  Served served;
  RawSocket client = served.Connect();
  client.Send(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 "
      "HTTP/1.1\r\nHost");
  served.Request(1);
  served.For(milliseconds(5));
  REQUIRE(served.service.taken.size() == 1);
  served.service.taken[0].responder->Respond(200, {}, "one");
  CHECK(served.Request(2).request.target == "/2");
  served.service.taken[1].responder->Respond(200, {}, "two");
  client.Send(": x\r\n\r\n");
  CHECK(served.Request(3).request.target == "/3");
  served.service.taken[2].responder->Respond(204, {}, "");
  served.Expect(client,
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
                "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_CASE("an answer is streamed in chunks, or to the end of the connection for HTTP/1.0") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  HttpResponder& responder = *served.Request().responder;
  responder.Begin(200, {{"Content-Type", "text/plain"}});
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
  served.Expect(client, head);
  CHECK(responder.Write("first").ok());
  served.Expect(client, head + "5\r\nfirst\r\n");
  CHECK(responder.Write(std::string(16, 'x')).ok());
  responder.End();
  served.Expect(client, head + "5\r\nfirst\r\n10\r\n" + std::string(16, 'x') + "\r\n0\r\n\r\n");
  CHECK(absl::IsUnavailable(responder.Write("late")));

  RawSocket old = served.Connect();
  old.Send("GET / HTTP/1.0\r\n\r\n");
  HttpResponder& plain = *served.Request(2).responder;
  plain.Begin(200, {});
  CHECK(plain.Write("all").ok());
  plain.End();
  REQUIRE(served.Until([&] { return old.Ended(); }));
  CHECK(old.Received() == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall");
}

TEST_CASE("an answer to HEAD has the length but no body") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Request().responder->Respond(200, {}, "four");
  served.Expect(client, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
}

TEST_CASE("the connection is kept or closed as both sides say") {
  struct Case {
    const char* request;
    Headers headers;
    const char* answer;
    bool closes;
  };
  const Case cases[] = {{"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                         {},
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                         false},
                        {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
                         {},
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                         true},
                        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                         {{"Connection", "close"}},
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                         true},
                        {"GET / HTTP/1.0\r\n\r\n",
                         {},
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                         true},
                        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                         {},
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
                         false}};
  for (const Case& c : cases) {
    INFO(c.request);
    Served served;
    RawSocket client = served.Connect();
    client.Send(c.request);
    served.Request().responder->Respond(200, c.headers, "");
    served.Expect(client, c.answer);
    if (c.closes) {
      CHECK(served.Until([&] { return client.Ended(); }));
    } else {
      served.For(milliseconds(10));
      CHECK_FALSE(client.Ended());
    }
  }
}

TEST_CASE(
    "what is not a request, or too large, is refused with its own status and the connection ends") {
  struct Case {
    std::string wire;
    std::string status;
  };
  const Case cases[] = {
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\nX: " + std::string(70'000, 'x'), "431 Request Header Fields Too Large"},
      {"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "413 Payload Too Large"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x'),
       "413 Payload Too Large"}};
  for (const Case& c : cases) {
    INFO(c.status);
    ListenOptions options;
    options.request_body_bytes_max = 1000;
    Served served(options);
    RawSocket client = served.Connect();
    client.Send(c.wire);
    REQUIRE(served.Until([&] { return client.Ended(); }));
    CHECK(client.Received().starts_with("HTTP/1.1 " + c.status + "\r\n"));
    CHECK(served.service.taken.empty());
  }
}

TEST_CASE("a client that expects a go-ahead gets it before its body") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  served.Expect(client, "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("hi");
  CHECK(served.Request().request.body == "hi");
}

TEST_CASE("a responder that is dropped answers 500, or cuts an answer that had begun") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Request();
  served.service.taken.clear();
  REQUIRE(served.Until([&] { return !client.Received().empty(); }));
  CHECK(client.Received().starts_with("HTTP/1.1 500 Internal Server Error\r\n"));

  RawSocket second = served.Connect();
  second.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Request().responder->Begin(200, {});
  served.service.taken.clear();
  REQUIRE(served.Until([&] { return second.Ended(); }));
  CHECK(second.Received().find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("the service is told once that a client has left before the end of its answer") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  HttpResponder& responder = *served.Request().responder;
  int gone = 0;
  responder.OnGone([&gone] { ++gone; });
  responder.Begin(200, {});
  CHECK(gone == 0);
  client.Close();
  REQUIRE(served.Until([&] { return gone == 1; }));
  CHECK(absl::IsUnavailable(responder.Write("x")));
  responder.End();

  RawSocket other = served.Connect();
  other.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Request(2).responder->OnGone([&gone] { ++gone; });
  served.service.taken[1].responder->Respond(200, {}, "");
  REQUIRE(served.Until([&] { return !other.Received().empty(); }));
  other.Close();
  served.For(milliseconds(10));
  CHECK(gone == 1);
}

TEST_CASE("a reader that is too slow makes Write refuse, and reading makes room again") {
  ListenOptions options;
  options.messages.queue_bytes_max = 1 << 20;
  Served served(options);
  RawSocket client = served.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  HttpResponder& responder = *served.Request().responder;
  responder.Begin(200, {});
  const std::string piece(256 << 10, 'x');
  int accepted = 0;
  while (accepted < 1000 && responder.Write(piece).ok()) {
    ++accepted;
    served.For(milliseconds(1));
  }
  CHECK(accepted < 100);
  CHECK(absl::IsResourceExhausted(responder.Write(piece)));
  REQUIRE(served.Until([&] {
    client.Received();
    return responder.Write(piece).ok();
  }));
}

TEST_CASE("a request that does not come in time ends its connection") {
  ListenOptions options;
  options.head_timeout = milliseconds(30);
  options.idle_timeout = milliseconds(60);
  Served served(options);
  served.AnswerAll();
  RawSocket silent = served.Connect();
  RawSocket half = served.Connect();
  half.Send("GET / HT");
  RawSocket kept = served.Connect();
  kept.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(served.Until([&] { return silent.Ended() && half.Ended(); }));
  REQUIRE(served.Until([&] { return kept.Ended(); }));
  CHECK(kept.Received() == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n/");
}

TEST_CASE("connections beyond the limit are closed, and room comes back") {
  ListenOptions options;
  options.connections_max = 2;
  Served served(options);
  served.AnswerAll();
  RawSocket first = served.Connect();
  RawSocket second = served.Connect();
  RawSocket third = served.Connect();
  REQUIRE(served.Until([&] { return third.Ended(); }));
  first.Close();
  served.For(milliseconds(10));
  RawSocket fourth = served.Connect();
  fourth.Send("GET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Expect(fourth, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/4");
}

TEST_CASE("a listener that stops accepting lets open connections go on; destroyed it cuts them") {
  Served served;
  RawSocket client = served.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ScriptedService::Taken& taken = served.Request();
  int gone = 0;
  taken.responder->OnGone([&gone] { ++gone; });
  served.listener->StopAccepting();
  taken.responder->Respond(200, {}, "ok");
  served.Expect(client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.Request(2).responder->OnGone([&gone] { ++gone; });
  served.listener.reset();
  REQUIRE(served.Until([&] { return client.Ended(); }));
  CHECK(gone == 0);
  served.service.taken[1].responder->Respond(200, {}, "late");  // harmless
}

TEST_CASE("an address that is taken is named in the error") {
  Served served;
  ListenOptions options;
  options.port = served.listener->port();
  const auto second = served.network->Listen(options, served.service);
  REQUIRE(absl::IsFailedPrecondition(second.status()));
  CHECK(second.status().message().find("127.0.0.1:" + std::to_string(options.port)) !=
        absl::string_view::npos);
}

TEST_CASE("our client and our server understand each other, many calls at a time") {
  Served served;
  served.AnswerAll();
  const auto client = served.network->NewClient(OnLoopback::At(served.listener->port()));
  std::vector<Recorder> calls(200);
  std::vector<std::unique_ptr<HttpCall>> handles;
  for (size_t i = 0; i < calls.size(); ++i) {
    HttpRequest request;
    request.method = i % 2 == 0 ? "GET" : "POST";
    request.target = "/" + std::to_string(i);
    request.body = i % 2 == 0 ? "" : std::string(i * 100, 'x');
    handles.push_back(client->Start(request, calls[i].Handlers()));
  }
  REQUIRE(served.Until([&] {
    for (const Recorder& call : calls) {
      if (!call.ended()) return false;
    }
    return true;
  }));
  for (size_t i = 0; i < calls.size(); ++i) {
    CHECK(calls[i].end.ok());
    CHECK(calls[i].body == "/" + std::to_string(i));
  }
}

}  // namespace
}  // namespace rouse::control
