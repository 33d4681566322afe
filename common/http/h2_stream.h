#pragma once
// What:      H2Stream, one stream of an H2Connection: its body in (H2BodyReader), its body out
//            (H2BodyWriter). H2ServerStream and H2ClientStream build on it.
// Owner:     the connection, from its first byte to Finish; it may outlive the codec's stream.
// Shard:     one.
// Limits:    what was received and not read is at most the stream's window; H1BodyLimits.
// Invariant: bytes that were read are credited at the next read, so a piece in hand is covered.

#include <memory>
#include <vector>

#include "common/http/h1_body.h"
#include "common/http/h2_codec.h"
#include "common/http/h2_heads.h"
#include "common/http/stream.h"
#include "common/net/buffer_pool.h"
#include "common/net/event.h"
#include "common/net/shard.h"

namespace rouse::http {

class H2Stream;

/// What a stream asks of its connection: the codec, and what must be said about it.
class H2StreamOwner {
 public:
  [[nodiscard]] net::Shard& shard() { return shard_; }
  [[nodiscard]] const H2Codec& codec() const { return codec_; }
  [[nodiscard]] size_t window_parked() const { return limits_.window_parked; }
  /// Whose bytes come in: a server's are the client's.
  [[nodiscard]] Side side() const { return side_; }
  [[nodiscard]] const H1BodyLimits& body_limits() const { return body_limits_; }

  // Each may be called at any time.
  void Credit(int32_t id, size_t bytes);
  void Raise(int32_t id);
  void Resume(int32_t id, H2Outgoing& more);
  void Trailers(int32_t id, std::span<const H2Field> fields);
  void Respond(int32_t id, std::span<const H2Field> fields, H2Outgoing* more);
  void Inform(int32_t id, std::span<const H2Field> fields);
  /// The id of the new stream; H2Codec::kNoStream where there can be none, and the connection ends.
  [[nodiscard]] int32_t Request(H2Stream& stream, std::span<const H2Field> fields,
                                H2Outgoing* more);
  void Reset(H2Stream& stream, H2Code code);
  /// A stream has begun to wait: resets the one that has waited for longest where it is too much.
  virtual void BoundUnsent() = 0;
  /// The stream's user is done with it; it is gone afterwards.
  virtual void Remove(H2Stream& stream) = 0;

 protected:
  H2StreamOwner(net::Shard& shard, H2Codec::Role role, const H2Limits& limits,
                const HeadLimits& head, const H1BodyLimits& body, H2Codec::Events& events)
      : shard_(shard),
        limits_(limits),
        body_limits_(body),
        codec_(role, limits, head, events),
        side_(role == H2Codec::Role::kServer ? Side::kDownstream : Side::kUpstream) {}
  ~H2StreamOwner() = default;
  /// Output is to be packed and written at the end of this turn.
  virtual void Touch() = 0;

  net::Shard& shard_;
  const H2Limits& limits_;
  const H1BodyLimits& body_limits_;
  H2Codec codec_;
  const Side side_;
  bool failed_ = false;  ///< the codec is beyond repair
};

/// What lives in the thread's FramePool.
struct H2Pooled {
  static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
  static void operator delete(void* memory, size_t bytes) { net::FramePool::Give(memory, bytes); }
};

/// Received trailers; few streams have any.
struct H2Trailers : H2Pooled {
  H2HeadBytes bytes;
  Trailers fields;
};

class H2BodyReader final : public BodyReader, public H2Pooled {
 public:
  explicit H2BodyReader(H2Stream& stream);

  /// Whether a body comes at all; without one it has ended.
  void Start(bool body) { ended_ = !body; }
  /// Both sides may be silent for as long as they like: a tunnel, a gRPC stream.
  void SetPatient() { patient_ = true; }
  /// H2Stream::BeforeRead is to be called when the body is first waited for.
  void TellBeforeRead() { tells_ = true; }
  void Deliver(std::string_view bytes);
  void DeliverTrailers(const H2Block& block);
  void DeliverEnd();
  void Fail(const Error& error);
  /// What is buffered moves to an exact copy; returns its size.
  size_t Compact();
  void Clear();

  Step TryRead(Piece& piece) override;
  [[nodiscard]] const Trailers* trailers() const override;
  [[nodiscard]] Error error() const override { return error_; }
  [[nodiscard]] uint64_t bytes_read() const override { return bytes_read_; }
  /// The peer has ended, and all of it was read.
  [[nodiscard]] bool ended() const { return ended_ && !buffered(); }
  [[nodiscard]] bool peer_ended() const { return ended_; }
  /// As Start has left it: nothing has come, and nobody has asked.
  [[nodiscard]] bool fresh() const {
    return received_ == 0 && !raised_ && !trailers_ && error_.ok();
  }

