// Rows P, X, U, C, F and Z of the request cases, end to end through H1Server.

#include <catch2/catch.hpp>

#include "tests/unit/common/http/h1_server_rig.h"

namespace rouse::http::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string Get(const std::string& path, const std::string& fields = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

std::string Post(const std::string& path, const std::string& body, const std::string& fields = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}

std::string Chunked(const std::string& path, const std::string& chunks,
                    const std::string& fields = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + fields +
         "\r\n" + chunks;
}

std::string Ok(const std::string& body, const std::string& fields = {}) {
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n" + fields +
         "\r\n" + body;
}

TEST_CASE("a connection carries one request after the other") {
  ServerRig rig;
  for (int i = 0; i < 3; ++i) {
    CHECK(rig.Ask(Get("/a")) == Ok("GET /a "));
    CHECK(rig.Ask(Post("/b", "xyz"), 1) == Ok("POST /b xyz"));
  }
  CHECK(rig.server().idle());
  CHECK(rig.shard().buffers().loaned_bytes() == 0);
  CHECK_FALSE(rig.ended());
}

TEST_CASE("pipelined requests are answered in order, however they are cut") {
  const std::string all = Get("/1") + Post("/2", "two") +
                          Chunked("/3", "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n") + Get("/4") + "\r\n" +
                          Get("/5");
  const std::string wanted =
      Ok("GET /1 ") + Ok("POST /2 two") + Ok("POST /3 abc") + Ok("GET /4 ") + Ok("GET /5 ");
  CHECK(ServerRig().Ask(all) == wanted);
  CHECK(ServerRig().Ask(all, 1) == wanted);
  CHECK(ServerRig().Ask(all, 7) == wanted);
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    ServerRig rig(
        {.pipe = {.seed = seed, .from_first = {.split = true}, .from_second = {.split = true}}});
    CHECK(rig.Ask(all) == wanted);
    CHECK(rig.server().idle());
  }
}

TEST_CASE("after a close nothing more is answered") {
  ServerRig rig;
  CHECK(rig.Ask(Get("/1", "Connection: close\r\n") + Get("/2")) ==
        Ok("GET /1 ", "connection: close\r\n"));
  CHECK(rig.ended());
  CHECK(rig.seen() == std::vector<std::string>{"GET /1"});
  CHECK(rig.Ask(Get("/3")).empty());
  rig.Advance(seconds(3));
  CHECK(rig.closed());
}

TEST_CASE("HTTP/1.0 closes unless it asks to stay") {
  ServerRig once;
  CHECK(once.Ask("GET /a HTTP/1.0\r\nHost: h\r\n\r\n") == Ok("GET /a ", "connection: close\r\n"));
  CHECK(once.ended());
  ServerRig again;
  const std::string stay = "GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
  CHECK(again.Ask(stay + stay) ==
        Ok("GET /a ", "connection: keep-alive\r\n") + Ok("GET /a ", "connection: keep-alive\r\n"));
}

