#include "common/control/http_session.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "common/control/web_socket.h"

namespace rouse::control {
namespace {

constexpr size_t kPipelinedMost = 64 * 1024;
// A client that still sends must get to read our last answer before the connection is reset.
constexpr Duration kLingerLongest = std::chrono::seconds(2);
constexpr size_t kLingerBytesMost = 1 << 20;

class Responder final : public HttpResponder {
 public:
  Responder(std::shared_ptr<HttpSession> session, uint64_t serial)
      : session_(std::move(session)), serial_(serial) {}
  ~Responder() override { session_->Dropped(serial_); }

  void Respond(int status, Headers headers, std::string body) override {
    session_->Respond(serial_, status, headers, body);
  }
  void Begin(int status, Headers headers) override { session_->Begin(serial_, status, headers); }
  absl::Status Write(std::string data) override { return session_->Write(serial_, data); }
  void End() override { session_->End(serial_); }
  void Abort() override { session_->Abort(serial_); }
  void OnGone(Task task) override { session_->OnGone(serial_, std::move(task)); }

 private:
  std::shared_ptr<HttpSession> session_;
  uint64_t serial_;
};

bool WantsWebSocket(const IncomingRequest& request) {
  const auto upgrade = FindHeader(request.headers, "upgrade");
  const auto connection = FindHeader(request.headers, "connection");
  return request.method == "GET" && upgrade && connection && HasToken(*upgrade, "websocket") &&
         HasToken(*connection, "upgrade");
}

bool HasNoBody(std::string_view method, int status) {
  return method == "HEAD" || status == 204 || status == 304;
}

HttpParser::Limits LimitsOf(const ListenOptions& options) {
  HttpParser::Limits limits;
  limits.body_bytes_max = options.request_body_bytes_max;
  return limits;
}

}  // namespace

HttpSession::HttpSession(AsioLoop& loop, const ListenOptions& options, HttpService& service,
                         std::unique_ptr<ByteStream> stream,
                         absl::AnyInvocable<void(HttpSession*)> on_over)
    : loop_(loop),
      options_(options),
      service_(service),
      stream_(std::move(stream)),
      on_over_(std::move(on_over)),
      parser_(HttpParser::Role::kRequests, LimitsOf(options),
              {[this](HttpHead head) { TakeHead(std::move(head)); },
               [this](std::string_view data) { request_.body.append(data); }}) {}

HttpSession::~HttpSession() { loop_.Cancel(timer_); }

void HttpSession::Start() {
  SetDeadline(options_.head_timeout);
  Read();
}

void HttpSession::Cut() {
  phase_ = Phase::kOver;
  on_over_ = nullptr;
  on_gone_ = nullptr;
  upgrading_ = nullptr;
  stream_ = nullptr;
  loop_.Cancel(timer_);
}

// ---- the request --------------------------------------------------------------------------------

void HttpSession::Read() {
  if (reading_ || !stream_) return;
  reading_ = true;
  stream_->Read([this](const absl::Status& status, std::string_view data) { Got(status, data); });
}

void HttpSession::Got(const absl::Status& status, std::string_view data) {
  const auto self = shared_from_this();
  reading_ = false;
  if (!status.ok()) return Over();
  if (data.empty()) {
    if (phase_ != Phase::kAnswering || !finished_) return Over();
    keep_alive_ = false;  // it may still read what we have to say
    return;
  }
  if (phase_ == Phase::kAnswering) {
    parser_.Hold(data);
    if (parser_.held().size() > kPipelinedMost) return;  // read on after the answer
  } else if (phase_ == Phase::kLingering) {
    lingered_ += data.size();
    if (lingered_ > kLingerBytesMost) return Over();
  } else {
    Parse(data);
  }
  if (phase_ != Phase::kUpgrading && phase_ != Phase::kOver) Read();
}

void HttpSession::Parse(std::string_view data) {
  // The idle time ends with the first byte of a request, the head's time begins; a body may take
  // long.
  if (phase_ == Phase::kHead && parser_.held().empty()) SetDeadline(options_.head_timeout);
  if (phase_ == Phase::kBody) SetDeadline(options_.idle_timeout);
  const bool had_head = parser_.head_done();
  const absl::Status read = parser_.Feed(data);
  if (absl::IsResourceExhausted(read)) return Refuse(431);
  if (absl::IsOutOfRange(read)) return Refuse(413);
  if (!read.ok()) return Refuse(400);
  if (!parser_.head_done()) return;
  if (parser_.done()) return Serve();
  if (had_head) return;
  phase_ = Phase::kBody;
  SetDeadline(options_.idle_timeout);
  AnswerContinue();
}

void HttpSession::TakeHead(HttpHead head) {
  request_.method = std::move(head.method);
  request_.target = std::move(head.target);
  request_.headers = std::move(head.headers);
  request_.peer = stream_->peer();
  request_.local = stream_->local();
  request_.client_subject = stream_->peer_subject();
  http10_ = head.version < 11;
}

void HttpSession::AnswerContinue() {
  const auto expect = FindHeader(request_.headers, "expect");
  if (!expect || http10_ || !HasToken(*expect, "100-continue")) return;
  Push("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpSession::Serve() {
  keep_alive_ = parser_.keep_alive();
  ++serial_;
  begun_ = chunked_ = finished_ = false;
  bodiless_ = request_.method == "HEAD";
  if (WantsWebSocket(request_)) return Upgrade();
  phase_ = Phase::kAnswering;
  SetDeadline(Duration::max());
  const auto self = shared_from_this();
  service_.Serve(std::exchange(request_, {}), std::make_unique<Responder>(self, serial_));
}

void HttpSession::Upgrade() {
  if (reading_) return Refuse(400);  // pipelined behind another request: the bytes would go astray
  const int refused = service_.AcceptMessages(request_);
  if (phase_ == Phase::kOver) return;
  if (refused != 0) return Refuse(refused);
  phase_ = Phase::kUpgrading;
  SetDeadline(options_.head_timeout);
  upgrading_ = AcceptWebSocket(
      loop_, std::move(stream_), parser_.TakeHeld(), request_, options_.messages,
      [this](const absl::Status& status, SetHandlers set_handlers) {
        const auto self = shared_from_this();
        std::unique_ptr<MessageChannel> channel = std::move(upgrading_);
        if (status.ok()) {
          service_.OnMessages(std::move(request_), std::move(channel), std::move(set_handlers));
        }
        Over();
      });
}

// ---- the answer ---------------------------------------------------------------------------------

bool HttpSession::answering(uint64_t serial) const {
  return phase_ == Phase::kAnswering && serial == serial_ && !finished_;
}

void HttpSession::Refuse(int status) {
  phase_ = Phase::kAnswering;
  keep_alive_ = false;
  begun_ = chunked_ = finished_ = false;
  const std::string body = absl::StrCat(std::string(ReasonOf(status)), "\n");
  Respond(++serial_, status, {{"Content-Type", "text/plain"}}, body);
}

void HttpSession::Respond(uint64_t serial, int status, const Headers& headers,
                          std::string_view body) {
  if (!answering(serial) || begun_) return;
  SendHead(status, headers, absl::StrCat(body.size()));
  if (!bodiless_) outbox_ += body;
  Finished();
}

void HttpSession::Begin(uint64_t serial, int status, const Headers& headers) {
  if (!answering(serial) || begun_) return;
  SendHead(status, headers, {});
  Flush();
}

/// An empty `length` means that it is not known: chunks, or for HTTP/1.0 up to the end of the
/// connection.
void HttpSession::SendHead(int status, const Headers& headers, std::string_view length) {
  begun_ = true;
  bodiless_ = bodiless_ || HasNoBody({}, status);
  chunked_ = length.empty() && !http10_ && !bodiless_;
  if (length.empty() && http10_ && !bodiless_) keep_alive_ = false;
  outbox_ += absl::StrCat("HTTP/1.1 ", status, " ", std::string(ReasonOf(status)), "\r\n");
  for (const Header& header : headers) {
    if (!ValidHeader(header.name, header.value)) continue;
    if (absl::EqualsIgnoreCase(header.name, "connection")) {
      keep_alive_ = keep_alive_ && !HasToken(header.value, "close");
      continue;
    }
    absl::StrAppend(&outbox_, header.name, ": ", header.value, "\r\n");
  }
  if (!length.empty() && status != 204 && status != 304) {
    absl::StrAppend(&outbox_, "Content-Length: ", std::string(length), "\r\n");
  }
  if (chunked_) outbox_ += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) outbox_ += "Connection: close\r\n";
  if (keep_alive_ && http10_) outbox_ += "Connection: keep-alive\r\n";
  outbox_ += "\r\n";
}

absl::Status HttpSession::Write(uint64_t serial, std::string_view data) {
  if (!answering(serial) || !begun_) return absl::UnavailableError("the peer has gone");
  const size_t waiting = outbox_.size() + writing_;
  if (waiting > 0 && waiting + data.size() > options_.messages.queue_bytes_max) {
    return absl::ResourceExhaustedError("the peer reads too slowly");
  }
  if (bodiless_ || data.empty()) return absl::OkStatus();
  if (chunked_) absl::StrAppend(&outbox_, absl::Hex(data.size()), "\r\n");
  outbox_ += data;
  if (chunked_) outbox_ += "\r\n";
  Flush();
  return absl::OkStatus();
}

void HttpSession::End(uint64_t serial) {
  if (!answering(serial) || !begun_) return;
  if (chunked_) outbox_ += "0\r\n\r\n";
  Finished();
}

void HttpSession::Abort(uint64_t serial) {
  if (!answering(serial)) return;
  on_gone_ = nullptr;
  Over();
}

void HttpSession::OnGone(uint64_t serial, Task task) {
  if (answering(serial)) on_gone_ = std::move(task);
}

void HttpSession::Dropped(uint64_t serial) {
  if (!answering(serial)) return;
  on_gone_ = nullptr;
  if (begun_) return Abort(serial);
  Respond(serial, 500, {{"Content-Type", "text/plain"}}, "Internal Server Error\n");
}

void HttpSession::Finished() {
  finished_ = true;
  on_gone_ = nullptr;
  Flush();
}

void HttpSession::Push(std::string_view data) {
  outbox_.append(data);
  Flush();
}

void HttpSession::Flush() {
  if (writing_ > 0 || outbox_.empty() || !stream_) return;
  writing_ = outbox_.size();
  if (phase_ == Phase::kAnswering)
    SetDeadline(options_.idle_timeout);  // for a client that does not read
  stream_->Write(std::exchange(outbox_, {}),
                 [this](const absl::Status& status) { Written(status); });
}

void HttpSession::Written(const absl::Status& status) {
  const auto self = shared_from_this();
  writing_ = 0;
  if (!status.ok()) return Over();
  if (!outbox_.empty()) return Flush();
  if (phase_ != Phase::kAnswering) return;
  if (!finished_) return SetDeadline(Duration::max());
  if (!keep_alive_) return Linger();
  NextRequest();
}

void HttpSession::NextRequest() {
  phase_ = Phase::kHead;
  request_ = {};
  parser_.Next();
  SetDeadline(options_.idle_timeout);
  if (!parser_.held().empty()) Parse({});
  if (phase_ != Phase::kUpgrading && phase_ != Phase::kOver) Read();
}

// ---- the end ------------------------------------------------------------------------------------

void HttpSession::Linger() {
  phase_ = Phase::kLingering;
  SetDeadline(kLingerLongest);
  stream_->FinishWriting();
  Read();
}

void HttpSession::Over() {
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  stream_ = nullptr;
  loop_.Cancel(timer_);
  const auto self = shared_from_this();
  if (on_gone_) std::exchange(on_gone_, nullptr)();
  if (on_over_) std::exchange(on_over_, nullptr)(this);
}

void HttpSession::SetDeadline(Duration wait) {
  const TimePoint before = deadline_;
  deadline_ = Later(loop_.now(), wait);
  if (deadline_ == kNever || (timer_ != 0 && before <= deadline_)) return;  // the timer looks again
  loop_.Cancel(timer_);
  timer_ = loop_.At(deadline_, [this] { OnTimer(); });
}

void HttpSession::OnTimer() {
  timer_ = 0;
  if (loop_.now() >= deadline_) return Over();
  if (deadline_ == kNever) return;
  timer_ = loop_.At(deadline_, [this] { OnTimer(); });
}

}  // namespace rouse::control
