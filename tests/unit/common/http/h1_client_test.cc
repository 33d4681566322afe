// Rows R of the response cases, end to end through H1Client, and what it sends.

#include "common/http/h1_client.h"

#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "tests/support/control/sim_clock.h"
#include "tests/support/net/pipe_transport.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::http::testing {
namespace {

using net::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// What one exchange came to.
struct Answer {
  std::string text;  ///< "103 200 body" or "200 partial error upstream_truncated" or "error ..."
  bool done = false;
  bool retry_safe = false;
  bool untouched = false;
};

/// An H1Client on one end of a pipe; the test is the pod on the other.
class ClientRig {
 public:
  explicit ClientRig(net::testing::PipeOptions pipe = {}) : shards_(clock_, pipe.seed, 1) {
    auto pair = net::testing::PipeTransport::Make(shard(), shard(), pipe);
    pod_ = std::move(pair.second);
    client_ = std::make_unique<H1Client>(shard(), std::move(pair.first), options_);
    client_->OnChange({[](void* self, bool usable) {
                         static_cast<ClientRig*>(self)->told_ += usable ? "usable " : "unusable ";
                       },
                       this});
  }
  ~ClientRig() {
    if (pod_) pod_->Close(true);
    shards_.RunUntilIdle();
  }

  /// Begins an exchange; the request's fields are given as on the wire.
  void Ask(std::string_view method, std::string_view fields = {}, std::string_view body = {},
           BodyKind kind = BodyKind::kNone) {
    request_ = std::string(method) + " /p HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
    RequestParser parser{HeadLimits{}};
    REQUIRE(parser.Parse(std::span<char>(request_), head_) == ParseStep::kDone);
    if (kind != BodyKind::kNone) {
      head_.body = kind;
      head_.content_length = body.size();
    }
    body_ = body;
    answer_ = {};
    stream_ = &client_->Open();
    net::Detach(Exchange());
    shards_.RunUntilIdle();
  }
  /// The pod says this, `each` bytes at a time; a request must have arrived whole.
  void Say(std::string_view bytes, size_t each = SIZE_MAX) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, each);
      const net::IoResult wrote = pod_->Write({&part, 1});
      if (wrote.status == net::IoStatus::kBroken) break;
      bytes.remove_prefix(wrote.bytes);
      if (each != SIZE_MAX || wrote.bytes < part.size()) shards_.RunUntilIdle();
    }
    shards_.RunUntilIdle();
  }
  void Fin() {
    pod_->ShutdownWrite();
    shards_.RunUntilIdle();
  }
  void Reset() {
    pod_->Close(true);
    shards_.RunUntilIdle();
  }
  void Advance(Duration by) { shards_.Advance(by); }
  void Cancel() {
    stream_->Cancel({ErrorKind::kDownstreamClosed, Side::kDownstream, false, "left"});
    shards_.RunUntilIdle();
  }

  /// What has arrived at the pod.
  std::string Heard() {
    std::string text;
    char buffer[16384];
    while (pod_->readable()) {
      const net::IoResult read = pod_->Read(buffer);
      if (read.status == net::IoStatus::kEnd || read.status == net::IoStatus::kBroken) {
        pod_left_ = true;
        break;
      }
      if (read.status != net::IoStatus::kDone) break;
      text.append(buffer, read.bytes);
      shards_.RunUntilIdle();
    }
    return text;
  }

  [[nodiscard]] const Answer& answer() const { return answer_; }
  [[nodiscard]] std::string told() { return std::exchange(told_, {}); }
  [[nodiscard]] bool free() const { return client_->streams_free() == 1; }
  [[nodiscard]] bool pod_left() const { return pod_left_; }
  [[nodiscard]] net::Shard& shard() { return shards_.shard(); }
  void set_finish_request(bool finish) { finish_request_ = finish; }

 private:
  Task<void> Exchange() {
    if (!finish_request_) {
      (void)stream_->TrySendHead(head_, {}, body_, false);
    } else if (stream_->TrySendHead(head_, {}, body_, true) == Step::kMustWait) {
      (void)co_await stream_->request_body().Flush(soon());
    }
    co_await Receive();
    answer_.untouched = stream_->untouched();
    stream_->Finish();
    answer_.done = true;
  }
  Task<void> Receive() {
    for (;;) {
      const Result<const ResponseHead*> head = co_await stream_->ReceiveHead(soon());
      if (!head) co_return Fail(head.error());
      if (!answer_.text.empty()) answer_.text += ' ';
      answer_.text += std::to_string((*head)->status);
      if ((*head)->status >= 200 || (*head)->status == 101) break;
    }
    std::string body;
    for (;;) {
      const Result<Piece> piece = co_await stream_->response_body().Read(soon());
      if (!piece) {
        answer_.text += " " + body;
        co_return Fail(piece.error());
      }
      body += piece->data;
      if (piece->end) break;
    }
    answer_.text += " " + body;
    if (const Trailers* trailers = stream_->response_body().trailers()) {
      answer_.text.append("|").append(trailers->name(0)).append("=").append(trailers->value(0));
    }
  }
  void Fail(const Error& error) {
    if (!answer_.text.empty()) answer_.text += ' ';
    answer_.text.append("error ").append(CodeOf(error.kind));
    answer_.retry_safe = error.retry_safe;
  }
  TimePoint soon() { return Later(shard().now(), std::chrono::minutes(10)); }

  SimClock clock_;
  net::testing::SimShards shards_;
  H1ClientOptions options_;
  std::unique_ptr<net::testing::PipeTransport> pod_;
  std::unique_ptr<H1Client> client_;
  ClientStream* stream_ = nullptr;
  std::string request_;
  std::string body_;
  RequestHead head_;
  Answer answer_;
  std::string told_;
  bool pod_left_ = false;
  bool finish_request_ = true;
};