TEST_CASE("a client of HTTP/1.0 gets no chunks and no interim answers") {
  ServerRig rig;
  const std::string body = "hello";
  CHECK(rig.Ask("POST /echo HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 5\r\n"
                "Expect: 100-continue\r\n\r\nhello") ==
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
  CHECK(rig.ended());
  ServerRig hints;
  CHECK(Statuses(hints.Ask("GET /hints HTTP/1.0\r\nHost: h\r\n\r\n")) == "200");
  CHECK(Statuses(ServerRig().Ask(Get("/hints"))) == "103 200");
}

TEST_CASE("answers without a body have none") {
  ServerRig rig;
  CHECK(rig.Ask("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n") == "HTTP/1.1 200 OK\r\n\r\n");
  CHECK(rig.Ask(Get("/status/204")) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(rig.Ask(Get("/status/304")) == "HTTP/1.1 304 \r\n\r\n");
  CHECK(rig.Ask(Get("/a")) == Ok("GET /a "));
}

TEST_CASE("refused messages earn one answer and the end of the connection") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"\x16\x03\x01", "400"},
      {Get("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"},
      {"GET / HTTP/3.0\r\n", "505"},
      {Chunked("/", "").replace(0, 4, "CONN"), "400"},
      {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "405"},
      {Get("/" + std::string(20'000, 'a')), "414"},
      {Get("/", "X: " + std::string(20'000, 'a') + "\r\n"), "431"},
      {Post("/", "x", "Expect: tea\r\n"), "417"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
  };
  for (const auto& [bytes, status] : cases) {
    INFO(bytes.substr(0, 100));
    ServerRig rig;
    const bool preface = bytes.starts_with("CONN");
    const std::string output = rig.Ask(bytes + Get("/smuggled"));
    if (preface) continue;
    CHECK(Statuses(output) == status);
    CHECK(output.find("connection: close\r\n") != std::string::npos);
    CHECK(rig.ended());
    CHECK(rig.seen().empty());
    CHECK(Statuses(rig.Ask(Get("/later"))).empty());
    rig.Advance(seconds(3));
    CHECK(rig.closed());
    CHECK(rig.shard().buffers().loaned_bytes() == 0);
  }
}

TEST_CASE("chunked bodies are decoded to the letter, and at every cut alike") {
  struct Row {
    const char* id;
    std::string chunks;
    std::string wanted;
  };
  const std::string error = "error bad_request";
  const std::vector<Row> rows = {
      {"C01", "5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"C01", "1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n", "a0123456789"},
      {"C01", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"C02", "0x1\r\na\r\n0\r\n\r\n", error},
      {"C02", "+1\r\na\r\n0\r\n\r\n", error},
      {"C02", "-1\r\na\r\n0\r\n\r\n", error},
      {"C02", "1_0\r\na\r\n0\r\n\r\n", error},
      {"C02", "\r\na\r\n0\r\n\r\n", error},
      {"C02", " 1\r\na\r\n0\r\n\r\n", error},
      {"C02", "1 \r\na\r\n0\r\n\r\n", error},
      {"C02", "1\t\r\na\r\n0\r\n\r\n", error},
      {"C02", "g\r\na\r\n0\r\n\r\n", error},
      {"C03", "00000000000000001\r\na\r\n0\r\n\r\n", error},
      {"C03", "0000000000000001\r\na\r\n0\r\n\r\n", "a"},
      {"C03", "8000000000000000\r\na", error},
      {"C03", "ffffffffffffffff\r\na", error},
      {"C04", "1\na\r\n0\r\n\r\n", error},
      {"C04", "1\r\na\n0\r\n\r\n", error},
      {"C04", "1\r\na\r\n0\n\r\n", error},
      {"C04", "1\r\na\r\n0\r\n\n", error},
      {"C05", "1\rXa\r\n0\r\n\r\n", error},
      {"C05", "1\r\r\na\r\n0\r\n\r\n", error},
      {"C06", "1\r\nab\r\n0\r\n\r\n", error},
      {"C06", "1\r\naXX0\r\n\r\n", error},
      {"C06", "5\r\nhello0\r\n\r\n", error},
      {"C07", "1;\r\na\r\n0\r\n\r\n", error},
      {"C07", "1;=x\r\na\r\n0\r\n\r\n", error},
      {"C07", "1;[\r\na\r\n0\r\n\r\n", error},
      {"C07", "1 ext\r\na\r\n0\r\n\r\n", error},
      {"C07", "1;a=\"x\r\na\r\n0\r\n\r\n", error},
      {"C07", "1;a=\"\n\"\r\na\r\n0\r\n\r\n", error},
      {"C10", "1;a\r\na\r\n0\r\n\r\n", "a"},
      {"C10", "1;a=b;c=\"d;\\\" e\"\r\na\r\n0;z\r\n\r\n", "a"},
      {"C10", "1;" + std::string(1000, 'e') + "\r\na\r\n0\r\n\r\n", error},
      {"C14", "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", "a|X=y|Z="},
      {"C16", "1\r\na\r\n0\r\nX y\r\n\r\n", error},
      {"C16", "1\r\na\r\n0\r\nX: y\n\r\n", error},
      {"C16", "1\r\na\r\n0\r\nX: y\r\n z\r\n\r\n", error},
      {"C16", "1\r\na\r\n0\r\nX: " + std::string(9000, 'y') + "\r\n\r\n", "error head_too_large"},
  };
  for (const Row& row : rows) {
    INFO(row.id << " " << row.chunks.substr(0, 60));
    for (const size_t each : {SIZE_MAX, size_t{1}, size_t{5}}) {
      ServerRig rig;
      const std::string output = rig.Ask(Chunked("/c", row.chunks) + Get("/next"), each);
      if (row.wanted.starts_with("error")) {
        CHECK(rig.seen() == std::vector<std::string>{"POST /c", row.wanted});
        CHECK(output.empty());
        CHECK(rig.reset());
      } else {
        CHECK(output == Ok("POST /c " + row.wanted) + Ok("GET /next "));
      }
    }
  }
}

TEST_CASE("a body that is cut short is an error, not an end") {
  for (const std::string& start :
       {Post("/b", "0123456789").substr(0, 55), Chunked("/b", "5\r\nhel"),
        Chunked("/b", "5\r\nhello\r\n"), Chunked("/b", "0\r\nX: y\r\n")}) {
    ServerRig rig;
    rig.Send(start);
    rig.SendFin();
    CHECK(rig.seen() == std::vector<std::string>{"POST /b", "error downstream_closed"});
  }
}

TEST_CASE("a body over the limit is refused, at once where its length is told") {
  ServerRig::Setup setup;
  setup.options.body.body_bytes_max = 10;
  ServerRig told(setup);
  CHECK(Statuses(told.Ask(Post("/b", std::string(11, 'x')))) == "413");
  CHECK(told.seen().empty());
  ServerRig counted(setup);
  counted.Send(Chunked("/b", "8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n"));
  CHECK(counted.seen() == std::vector<std::string>{"POST /b", "error body_too_large"});
  ServerRig fits(setup);
  CHECK(fits.Ask(Post("/b", "0123456789")) == Ok("POST /b 0123456789"));
}

TEST_CASE("100 Continue is said when the body is first wanted, and only to those who asked") {
  const std::string expect = "Expect: 100-continue\r\n";
  const std::string message = Post("/b", "hello", expect);
  const std::string head = message.substr(0, message.size() - 5);
  ServerRig rig;
  CHECK(rig.Ask(head) == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(rig.Ask("hello") == Ok("POST /b hello"));
  CHECK(ServerRig().Ask(message) == Ok("POST /b hello"));

  ServerRig held;
  const std::string parked = Post("/hold", "hello", expect);
  CHECK(held.Ask(parked.substr(0, parked.size() - 5)).empty());
  held.OpenGate();
  CHECK(held.Take() == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(Statuses(held.Ask("hello")) == "200");

  ServerRig early;
  const std::string unread = Post("/early", "hello", expect);
  const std::string output = early.Ask(unread.substr(0, unread.size() - 5));
  CHECK(output == Ok("early", "connection: close\r\n"));
  CHECK(early.ended());
}

TEST_CASE("an answer before the body's end ends the connection without losing the answer") {
  ServerRig rig;
  CHECK(rig.Ask(Post("/early", std::string(1000, 'x')) + Get("/next")) ==
        Ok("early", "connection: close\r\n"));
  CHECK(rig.ended());
  CHECK_FALSE(rig.reset());
  rig.Advance(seconds(3));
  CHECK(rig.closed());
  CHECK(rig.seen().size() == 1);
}

TEST_CASE("a lingering connection takes no more than its cap") {
  ServerRig rig;
  rig.Send("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
  CHECK(rig.ended());
  rig.Send(std::string(200'000, 'x'));
  CHECK(rig.closed());
}

TEST_CASE("an exchange that fails half way cuts the connection") {
  ServerRig half;
  CHECK(half.Ask(Get("/half") + Get("/next")) ==
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
  CHECK(half.reset());
  CHECK(half.closed());
  ServerRig fail;
  CHECK(fail.Ask(Get("/fail")).empty());
  CHECK(fail.reset());
}

TEST_CASE("slow heads get 408 at an absolute deadline, silence gets silence") {
  ServerRig drip;
  drip.Send("GET / HT");
  for (int i = 0; i < 9; ++i) {
    drip.Advance(seconds(1));
    drip.Send("T");
  }
  CHECK(drip.Take().empty());
  drip.Advance(milliseconds(1100));
  CHECK(Statuses(drip.Take()) == "408");
  CHECK(drip.ended());

  ServerRig silent;
  silent.Advance(milliseconds(9900));
  CHECK_FALSE(silent.ended());
  silent.Advance(milliseconds(200));
  CHECK(silent.Take().empty());
  CHECK(silent.ended());
  CHECK(silent.closed());

  ServerRig lines;
  lines.Send("\r\n");
  lines.Advance(milliseconds(10'100));
  CHECK(lines.Take().empty());
  CHECK(lines.ended());
}

TEST_CASE("an idle connection ends after the keep-alive timeout") {
  ServerRig rig;
  CHECK(Statuses(rig.Ask(Post("/a", "b"), 1)) == "200");
  rig.Advance(milliseconds(59'900));
  CHECK_FALSE(rig.ended());
  CHECK(Statuses(rig.Ask(Get("/b"))) == "200");
  rig.Advance(milliseconds(59'900));
  CHECK_FALSE(rig.ended());
  rig.Advance(milliseconds(200));
  CHECK(rig.ended());
  CHECK(rig.Take().empty());
}

TEST_CASE("a body that comes too slowly is given up") {
  ServerRig silent;
  silent.Send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
              std::string(60'000, 'x'));
  silent.Advance(milliseconds(29'900));
  CHECK(silent.seen().size() == 1);
  silent.Advance(milliseconds(200));
  CHECK(silent.seen().back() == "error body_timeout");

  for (const bool chunked : {false, true}) {
    ServerRig drip;
    drip.Send(chunked ? Chunked("/b", "") : Post("/b", std::string(100'000, 'x')).substr(0, 60));
    for (int i = 0; i < 11 && drip.seen().size() == 1; ++i) {
      drip.Send(chunked ? "1\r\nx\r\n" : "x");
      drip.Advance(seconds(1));
    }
    CHECK(drip.seen().back() == "error body_timeout");
  }
}

TEST_CASE("time spent waiting for a pod does not count against the client's rate") {
  ServerRig rig;
  const std::string message = Post("/hold", std::string(100, 'x'));
  rig.Send(message.substr(0, message.size() - 50));
  rig.Advance(seconds(40));
  rig.OpenGate();
  rig.Advance(seconds(5));
  rig.Send(message.substr(message.size() - 50));
  CHECK(Statuses(rig.Take()) == "200");
}

TEST_CASE("a client that does not read is cut at the write deadline") {
  ServerRig rig;
  rig.StopReading(true);
  rig.Send(Get("/pour/stream"));
  rig.Advance(milliseconds(29'900));
  CHECK(rig.seen().size() == 1);
  rig.Advance(milliseconds(200));
  CHECK(rig.seen().back() == "error downstream_write_timeout");
  rig.StopReading(false);
  rig.Run();
  CHECK(rig.reset());
}

TEST_CASE("long answers arrive whole, chunked or up to the close") {
  ServerRig chunked({.pipe = {.seed = 3, .from_second = {.split = true}}});
  const std::string output = chunked.Ask(Get("/pour/stream"));
  CHECK(output.starts_with("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2710\r\nppp"));
  CHECK(output.ends_with("p\r\n0\r\n\r\n"));
  CHECK(std::count(output.begin(), output.end(), 'p') == 1 << 20);
  CHECK(chunked.server().idle());
  ServerRig close;
  const std::string all = close.Ask("GET /pour/close HTTP/1.0\r\nHost: h\r\n\r\n");
  CHECK(std::count(all.begin(), all.end(), 'p') == 1 << 20);
  CHECK(close.ended());
  CHECK_FALSE(close.reset());
}

TEST_CASE("a client that leaves while parked is told of at once") {
  ServerRig reset;
  reset.Send(Get("/hold"));
  reset.Reset();
  CHECK(reset.told_gone());
  CHECK(reset.seen().back() == "gone");
  CHECK(reset.closed());

  ServerRig fin;
  fin.Send(Get("/hold"));
  fin.SendFin();
  CHECK(fin.told_gone());
  CHECK(fin.seen().back() == "gone");

  ServerRig before({.pipe = {.from_first = {.fin_after = Get("/hold").size()}}});
  before.Send(Get("/hold"));
  CHECK(before.told_gone());

  ServerRig::Setup keep;
  keep.options.half_close_parked_keeps = true;
  ServerRig kept(keep);
  kept.Send(Get("/hold"));
  kept.SendFin();
  CHECK_FALSE(kept.told_gone());
  kept.OpenGate();
  CHECK(Statuses(kept.Take()) == "200");
}

TEST_CASE("a half-closed client still gets its answer") {
  ServerRig rig;
  const std::string message = Get("/a");
  ServerRig fin({.pipe = {.from_first = {.fin_after = message.size()}}});
  CHECK(fin.Ask(message) == Ok("GET /a "));
  fin.Advance(milliseconds(10));
  CHECK(fin.ended());
  CHECK(fin.closed());
}

TEST_CASE("a tunnel is raw both ways, from the first byte behind the head") {
  ServerRig rig;
  const std::string message = Get("/tunnel", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
  CHECK(rig.Ask(message + "GET / HTTP/1.1\r\n") ==
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        "GET / HTTP/1.1\r\n");
  CHECK(rig.Ask("\r\n\r\n", 1) == "\r\n\r\n");
  rig.Advance(seconds(600));
  CHECK(rig.Ask("0\r\n\r\n") == "0\r\n\r\n");
  rig.SendFin();
  CHECK(rig.ended());
  rig.Advance(milliseconds(10));
  CHECK(rig.closed());
}

TEST_CASE("draining lets the running exchange end, then closes") {
  ServerRig idle;
  CHECK(Statuses(idle.Ask(Get("/a"))) == "200");
  idle.server().Drain();
  idle.Advance(milliseconds(10));
  CHECK(idle.closed());

  ServerRig busy;
  busy.Send(Get("/hold"));
  busy.server().Drain();
  busy.OpenGate();
  CHECK(busy.Take() == Ok("held h  ", "connection: close\r\n"));
  busy.Advance(milliseconds(10));
  CHECK(busy.closed());

  ServerRig late;
  late.StopReading(true);
  late.Send(Get("/pour/stream"));
  late.server().Drain();
  late.StopReading(false);
  late.Run();
  late.Advance(milliseconds(10));
  CHECK(late.closed());
  CHECK(late.Take().ends_with("p\r\n0\r\n\r\n"));
}

TEST_CASE("the last request of a connection says so") {
  ServerRig::Setup setup;
  setup.options.requests_max = 2;
  ServerRig rig(setup);
  CHECK(rig.Ask(Get("/1") + Get("/2") + Get("/3")) ==
        Ok("GET /1 ") + Ok("GET /2 ", "connection: close\r\n"));
  CHECK(rig.ended());
}

TEST_CASE("bodies of any size pass in bounded memory") {
  ServerRig rig({.pipe = {.seed = 9}});
  constexpr size_t kBody = 8 << 20;
  rig.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kBody) +
           "\r\n\r\n");
  const std::string part(64 * 1024, 'x');
  uint64_t back = 0;
  for (size_t sent = 0; sent < kBody; sent += part.size()) {
    rig.Send(part);
    const std::string output = rig.Take();
    back += static_cast<uint64_t>(std::count(output.begin(), output.end(), 'x'));
  }
  CHECK(back == kBody);
  CHECK(rig.loaned_most() <= net::BufferPool::kSmall + net::BufferPool::kLarge);
  CHECK(rig.shard().buffers().loaned_bytes() == 0);
}

}  // namespace
}  // namespace rouse::http::testing
