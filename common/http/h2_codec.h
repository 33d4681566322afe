#pragma once
// What:      H2Codec: bytes <-> HTTP/2 events over nghttp2, either role. No I/O.
// Owner:     H2Connection; `events` and the limits outlive it. One shard.
// Limits:    H2Limits, HeadLimits. A header block is judged before anything of it is kept.
// Invariant: events are told from within Receive and Pack, and must not call either. Output is
//            packed at once, so whatever a submit was given may go when it has returned. The
//            connection's window is credited when bytes arrive, a stream's when they were read.
// Never:     decides what a head means.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/http/h1_head.h"
#include "common/http/h2_limits.h"

struct nghttp2_session;
struct nghttp2_session_callbacks;

namespace rouse::http {

/// RFC 9113 section 7.
enum class H2Code : uint32_t {
  kNoError = 0,
  kProtocol = 1,
  kInternal = 2,
  kFlowControl = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSize = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompression = 9,
  kConnect = 10,
  kEnhanceYourCalm = 11,
};

/// A field to be sent. Names are lower case.
struct H2Field {
  std::string_view name;
  std::string_view value;
  bool indexed = true;  ///< worth a place in the peer's table
};

/// A head or trailers as they came: spans into `bytes`, which the receiver copies.
struct H2Block {
  struct Field {
    uint32_t at;
    uint32_t value_at;
    uint32_t value_size;
    uint16_t name_size;
  };
  std::string_view bytes;
  std::span<const Field> fields;
  bool end = false;        ///< nothing follows
  bool too_large = false;  ///< over the limits; what is here is not all
};

/// What a stream has to send: body bytes, and the end.
struct H2Outgoing {
  std::string_view data;
  bool end = false;
  bool starved = false;  ///< waits for the socket, not for a window
  bool asked = false;    ///< the codec asks for it; not before there is something to be had
};

class H2Stream;

class H2Codec {
 public:
  enum class Role : uint8_t { kServer, kClient };
  static constexpr int32_t kNoStream = -1;

  class Events {
   public:
    /// Server: a request begins. False: it is refused unprocessed.
    virtual bool MayBegin() = 0;
    /// A head is whole: of a new stream (server; the stream that it becomes is returned), or of
    /// `stream`: a response's head, or trailers.
    virtual H2Stream* OnBlock(int32_t id, H2Stream* stream, const H2Block& block) = 0;
    virtual void OnData(H2Stream& stream, std::string_view bytes) = 0;
    virtual void OnEnd(H2Stream& stream) = 0;
    /// The stream is over for the codec: both sides have ended, or one has reset it.
    virtual void OnClosed(H2Stream& stream, H2Code code) = 0;
    /// `outgoing` has been packed to its last byte.
    virtual void OnPacked(H2Outgoing& outgoing) = 0;
    virtual void OnGoAway() {}
    virtual void OnSettings() {}

   protected:
    ~Events() = default;
  };

  H2Codec(Role role, const H2Limits& limits, const HeadLimits& head, Events& events);
  ~H2Codec();
  H2Codec(const H2Codec&) = delete;
  H2Codec& operator=(const H2Codec&) = delete;

  /// False where the connection is beyond repair; Pack may still have a GOAWAY.
  [[nodiscard]] bool Receive(std::string_view bytes, TimePoint now);
  /// Brings everything that may be sent into output(). False as Receive, or where output() has more
  /// than H2Limits::output_bytes_max already; false once, false for ever.
  [[nodiscard]] bool Pack();
  [[nodiscard]] std::string_view output() const {
    return std::string_view(output_).substr(written_);
  }
  void Written(size_t bytes);
  /// Output bytes ever packed, and ever written.
  [[nodiscard]] uint64_t packed_total() const { return written_total_ + output().size(); }
  [[nodiscard]] uint64_t written_total() const { return written_total_; }
  /// An idle connection's buffers go.
  void ReleaseBuffers();
  /// A stream has had to wait for the socket since the last call.
  [[nodiscard]] bool TakeStarved() { return std::exchange(starved_, false); }
  /// Neither side has anything to say any more.
  [[nodiscard]] bool over() const;