TEST_CASE("requests go out in one canonical form") {
  ClientRig rig;
  rig.Ask("GET", "Connection: keep-alive, X-Hop\r\nX-A: b\r\nKeep-Alive: 5\r\n");
  CHECK(rig.Heard() == "GET /p HTTP/1.1\r\nhost: h\r\nX-A: b\r\n\r\n");
  rig.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  CHECK(rig.answer().text == "200 ok");
  CHECK(rig.told() == "usable ");
  rig.Ask("POST", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello", BodyKind::kLength);
  CHECK(rig.Heard() == "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
  rig.Say("HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(rig.answer().text == "204 ");
  rig.Ask("POST", "Transfer-Encoding: Chunked\r\n", "hello", BodyKind::kStreamed);
  CHECK(rig.Heard() ==
        "POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  rig.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
  CHECK(rig.answer().text == "200 ok");
  CHECK(rig.free());
  rig.Ask("POST", "Content-Length: 0\r\n");
  CHECK(rig.Heard() == "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
}

enum class Then : uint8_t { kNothing, kFin, kReset };

struct Row {
  const char* id;
  std::string method;
  std::string bytes;
  Then then;
  std::string wanted;
  bool usable;
};

void CheckRow(const Row& row, size_t each) {
  INFO(row.id << ": " << row.bytes.substr(0, 120) << " by " << each);
  ClientRig rig;
  rig.Ask(row.method);
  CHECK_FALSE(rig.Heard().empty());
  rig.Say(row.bytes, each);
  if (row.then == Then::kFin) rig.Fin();
  if (row.then == Then::kReset) rig.Reset();
  CHECK(rig.answer().text == row.wanted);
  CHECK(rig.answer().done);
  CHECK(rig.free() == row.usable);
  CHECK(rig.told() == (row.usable ? "usable " : "unusable "));
  CHECK(rig.shard().buffers().loaned_bytes() == 0);
  if (!row.usable) {
    (void)rig.Heard();
    CHECK(rig.pod_left());
  }
}

TEST_CASE("what a pod answers is judged to the letter, at every cut alike") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string bad = "error upstream_protocol_error";
  const std::string cut = " error upstream_truncated";
  std::string flood;
  for (int i = 0; i < 9; ++i) flood += "HTTP/1.1 103 Early\r\n\r\n";
  const std::vector<Row> rows = {
      {"R00", "GET", ok + "Content-Length: 5\r\n\r\nhello", Then::kNothing, "200 hello", true},
      {"R00", "GET", ok + "Content-Length: 0\r\n\r\n", Then::kNothing, "200 ", true},
      {"R00", "GET", ok + "Content-Length: 5\r\nConnection: close\r\n\r\nhello", Then::kNothing,
       "200 hello", false},
      {"R00", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Then::kNothing,
       "200 hello", false},
      {"R01", "GET", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       Then::kNothing, bad, false},
      {"R01", "GET", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Then::kNothing,
       bad, false},
      {"R02", "GET", "hello\r\n\r\n", Then::kNothing, bad, false},
      {"R02", "GET", "HTTP/1.1 200 OK\n\n", Then::kNothing, bad, false},
      {"R04", "GET", ok + "Content-Length: 5\r\n\r\nhel", Then::kFin, "200 hel" + cut, false},
      {"R04", "GET", ok + "Content-Length: 5\r\n\r\nhel", Then::kReset, "200 hel" + cut, false},
      {"R04", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", Then::kFin,
       "200 hel" + cut, false},
      {"R04", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", Then::kFin, "200 " + cut,
       false},
      {"R04", "GET", ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n", Then::kNothing, "200  " + bad,
       false},
      {"R04", "GET", ok + "Content-", Then::kFin, "error upstream_reset", false},
      {"R06", "HEAD", ok + "Content-Length: 5\r\n\r\n", Then::kNothing, "200 ", true},
      {"R06", "HEAD", ok + "Content-Length: 5\r\n\r\nhello", Then::kNothing, "200 ", false},
      {"R06", "GET", "HTTP/1.1 204 No\r\n\r\nhello", Then::kNothing, "204 ", false},
      {"R06", "GET", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello", Then::kNothing, "304 ",
       false},
      {"R06", "GET", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", Then::kNothing, "304 ", true},
      {"R07", "GET", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", Then::kNothing, "204 ", true},
      {"R08", "GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + ok +
           "Content-Length: 2\r\n\r\nok",
       Then::kNothing, "103 200 ok", true},
      {"R08", "GET", flood + ok + "\r\n", Then::kNothing, "103 103 103 103 103 103 103 103 " + bad,
       false},
      {"R10", "GET", ok + "\r\nhello", Then::kFin, "200 hello", false},
      {"R10", "GET", ok + "\r\nhello", Then::kReset, "200 hello" + cut, false},
      {"R11", "GET",
       ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
       Then::kNothing, "200 ok|grpc-status=0", true},
      {"R13", "GET", ok + "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", Then::kNothing,
       "200 ok", false},
      {"U08", "GET", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
       Then::kNothing, bad, false},
  };
  for (const Row& row : rows) {
    CheckRow(row, SIZE_MAX);
    // Byte by byte, bytes behind the end arrive after the exchange: the idle connection is then
    // found unusable by them instead, and says so a second time.
    const bool behind = row.id == std::string("R06") || row.id == std::string("R13");
    if (!behind || row.usable) CheckRow(row, 1);
  }
}

TEST_CASE("an idle connection that says something, or ends, is used no more") {
  for (const Then then : {Then::kFin, Then::kReset, Then::kNothing}) {
    ClientRig rig;
    rig.Ask("GET");
    rig.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(rig.told() == "usable ");
    if (then == Then::kFin) rig.Fin();
    if (then == Then::kReset) rig.Reset();
    if (then == Then::kNothing) rig.Say("HTTP/1.1 408 Slow\r\n\r\n");
    CHECK_FALSE(rig.free());
    CHECK(rig.told() == "unusable ");
  }
}

TEST_CASE("a connection that dies before any answer says what is known of the request") {
  ClientRig fresh;
  fresh.Ask("GET");
  fresh.Fin();
  CHECK(fresh.answer().text == "error upstream_reset");
  CHECK(fresh.answer().untouched);
  CHECK_FALSE(fresh.answer().retry_safe);

  for (const bool reset : {false, true}) {
    ClientRig reused;
    reused.Ask("GET");
    reused.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    reused.Ask("GET");
    if (reset)
      reused.Reset();
    else
      reused.Fin();
    CHECK(reused.answer().text == "error upstream_reset");
    CHECK(reused.answer().untouched);
  }

  ClientRig begun;
  begun.Ask("GET");
  begun.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  begun.Ask("GET");
  begun.Say("HTT");
  begun.Fin();
  CHECK_FALSE(begun.answer().untouched);
}

TEST_CASE("a response before the request's end is delivered, and the connection is not kept") {
  ClientRig rig;
  rig.set_finish_request(false);
  rig.Ask("POST", "Content-Length: 9\r\n", "part", BodyKind::kStreamed);
  rig.Say("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
  CHECK(rig.answer().text == "403 no");
  CHECK(rig.told() == "unusable ");
}

TEST_CASE("no response in time is an error, and a pause inside one is not") {
  ClientRig rig;
  rig.Ask("GET");
  rig.Advance(std::chrono::minutes(10) - milliseconds(10));
  CHECK_FALSE(rig.answer().done);
  rig.Advance(milliseconds(20));
  CHECK(rig.answer().text == "error upstream_response_timeout");

  ClientRig events;
  events.Ask("GET");
  events.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n");
  events.Advance(seconds(300));
  CHECK_FALSE(events.answer().done);
  events.Say("2\r\nb\n\r\n0\r\n\r\n");
  CHECK(events.answer().text == "200 a\nb\n");
}

TEST_CASE("cancelling ends every wait") {
  ClientRig head;
  head.Ask("GET");
  head.Cancel();
  CHECK(head.answer().text == "error downstream_closed");
  CHECK(head.told() == "unusable ");
  ClientRig body;
  body.Ask("GET");
  body.Say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  body.Cancel();
  CHECK(body.answer().text == "200 abc error downstream_closed");
}

TEST_CASE("a 101 to what was asked for opens a tunnel") {
  ClientRig rig;
  rig.Ask("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n");
  CHECK(rig.Heard() ==
        "GET /p HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  rig.Say("HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\nraw\r\n");
  rig.Say("more");
  rig.Fin();
  CHECK(rig.answer().text == "101 raw\r\nmore");
  CHECK_FALSE(rig.free());

  ClientRig other;
  other.Ask("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n");
  other.Say("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
  CHECK(other.answer().text == "error upstream_protocol_error");
  ClientRig refused;
  refused.Ask("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n");
  refused.Say("HTTP/1.1 426 Upgrade\r\nContent-Length: 0\r\n\r\n");
  CHECK(refused.answer().text == "426 ");
  CHECK(refused.free());
}

TEST_CASE("a long response leaves the connection usable and the buffers bounded") {
  ClientRig rig({.seed = 5, .from_second = {.split = true}});
  for (const bool chunked : {false, true}) {
    rig.Ask("GET");
    const std::string body(300'000, 'z');
    rig.Say(chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + body +
                          "\r\n0\r\n\r\n"
                    : "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body);
    CHECK(rig.answer().text == "200 " + body);
    CHECK(rig.free());
    CHECK(rig.shard().buffers().loaned_bytes() == 0);
  }
}

}  // namespace
}  // namespace rouse::http::testing
