#pragma once
// What:      H2ClientStream: one request on an H2Client, from Open to Finish.
// Owner:     the H2Client; pooled. One shard.
// Limits:    an exact copy of the response's head, kInformationalMax 1xx heads; a body's window.
// Invariant: what HTTP/1 would have called an upgrade goes out as an extended CONNECT (RFC 8441),
//            and its 2xx comes back as the 101.

#include <deque>
#include <memory>

#include "common/http/h2_heads.h"
#include "common/http/h2_stream.h"
#include "common/http/stream.h"
#include "common/http/web_socket_key.h"

namespace rouse::http {

class H2ClientStream final : public ClientStream, public H2Stream {
 public:
  static constexpr size_t kInformationalMax = 8;

  explicit H2ClientStream(H2StreamOwner& connection);

  // ---- for the connection
  void TakeHead(const H2Block& block) override;
  [[nodiscard]] bool final_head() const { return received_ != nullptr; }
  void Broken(const Error& error) override;

  // ---- ClientStream
  Step TrySendHead(const RequestHead& head, const HeadPatch& patch, std::string_view first,
                   bool end) override;
  [[nodiscard]] BodyWriter& request_body() override { return writer(); }
  Result<const ResponseHead*> TryReceiveHead() override;
  [[nodiscard]] BodyReader& response_body() override { return reader(); }
  void Cancel(const Error& error) override;
  void Finish() override;
  [[nodiscard]] bool untouched() const override { return !touched_; }

 private:
  struct Received : H2Pooled {
    H2HeadBytes bytes;
    ResponseHead head;
  };
  /// Of 1xx heads; few streams have any.
  struct Early {
    std::deque<std::unique_ptr<Received>> waiting;  ///< not handed out yet
    std::unique_ptr<Received> current;
  };
  net::Event::Awaiter BeginWait(TimePoint deadline) override;
  void EndWait(net::Wake why) override;
  [[nodiscard]] bool early() const { return early_ != nullptr && !early_->waiting.empty(); }
  void OpenReader() override;
  void Fail(const Error& error);

  net::Event head_event_;
  std::unique_ptr<Early> early_;
  std::unique_ptr<Received> received_;       ///< the final head
  std::unique_ptr<WebSocketAccept> accept_;  ///< what answers the client's Sec-WebSocket-Key
  Error error_;
  uint64_t position_ = 0;  ///< of its first byte in the connection's output
  bool touched_ = false;   ///< something of the response has come
  bool to_head_ = false;
  bool connect_ = false;
  bool sent_ = false;
};

}  // namespace rouse::http