 private:
  /// Received bytes, in the order they came: a block, or (parked) an exact copy.
  struct Buffer {
    net::Block block;
    std::unique_ptr<char[]> copy;
    size_t begin = 0;
    size_t end = 0;
    [[nodiscard]] char* data() const { return copy ? copy.get() : block.data(); }
    [[nodiscard]] size_t room() const { return copy ? 0 : block.size() - end; }
  };
  /// What has come and was not read; only while there is any.
  struct Buffers : H2Pooled {
    Buffer front;
    std::vector<Buffer> more;
    size_t in_hand = 0;  ///< of front, handed out and not released
  };
  net::Event::Awaiter BeginWait(TimePoint deadline) override;
  void EndWait(net::Wake why) override;
  [[nodiscard]] bool buffered() const;
  /// Nothing is to be waited for.
  [[nodiscard]] bool settled() const { return buffered() || ended_ || !error_.ok(); }
  void Release();
  [[nodiscard]] TimePoint Now() const;
  [[nodiscard]] TimePoint WaitEnd(TimePoint deadline) const;
  void Late();

  H2Stream& stream_;
  net::Event arrived_;
  std::unique_ptr<Buffers> in_;
  uint64_t received_ = 0;
  uint64_t bytes_read_ = 0;
  TimePoint wait_began_{};
  Duration waited_{};
  std::unique_ptr<H2Trailers> trailers_;
  Error error_;
  bool ended_ = true;
  bool patient_ = false;
  bool raised_ = false;
  bool tells_ = false;
};

class H2BodyWriter final : public BodyWriter, public H2Outgoing, public H2Pooled {
 public:
  explicit H2BodyWriter(H2Stream& stream) : stream_(stream) {}

  /// The head is about to go; `open`: a body follows it.
  void Begin(std::string_view first, bool last, bool open);
  [[nodiscard]] Step State() const;
  void Packed();
  void Fail(const Error& error);
  void AllowTrailers(bool allowed) { trailers_allowed_ = allowed; }

  Step TryWrite(std::string_view bytes, bool last) override;
  Step TryEnd(const Trailers& trailers) override;
  net::Task<Result<void>> Flush(TimePoint deadline) override;
  [[nodiscard]] Error error() const override { return error_; }
  [[nodiscard]] uint64_t bytes_written() const override { return bytes_written_; }

  [[nodiscard]] bool begun() const { return begun_; }
  [[nodiscard]] bool ended() const { return ended_ && !pending() && error_.ok(); }
  [[nodiscard]] bool pending() const { return !data.empty() || (end && !end_packed_); }
  /// When bytes last moved while some were waiting.
  [[nodiscard]] TimePoint moved() const { return moved_; }

 private:
  H2Stream& stream_;
  net::Event* packed_ = nullptr;  ///< in the frame of the Flush that waits
  uint64_t bytes_written_ = 0;
  TimePoint moved_{};
  Error error_;
  bool begun_ = false;
  bool ended_ = false;
  bool end_packed_ = false;
  bool open_ = false;  ///< DATA frames may be sent
  bool trailers_allowed_ = true;
};

class H2Stream : public H2Pooled {
 public:
  H2Stream(H2StreamOwner& connection, int32_t id);
  virtual ~H2Stream();
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  /// A response's head, 1xx or final.
  virtual void TakeHead(const H2Block& /*block*/) {}
  /// Over before both sides had ended, by a reset or with the connection.
  virtual void Broken(const Error& error);
  /// From the loop, after Broken.
  virtual void TellGone() {}
  /// The body is waited for: the server's moment to say 100 Continue.
  virtual void BeforeRead() {}

  [[nodiscard]] int32_t id() const { return id_; }
  [[nodiscard]] H2StreamOwner& connection() { return connection_; }
  [[nodiscard]] H2BodyReader& reader() {
    if (!reader_) OpenReader();
    return *reader_;
  }
  [[nodiscard]] H2BodyWriter& writer() {
    if (!writer_) writer_ = std::make_unique<H2BodyWriter>(*this);
    return *writer_;
  }
  /// The codec knows it no more.
  [[nodiscard]] bool closed() const { return closed_; }
  void SetClosed() { closed_ = true; }

 protected:
  friend class H2Connection;
  friend class H2StreamOwner;
  /// Makes reader_, as it was before it was given back.
  virtual void OpenReader() { reader_ = std::make_unique<H2BodyReader>(*this); }

  H2StreamOwner& connection_;
  std::unique_ptr<H2BodyReader> reader_;  ///< null until it is asked for, and while parked
  std::unique_ptr<H2BodyWriter> writer_;  ///< null until it is asked for
  H2Stream* next_ = nullptr;              ///< of the connection's list
  H2Stream* previous_ = nullptr;
  int32_t id_;
  bool closed_ = false;
  bool to_tell_ = false;  ///< TellGone is due
};

}  // namespace rouse::http
