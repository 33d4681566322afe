#pragma once
// What:      H1BodyReader and H1BodyWriter: bodies over a transport as HTTP/1.1 frames them, in
//            either role.
// Owner:     an H1 stream; the transport outlives it. One shard.
// Limits:    one block while bytes are there to be handed on, none while waiting; H1BodyLimits.
// Invariant: what was read behind the body's end is leftover(): bytes of the next message.
// Never:     hides a truncated body: the end is said only where the framing says so.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/http/h1_chunks.h"
#include "common/http/h1_writer.h"
#include "common/http/stream.h"
#include "common/net/buffer_pool.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

struct H1BodyLimits {
  Duration read_idle_timeout = std::chrono::seconds(30);
  Duration write_idle_timeout = std::chrono::seconds(30);
  /// Bytes per second that a client's body must make, on average over the time that we have waited
  /// for it, once that is more than rate_grace; 0: any.
  uint64_t rate_least = 1024;
  Duration rate_grace = std::chrono::seconds(10);
  uint64_t body_bytes_max = UINT64_MAX;
};

/// When a wait for a client's body that begins now breaks rate_least: `bytes` have come, and
/// `waited` is what we have waited for them so far. kNever without such a limit.
[[nodiscard]] TimePoint RateEnd(const H1BodyLimits& limits, TimePoint now, uint64_t bytes,
                                Duration waited);

class H1BodyReader final : public BodyReader {
 public:
  /// Called when a body is first waited for: the server's moment to say 100 Continue.
  using BeforeRead = void (*)(void* context);

  H1BodyReader(net::Shard& shard, Side side, const H1BodyLimits& limits)
      : shard_(shard), side_(side), limits_(limits) {}

  /// A new body. `buffered` was read behind the head, and stays valid until it has been handed out.
  void Start(net::Transport& transport, BodyKind kind, uint64_t length, std::string_view buffered);
  /// The rest of the connection, as it comes (after a 101).
  void StartRaw(net::Transport& transport, std::string_view buffered);
  void OnBeforeRead(BeforeRead told, void* context) {
    before_read_ = told;
    before_read_context_ = context;
  }
  /// The buffered bytes were moved elsewhere.
  void MoveBuffered(const char* to) {
    if (!block_) input_ = {to, input_.size()};
  }

  Step TryRead(Piece& piece) override;
  [[nodiscard]] const Trailers* trailers() const override;
  [[nodiscard]] Error error() const override { return error_; }
  [[nodiscard]] uint64_t bytes_read() const override { return bytes_read_; }

  [[nodiscard]] bool ended() const { return ended_; }
  /// Somebody has asked for the body since Start.
  [[nodiscard]] bool begun() const { return begun_; }
  [[nodiscard]] size_t block_bytes() const { return block_.size(); }
  /// After the end: bytes of the next message, and the block they lie in (empty: the head's own).
  [[nodiscard]] std::string_view leftover() const { return input_; }
  [[nodiscard]] net::Block TakeBlock() { return std::move(block_); }
  /// Every further read fails with this.
  void Cancel(const Error& error);
  void Clear();

 private:
  bool TakeInput(Piece& piece);
  bool TakeChunk(Piece& piece);
  Step Fill();
  Step EndOfInput(bool broken);
  Step Fail(ErrorKind kind, const char* detail);
  net::Event::Awaiter BeginWait(TimePoint deadline) override;
  void EndWait(net::Wake why) override;
  [[nodiscard]] TimePoint WaitEnd(TimePoint deadline) const;
  void TellBeforeRead();

  net::Shard& shard_;
  const Side side_;
  const H1BodyLimits& limits_;
  net::Transport* transport_ = nullptr;
  BodyKind kind_ = BodyKind::kNone;
  bool raw_ = false;
  bool begun_ = false;
  bool ended_ = true;
  uint64_t left_ = 0;
  uint64_t bytes_read_ = 0;
  std::string_view input_;  ///< read and not handed out
  net::Block block_;
  std::unique_ptr<ChunkDecoder> decoder_;  ///< made for the first chunked body
  TimePoint wait_began_{};
  Duration waited_{};  ///< for the peer
  BeforeRead before_read_ = nullptr;
  void* before_read_context_ = nullptr;
  Error error_;
};

class H1BodyWriter final : public BodyWriter {
 public:
  H1BodyWriter(net::Shard& shard, Side side, const H1BodyLimits& limits)
      : shard_(shard), side_(side), limits_(limits) {}

  /// Sends a head, which may lie in the shard's scratch, with the first bytes of its body. kNone: a
  /// body that is not sent, whatever is written. kUntilClose: as it comes.
  Step Begin(net::Transport& transport, std::string_view head, BodyKind kind, uint64_t length,
             std::string_view first, bool end);
  /// Whether trailers may be sent at the end of a chunked body.
  void AllowTrailers(bool allowed) { trailers_allowed_ = allowed; }
  /// Nothing is sent after this message: FIN goes out with its last bytes. Before Begin; a body
  /// kUntilClose (a tunnel's half close, security.md U09, or HTTP/1.0) needs no telling.
  void CloseAfter() { closes_ = true; }
  /// Bytes outside any body, such as a 1xx head.
  Step WriteBare(net::Transport& transport, std::string_view bytes);

  Step TryWrite(std::string_view data, bool end) override;
  Step TryEnd(const Trailers& trailers) override;
  net::Task<Result<void>> Flush(TimePoint deadline) override;
  [[nodiscard]] Error error() const override { return error_; }
  [[nodiscard]] uint64_t bytes_written() const override { return bytes_written_; }

  [[nodiscard]] bool begun() const { return begun_; }
  /// All of it, the end included, has been handed to the transport.
  [[nodiscard]] bool ended() const { return ended_ && !pending() && error_.ok(); }
  [[nodiscard]] bool pending() const {
    return !prefix_.empty() || !data_.empty() || !suffix_.empty();
  }
  /// No byte of this message has left.
  [[nodiscard]] bool untouched() const { return sent_ == 0; }
  void Cancel(const Error& error);
  void Clear();

 private:
  Step Send(std::string_view prefix, std::string_view data, std::string_view suffix);
  Step Sent(const net::IoResult& wrote, std::string_view prefix, std::string_view data,
            std::string_view suffix);
  net::IoResult WriteOut(std::span<const std::string_view> parts);
  Step Write(std::string_view prefix, std::string_view data, bool end, std::string_view last_chunk);
  Step Broken();

  net::Shard& shard_;
  const Side side_;
  const H1BodyLimits& limits_;
  net::Transport* transport_ = nullptr;
  BodyKind kind_ = BodyKind::kNone;
  uint64_t left_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  bool trailers_allowed_ = false;
  bool closes_ = false;  ///< the connection is to end with this message
  uint64_t bytes_written_ = 0;
  uint64_t sent_ = 0;
  std::string kept_;  ///< what of a head or a chunk header could not be sent at once
  std::string_view prefix_;
  std::string_view data_;
  std::string_view suffix_;
  std::string last_chunk_;  ///< with trailers
  Error error_;
};

}  // namespace rouse::http
