// H2Client and H2Server on the two ends of a pipe that behaves as TCP may at its worst.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/http/h2_client.h"
#include "common/http/h2_client_stream.h"
#include "common/http/h2_connection.h"
#include "common/http/h2_server.h"
#include "common/http/h2_server_stream.h"
#include "common/http/h2_stream.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/net/pipe_transport.h"
#include "tests/support/net/sim_shards.h"
#include "tests/unit/common/http/heap_count.h"

namespace rouse::http {
namespace {

using net::testing::PipeOptions;
using net::testing::PipeTransport;
using std::chrono::hours;

/// Sends every body back, under a head that names the path.
class Echo final : public StreamHandler {
 public:
  explicit Echo(net::Shard& shard) : shard_(shard) {}
  size_t begun = 0;
  size_t served = 0;
  bool closed = false;

 private:
  void OnStream(ServerStream& stream) override {
    ++begun;
    net::Detach(Serve(stream));
  }
  void OnBadRequest(ServerStream& stream, const Error&) override { stream.Finish({}); }
  void OnConnectionClosed() override { closed = true; }

  net::Task<void> Serve(ServerStream& stream) {
    const TimePoint late = Later(shard_.now(), hours(1));
    const std::string path(stream.head().path);
    const size_t fields = stream.head().fields.size();
    stream.CompactHead();
    Step step = stream.TrySendHead({.status = 200, .body = BodyKind::kStreamed}, {}, {}, false);
    Error error;
    for (bool end = false; !end && error.ok();) {
      const Result<Piece> piece = co_await stream.request_body().Read(late);
      if (!piece) {
        error = piece.error();
        break;
      }
      end = piece->end;
      step = stream.response_body().TryWrite(piece->data, end);
      if (step == Step::kMustWait) {
        const Result<void> flushed = co_await stream.response_body().Flush(late);
        if (!flushed) error = flushed.error();
      }
    }
    CHECK(stream.head().path == path);
    CHECK(stream.head().fields.size() == fields);
    ++served;
    stream.Finish(error);
  }
  net::Shard& shard_;
};

struct Pair {
  explicit Pair(const PipeOptions& pipe) : shards(clock, pipe.seed, 1), echo(shards.shard()) {
    auto [first, second] = PipeTransport::Make(shards.shard(), shards.shard(), pipe);
    options.keep_alive_timeout = hours(24);
    server = std::make_unique<H2Server>(shards.shard(), std::move(second), echo, options, limits);
    server->Start();
    client = std::make_unique<H2Client>(shards.shard(), std::move(first), client_options, limits);
  }
  ~Pair() {
    client->Close();
    shards.Advance(hours(2));
    CHECK(echo.closed);
  }
  SimClock clock;
  net::testing::SimShards shards;
  H1Options options;
  H1ClientOptions client_options;
  H2Limits limits;
  Echo echo;
  std::unique_ptr<H2Server> server;
  std::unique_ptr<H2Client> client;
};

struct Outcome {
  int status = 0;
  std::string body;
  bool done = false;
};

net::Task<void> Send(ClientStream& stream, std::string body, TimePoint late) {
  Step step = Step::kDone;
  for (size_t at = 0; at < body.size() && step != Step::kFailed; at += 5000) {
    const bool last = at + 5000 >= body.size();
    step = stream.request_body().TryWrite(std::string_view(body).substr(at, 5000), last);
    if (step == Step::kMustWait) {
      const Result<void> flushed = co_await stream.request_body().Flush(late);
      if (!flushed) step = Step::kFailed;
    }
  }
}

net::Task<void> Receive(ClientStream& stream, TimePoint late, Outcome& outcome) {
  const Result<const ResponseHead*> head = co_await stream.ReceiveHead(late);
  if (!head) co_return;
  outcome.status = (*head)->status;
  for (;;) {
    const Result<Piece> piece = co_await stream.response_body().Read(late);
    if (!piece) co_return;
    outcome.body += piece->data;
    if (piece->end) break;
  }
  outcome.done = true;
}

Step SendHead(ClientStream& stream, std::string_view path) {
  RequestHead head;
  head.method = "POST";
  head.scheme = "http";
  head.authority = head.host = "a";
  head.path = path;
  head.body = BodyKind::kStreamed;
  return stream.TrySendHead(head, {}, {}, false);
}

net::Task<void> Ask(Pair& pair, std::string body, Outcome& outcome) {
  const TimePoint late = Later(pair.shards.shard().now(), hours(1));
  ClientStream& stream = pair.client->Open();
  const Step sent = SendHead(stream, "/");
  if (sent == Step::kMustWait) {
    const Result<void> flushed = co_await stream.request_body().Flush(late);
    CHECK(flushed.has_value());
  }
  co_await net::Join(Send(stream, std::move(body), late), Receive(stream, late, outcome));
  stream.Finish();
}

TEST_CASE("bodies of many streams come back whole over a pipe at its worst") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    PipeOptions pipe{.seed = seed, .window = 3000 + seed * 7000};
    pipe.from_first.split = pipe.from_second.split = seed % 2 == 0;
    if (seed % 3 == 0)
      pipe.from_first.delay_most = pipe.from_second.delay_most = std::chrono::milliseconds(20);
    Pair pair(pipe);
    std::vector<Outcome> outcomes(20);
    std::vector<std::string> bodies;
    Random random(seed);
    for (Outcome& outcome : outcomes) {
      bodies.push_back(std::string(1 + random.Below(200'000), 'x'));
      for (char& c : bodies.back()) c = static_cast<char>('a' + random.Below(26));
      net::Detach(Ask(pair, bodies.back(), outcome));
    }
    CHECK(pair.client->streams_free() == 80);
    pair.shards.Advance(std::chrono::minutes(30));
    for (size_t i = 0; i < outcomes.size(); ++i) {
      CHECK(outcomes[i].done);
      CHECK(outcomes[i].body == bodies[i]);
    }
    CHECK(pair.echo.served == outcomes.size());
    CHECK(pair.client->streams_free() == 100);
  }
}

TEST_CASE("a stream is as small as it is said to be") {
  CHECK(sizeof(H2ServerStream) <= 136);
  CHECK(sizeof(H2ClientStream) <= 208);
  CHECK(sizeof(H2BodyReader) <= 176);
  CHECK(sizeof(H2BodyWriter) <= 88);
}

#ifndef ROUSE_SANITIZED
TEST_CASE("a connection that has fallen silent keeps no buffer for its open streams") {
  constexpr size_t kPathBytes = 3000;
  constexpr size_t kBuffered = 20 * 2000;  // what is sure of 20 such paths behind Huffman's code
  Pair pair({});
  std::vector<ClientStream*> streams;
  for (char c = 'a'; c < 'a' + 20; ++c) {
    streams.push_back(&pair.client->Open());
    CHECK(SendHead(*streams.back(), "/" + std::string(kPathBytes, c)) == Step::kDone);
  }
  pair.shards.Advance(std::chrono::milliseconds(20));
  CHECK(pair.echo.begun == streams.size());
  const size_t busy = testing::g_heap.bytes;
  pair.shards.Advance(std::chrono::seconds(1));
  CHECK(testing::g_heap.bytes + kBuffered <= busy);
  // And goes on as if nothing had been.
  std::vector<Outcome> outcomes(streams.size());
  const TimePoint late = Later(pair.shards.shard().now(), hours(1));
  for (size_t i = 0; i < streams.size(); ++i) {
    CHECK(streams[i]->request_body().TryWrite("x", true) == Step::kDone);
    net::Detach(Receive(*streams[i], late, outcomes[i]));
  }
  pair.shards.Advance(std::chrono::seconds(1));
  for (const Outcome& outcome : outcomes) CHECK(outcome.body == "x");
  for (ClientStream* const stream : streams) stream->Finish();
}
#endif

TEST_CASE("a connection that breaks fails every stream, once") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    PipeOptions pipe{.seed = seed};
    pipe.from_second.reset_after = seed * 3000;
    Pair pair(pipe);
    std::vector<Outcome> outcomes(5);
    for (Outcome& outcome : outcomes) net::Detach(Ask(pair, std::string(40'000, 'x'), outcome));
    pair.shards.Advance(std::chrono::minutes(30));
    CHECK(pair.echo.begun == pair.echo.served);
    CHECK(pair.client->streams_free() == 0);
  }
}

TEST_CASE("a drained server says so, and the client opens no more") {
  Pair pair({});
  Outcome outcome;
  net::Detach(Ask(pair, "x", outcome));
  pair.shards.Advance(std::chrono::seconds(1));
  CHECK(outcome.done);
  bool unusable = false;
  pair.client->OnChange(
      {[](void* told, bool usable) { *static_cast<bool*>(told) = !usable; }, &unusable});
  pair.server->Drain();
  pair.shards.Advance(std::chrono::seconds(5));
  CHECK(pair.client->streams_free() == 0);
  CHECK(unusable);
  CHECK(pair.echo.closed);
  pair.client->OnChange({});
}

}  // namespace
}  // namespace rouse::http