  // ---- streams. Each submit packs.
  /// Where `more` is null the head is all.
  bool SubmitResponse(int32_t id, std::span<const H2Field> fields, H2Outgoing* more);
  bool SubmitInformational(int32_t id, std::span<const H2Field> fields);
  /// The id of the new stream; kNoStream where there can be none.
  int32_t SubmitRequest(std::span<const H2Field> fields, H2Outgoing* more, H2Stream& stream);
  bool SubmitTrailers(int32_t id, std::span<const H2Field> fields);
  /// `more` of this stream has something to send, for the first time or again.
  bool Resume(int32_t id, H2Outgoing& more);
  void Reset(int32_t id, H2Code code);
  /// The stream is not told anything any more.
  void Detach(int32_t id);
  /// `bytes` were read: the stream may send as many again. Takes effect at the next Pack.
  void Consumed(int32_t id, size_t bytes);
  void RaiseWindow(int32_t id, uint32_t window);
  [[nodiscard]] uint32_t peer_streams_max() const;
  [[nodiscard]] bool peer_takes_connect_protocol() const;
  [[nodiscard]] bool ids_left() const;

  // ---- the connection. Each takes effect at the next Pack.
  void ShutdownNotice();
  void GoAway();
  /// Ends it with GOAWAY.
  void Terminate(H2Code code);
  /// Something is wrong with what the peer does; too often, and the connection ends.
  void CountGlitch();

  [[nodiscard]] bool settings_acked() const { return settings_acked_; }
  /// The PING behind ShutdownNotice has come back.
  [[nodiscard]] bool notice_acked() const { return notice_acked_; }
  /// A header block has begun and is not whole; since when.
  [[nodiscard]] TimePoint block_since() const { return block_since_; }

 private:
  friend struct H2Callbacks;
  /// Beyond this much of output DATA waits for the socket.
  static constexpr size_t kOutputHigh = 64 * 1024;
  static constexpr size_t kSkippedMost = 64;
  static constexpr size_t kResetsKept = 128;
  static constexpr size_t kFrameHead = 9;

  struct SessionDeleter {
    void operator()(nghttp2_session* session) const;
  };
  struct Skipped {
    int32_t first;
    int32_t last;
  };
  [[nodiscard]] static const nghttp2_session_callbacks* Callbacks();
  [[nodiscard]] bool Feed(std::string_view bytes);
  [[nodiscard]] size_t FindDoubtful(std::string_view bytes);
  [[nodiscard]] bool IsOver(int32_t id) const;
  void SeeLate(int32_t id, bool head);
  void RememberReset(int32_t id);
  void Count(RateLimit& limit);
  void SeeNewStream(int32_t id);
  [[nodiscard]] bool WasSkipped(int32_t id) const;
  void Collect(std::string_view name, std::string_view value);

  const Role role_;
  const H2Limits& limits_;
  const HeadLimits& head_;
  Events& events_;
  std::unique_ptr<nghttp2_session, SessionDeleter> session_;
  std::string output_;
  size_t written_ = 0;
  uint64_t written_total_ = 0;
  bool stuck_ = false;  ///< Pack has refused

  std::string bytes_;  ///< of the header block that is coming
  std::vector<H2Block::Field> fields_;
  size_t block_size_ = 0;  ///< as RFC 9113 counts: names, values, 32 each
  size_t block_fields_ = 0;
  bool block_too_large_ = false;
  TimePoint block_since_ = kNever;

  TimePoint now_{};
  RateLimit resets_;
  RateLimit pings_;
  RateLimit settings_;
  RateLimit window_updates_;
  RateLimit empty_frames_;
  RateLimit glitches_;
  std::vector<Skipped> skipped_;
  std::vector<int32_t> reset_ids_;  ///< the last kResetsKept, in a ring
  size_t reset_next_ = 0;
  size_t skip_ = 0;         ///< of the preface or a payload, until the next frame's head
  std::string frame_head_;  ///< of a frame whose head was cut
  int32_t doubtful_ = 0;
  int32_t last_id_ = 0;
  int large_heads_ = 0;
  bool in_reset_ = false;  ///< the frame that skip_ counts is a RST_STREAM
  bool starved_ = false;
  bool settings_acked_ = false;
  bool notice_acked_ = false;
  bool terminated_ = false;
};

}  // namespace rouse::http
