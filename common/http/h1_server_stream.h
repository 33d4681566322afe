#pragma once
// What:      H1ServerStream: one request on an H1Server, from its first byte to Finish.
// Owner:     the H1Server; its memory is pooled like a coroutine's frame. One shard.
// Limits:    one block for the head (small, grown once to large); while parked an exact copy, and
//            nothing else.
// Invariant: the head's views stay valid until Finish, across Park.

#include <memory>

#include "common/http/h1_body.h"
#include "common/http/h1_head.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

struct H1Options {
  HeadLimits head;
  H1BodyLimits body;
  Duration first_byte_timeout = std::chrono::seconds(10);  ///< after accept; silent close
  Duration fresh_for = std::chrono::seconds(1);  ///< after accept; not idle even without a request
  Duration head_timeout = std::chrono::seconds(10);        ///< from the head's first byte; 408
  Duration keep_alive_timeout = std::chrono::seconds(60);  ///< between requests; silent close
  Duration linger_timeout = std::chrono::seconds(2);
  size_t linger_bytes_max = 64 * 1024;
  uint64_t requests_max = 1'000'000;
  /// A client that half-closes while its request waits for a pod has not gone.
  bool half_close_parked_keeps = false;
};

/// What a stream asks of its connection.
class H1StreamOwner {
 public:
  /// How a connection goes on after an exchange: with the next request where both messages ended
  /// cleanly; else closed, closed once the client has had time to read what was sent, or cut.
  enum class Ending : uint8_t { kReuse, kClose, kLinger, kReset };

  [[nodiscard]] net::Shard& shard() { return shard_; }
  [[nodiscard]] net::Transport& transport() { return *transport_; }
  [[nodiscard]] const H1Options& options() const { return options_; }
  /// The exchange is over, and the stream with it.
  virtual void EndExchange(Ending ending) = 0;
  /// TellGone is to be called from the loop.
  virtual void TellGoneSoon() = 0;
  /// No request is taken after this one.
  [[nodiscard]] virtual bool last_request() const = 0;

 protected:
  H1StreamOwner(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                const H1Options& options)
      : shard_(shard), transport_(std::move(transport)), options_(options) {}
  ~H1StreamOwner() = default;

  net::Shard& shard_;
  std::unique_ptr<net::Transport> transport_;
  const H1Options& options_;
};

class H1ServerStream final : public ServerStream {
 public:
  explicit H1ServerStream(H1StreamOwner& owner);

  static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
  static void operator delete(void* stream, size_t bytes) { net::FramePool::Give(stream, bytes); }

  // ---- for the connection
  /// Reads once and parses. kMore: wait. kDone: the head is there. kFailed: error(), or the end
  /// (ended()).
  ParseStep ReadHead();
  /// Begins with bytes that came behind the message before.
  void StartWith(std::string_view bytes, net::Block block);
  [[nodiscard]] bool holds_bytes() const { return used_ > parsed_; }
  [[nodiscard]] std::string_view held_bytes() const { return {block_.data(), used_}; }
  [[nodiscard]] bool held() const { return used_ > 0; }
  /// More than empty lines has come.
  [[nodiscard]] bool started() const {
    return work_->parser.started() || used_ > work_->parser.head_bytes();
  }
  [[nodiscard]] bool peer_ended() const { return peer_ended_; }
  [[nodiscard]] const Error& error() const { return work_->parser.error(); }
  void OpenBody();
  /// Nothing more is read as HTTP: only a reply goes out.
  void OpenRefused();
  void TellGone();
  [[nodiscard]] std::string_view leftover() const { return work_->reader.leftover(); }
  [[nodiscard]] net::Block TakeLeftoverBlock();

  // ---- ServerStream
  [[nodiscard]] const RequestHead& head() const override { return head_; }
  [[nodiscard]] const PeerInfo& peer() const override { return peer_; }
  [[nodiscard]] BodyReader& request_body() override { return work().reader; }
  [[nodiscard]] BodyWriter& response_body() override { return work().writer; }
  Step TrySendInformational(const ResponseHead& head, const HeadPatch& patch) override;
  Step TrySendHead(const ResponseHead& head, const HeadPatch& patch, std::string_view first,
                   bool end) override;
  [[nodiscard]] bool head_sent() const override { return work_ && work_->writer.begun(); }
  size_t Park() override;
  void Unpark() override {
    waiting_ = false;
    (void)work();
  }
  void OnGone(GoneWatch watch) override { gone_watch_ = watch; }
  [[nodiscard]] bool gone() const override;
  void CancelRead(const Error& error) override;
  void CloseAfter() override { close_after_ = true; }
  void Finish(const Error& error) override;

 private:
  /// What a request needs while it moves; given back by Park, and there again once it is used.
  struct Work {
    explicit Work(H1StreamOwner& owner);
    static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
    static void operator delete(void* work, size_t bytes) { net::FramePool::Give(work, bytes); }
    RequestParser parser;
    H1BodyReader reader;
    H1BodyWriter writer;
  };

  static void SayContinue(void* self);
  void StartBody(std::string_view behind);
  void Resume();
  [[nodiscard]] size_t parked_bytes() const;
  [[nodiscard]] Work& work() {
    if (!work_) Resume();
    return *work_;
  }
  bool MakeRoom();
  [[nodiscard]] ResponseFraming FramingOf(const ResponseHead& head, size_t first, bool end) const;
  [[nodiscard]] bool MustClose() const;
  [[nodiscard]] char* bytes() { return parked_ ? parked_.get() : block_.data(); }

  H1StreamOwner& owner_;
  PeerInfo peer_;
  RequestHead head_;
  std::unique_ptr<Work> work_;  ///< null while parked
  net::Block block_;
  std::unique_ptr<char[]> parked_;
  uint32_t used_ = 0;          ///< bytes in the block
  uint32_t parsed_ = 0;        ///< of these the parser has seen
  uint32_t head_bytes_ = 0;    ///< of the head, once it is whole
  uint32_t behind_bytes_ = 0;  ///< parked behind the head, of the body or the next request
  GoneWatch gone_watch_;
  bool peer_ended_ = false;
  bool close_after_ = false;
  bool refused_ = false;
  bool upgraded_ = false;
  bool waiting_ = false;  ///< parked, and no response begun
  bool keep_alive_ = true;
};

}  // namespace rouse::http
