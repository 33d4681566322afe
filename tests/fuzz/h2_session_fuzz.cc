// Whatever frames come behind a preface: the server survives them, what it hands out is safe to
// forward, and nothing is left behind once the client has gone. The first byte chooses how the
// bytes are cut and how requests are served.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/http/h1_writer.h"
#include "common/http/h2_server.h"
#include "common/net/shard.h"

namespace {

using namespace rouse;        // NOLINT: one small program
using namespace rouse::http;  // NOLINT

class StillClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  void Advance(Duration by) { now_ += by; }

 private:
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
};

/// The bytes of one input, a piece per read, then FIN.
class InputTransport final : public net::Transport {
 public:
  InputTransport(net::Shard& shard, std::string bytes, size_t each)
      : Transport(shard), bytes_(std::move(bytes)), each_(each) {
    readable_ = true;
  }
  net::IoResult Read(std::span<char> into) override {
    if (at_ == bytes_.size()) return {net::IoStatus::kEnd, 0};
    const size_t part = std::min({each_, into.size(), bytes_.size() - at_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), part, into.begin());
    at_ += part;
    return {net::IoStatus::kDone, part};
  }
  net::IoResult Write(std::span<const std::string_view> parts) override {
    return {net::IoStatus::kDone, parts[0].size()};
  }
  void ShutdownWrite() override {}
  void Close(bool /*reset*/) override { MarkBroken(); }
  [[nodiscard]] std::string_view peer_address() const override { return "127.0.0.1"; }
  [[nodiscard]] uint16_t peer_port() const override { return 1; }
  [[nodiscard]] uint16_t local_port() const override { return 2; }

 private:
  std::string bytes_;
  size_t each_;
  size_t at_ = 0;
};

void CheckSafe(const RequestHead& head) {
  std::vector<char> out(256 * 1024);
  const size_t size = WriteRequestHead(head, {}, out);
  CHECK(size > 0);
  out.resize(size);
  RequestParser parser{
      HeadLimits{.fields_max = 110, .field_bytes_max = 70'000, .head_bytes_max = 160'000}};
  RequestHead again;
  CHECK(parser.Parse(out, again) == ParseStep::kDone);
  CHECK(parser.head_bytes() == size);
  CHECK(again.method == head.method && again.path == head.path && again.host == head.host);
}

class Server final : public StreamHandler {
 public:
  Server(net::Shard& shard, uint8_t mode) : shard_(shard), mode_(mode) {}
  [[nodiscard]] bool over() const { return closed_ && open_ == 0; }

 private:
  void OnStream(ServerStream& stream) override {
    CheckSafe(stream.head());
    ++open_;
    if ((mode_ & 1) != 0) (void)stream.Park();
    net::Detach(Serve(stream));
  }
  void OnBadRequest(ServerStream& stream, const Error& error) override {
    CHECK(!error.ok());
    (void)stream.TrySendHead({.status = 400}, {}, {}, true);
    stream.Finish({});
  }
  void OnConnectionClosed() override { closed_ = true; }

  net::Task<void> Serve(ServerStream& stream) {
    const TimePoint soon = Later(shard_.now(), std::chrono::seconds(5));
    if ((mode_ & 2) != 0) co_await shard_.NextTurn();
    ResponseHead head{.status = 200, .body = BodyKind::kStreamed};
    Step step = stream.TrySendHead(head, {}, "begin", false);
    for (bool end = false; !end && step != Step::kFailed;) {
      const Result<Piece> piece = co_await stream.request_body().Read(soon);
      if (!piece) break;
      end = piece->end;
      if (step == Step::kMustWait) {
        const Result<void> flushed = co_await stream.response_body().Flush(soon);
        if (!flushed) break;
      }
      step = stream.response_body().TryWrite(piece->data, end && (mode_ & 4) == 0);
      if (step == Step::kMustWait) {
        const Result<void> flushed = co_await stream.response_body().Flush(soon);
        step = flushed ? Step::kDone : Step::kFailed;
      }
    }
    --open_;
    stream.Finish({});
  }

  net::Shard& shard_;
  uint8_t mode_;
  size_t open_ = 0;
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  static StillClock clock;
  static net::Shard shard(0, clock, 1, {});
  const uint8_t mode = data[0];
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  bytes.append("\0\0\0\4\0\0\0\0\0", 9);
  bytes.append(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t each = (mode & 0x80) != 0 ? 1 + (mode >> 3 & 15) : 65536;
  static const H1Options options;
  static const H2Limits limits;
  Server handler(shard, mode);
  H2Server server(shard, std::make_unique<InputTransport>(shard, std::move(bytes), each), handler,
                  options, limits);
  server.Start();
  constexpr int kTurnsMost = 100'000;
  for (int turn = 0; !handler.over(); ++turn) {
    CHECK(turn < kTurnsMost);
    if (!shard.Turn(Duration::zero())) clock.Advance(std::chrono::milliseconds(100));
  }
  return 0;
}
