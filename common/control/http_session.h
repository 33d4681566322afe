#pragma once
// What:      HttpSession, one connection of a listener: reads a request, hands it to the service,
//            writes the answer, and so on; or gives the connection away as a WebSocket.
// Owner:     shared by the listener's table and the responder of the request being answered.
// Shard:     the control thread.
// Limits:    ListenOptions: head, body, timeouts; the answer waiting to be written:
//            queue_bytes_max.
// Invariant: one request at a time; what the client pipelines waits, at most 64 KiB of it.
// Never:     calls anybody after Cut().

#include <memory>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "common/control/asio_loop.h"
#include "common/control/byte_stream.h"
#include "common/control/channel.h"
#include "common/control/http_parser.h"

namespace rouse::control {

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  /// Both outlive the session or its Cut(). `on_over` is told once, when the connection has ended.
  HttpSession(AsioLoop& loop, const ListenOptions& options, HttpService& service,
              std::unique_ptr<ByteStream> stream, absl::AnyInvocable<void(HttpSession*)> on_over);
  ~HttpSession();

  void Start();
  /// Ends the connection; nobody is told.
  void Cut();

  // For the responder of request number `serial`; late calls do nothing.
  void Respond(uint64_t serial, int status, const Headers& headers, std::string_view body);
  void Begin(uint64_t serial, int status, const Headers& headers);
  absl::Status Write(uint64_t serial, std::string_view data);
  void End(uint64_t serial);
  void Abort(uint64_t serial);
  void OnGone(uint64_t serial, Task task);
  void Dropped(uint64_t serial);

 private:
  /// kHead -> kBody -> kAnswering -> kHead, or -> kLingering -> kOver; kHead -> kUpgrading ->
  /// kOver.
  enum class Phase : uint8_t { kHead, kBody, kAnswering, kUpgrading, kLingering, kOver };

  void Read();
  void Got(const absl::Status& status, std::string_view data);
  void Parse(std::string_view data);
  void TakeHead(HttpHead head);
  void AnswerContinue();
  void Serve();
  void Upgrade();
  void Refuse(int status);
  void SendHead(int status, const Headers& headers, std::string_view length);
  void Push(std::string_view data);
  void Flush();
  void Written(const absl::Status& status);
  void Finished();
  void NextRequest();
  void Linger();
  void Over();
  void SetDeadline(Duration wait);
  void OnTimer();
  [[nodiscard]] bool answering(uint64_t serial) const;

  AsioLoop& loop_;
  const ListenOptions& options_;
  HttpService& service_;
  std::unique_ptr<ByteStream> stream_;
  absl::AnyInvocable<void(HttpSession*)> on_over_;
  HttpParser parser_;
  IncomingRequest request_;
  std::string outbox_;
  Task on_gone_;
  std::unique_ptr<MessageChannel> upgrading_;
  TimerId timer_ = 0;
  TimePoint deadline_ = kNever;
  uint64_t serial_ = 0;
  size_t writing_ = 0;  ///< bytes in the write under way
  size_t lingered_ = 0;
  Phase phase_ = Phase::kHead;
  bool reading_ = false;
  bool http10_ = false;
  bool keep_alive_ = false;
  bool begun_ = false;  ///< the head of the answer has been sent
  bool chunked_ = false;
  bool bodiless_ = false;  ///< HEAD, 204, 304: the answer has no body
  bool finished_ = false;  ///< all of the answer is in the outbox
};

}  // namespace rouse::control
