#include "common/control/http_client.h"

#include <algorithm>
#include <deque>
#include <list>
#include <utility>

#include <absl/strings/match.h>

#include "common/control/http_parser.h"
#include "common/control/tcp.h"

namespace rouse::control {
namespace {

constexpr Duration kIdleLongest = std::chrono::seconds(30);

class CallState;

/// One connection. It always has a read under way: what arrives goes to the call that uses it, and
/// on an idle one it means that the connection is of no more use.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

  void Start() { Read(); }
  ByteStream* stream() { return stream_.get(); }
  void Cut() { stream_.reset(); }

  CallState* user = nullptr;  ///< clears itself here before it goes
  absl::AnyInvocable<void()> on_idle_end;
  bool used_before = false;
  TimerId idle_timer = 0;

 private:
  void Read();
  void Got(const absl::Status& status, std::string_view data);
  std::unique_ptr<ByteStream> stream_;
};

using ConnectionRef = std::shared_ptr<Connection>;

/// The connections of one client.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  Pool(AsioLoop& l, Origin o) : loop(l), origin(std::move(o)) {
    if (!origin.tls) return;
    absl::StatusOr<TlsContext> made = NewClientContext(*origin.tls);
    usable = made.status();
    if (usable.ok()) tls = *std::move(made);
  }
  ~Pool() {
    for (const ConnectionRef& connection : idle_) loop.Cancel(connection->idle_timer);
  }

  ConnectionRef TakeIdle();
  void PutIdle(ConnectionRef connection);
  void Close();
  /// A connection, or the place of one, has gone: the first call that waits may have it.
  void Released();
  void Wait(const std::shared_ptr<CallState>& call) { waiting_.push_back(call); }

  AsioLoop& loop;
  const Origin origin;
  TlsContext tls;
  absl::Status usable = absl::OkStatus();
  size_t open = 0;  ///< being dialled, in use, idle
  bool closed = false;

 private:
  void DropIdle(const Connection* connection);
  std::list<ConnectionRef> idle_;
  std::deque<std::weak_ptr<CallState>> waiting_;
};

/// waiting for a place -> dialling -> asking -> head -> body -> ended. From asking back to dialling
/// once.
class CallState : public std::enable_shared_from_this<CallState> {
 public:
  CallState(std::shared_ptr<Pool> pool, HttpRequest request, HttpHandlers handlers)
      : pool_(std::move(pool)), request_(std::move(request)), handlers_(std::move(handlers)) {}
  ~CallState() { Release(false); }

  void Start();
  /// Looks for a connection, or waits.
  void Begin();
  void OnBytes(const absl::Status& status, std::string_view data);
  /// The caller has gone: silence.
  void Cancel();
  [[nodiscard]] bool over() const { return ended_ || cancelled_; }

 private:
  void DialNew();
  void Ask(ConnectionRef connection);
  [[nodiscard]] std::string Message() const;
  void NewParser();
  void OnHead(HttpHead head);
  void OnConnectionEnd(const absl::Status& status);
  [[nodiscard]] bool MayRepeat() const;
  void OnTimer();
  void ArmTimer(TimePoint when);
  void Release(bool keep);
  void End(absl::Status status);
  template <typename F>
  void Tell(F tell);

  std::shared_ptr<Pool> pool_;
  HttpRequest request_;
  HttpHandlers handlers_;
  std::unique_ptr<Dialing> dialing_;
  ConnectionRef connection_;
  std::unique_ptr<HttpParser> parser_;
  TimerId timer_ = 0;
  TimePoint deadline_ = kNever;
  bool place_ = false;  ///< one of the pool's connections, being dialled or open, is ours
  bool written_ = false;
  bool answered_ = false;  ///< a byte of the answer has come
  bool head_told_ = false;
  bool repeated_ = false;
  bool ended_ = false;
  bool cancelled_ = false;
  int telling_ = 0;
};

// ---- Connection ---------------------------------------------------------------------------------

void Connection::Read() {
  stream_->Read([this](const absl::Status& status, std::string_view data) { Got(status, data); });
}

void Connection::Got(const absl::Status& status, std::string_view data) {
  const ConnectionRef self = shared_from_this();
  const bool more = status.ok() && !data.empty();
  if (user == nullptr) {
    if (on_idle_end) std::exchange(on_idle_end, nullptr)();
    return;
  }
  user->OnBytes(status, data);
  if (more && stream_) Read();
}

// ---- Pool ---------------------------------------------------------------------------------------

ConnectionRef Pool::TakeIdle() {
  if (idle_.empty()) return nullptr;
  ConnectionRef connection = std::move(idle_.back());
  idle_.pop_back();
  loop.Cancel(connection->idle_timer);
  connection->on_idle_end = nullptr;
  return connection;
}

void Pool::PutIdle(ConnectionRef connection) {
  const auto drop = [weak = weak_from_this(), which = connection.get()] {
    if (const auto pool = weak.lock()) pool->DropIdle(which);
  };
  connection->on_idle_end = drop;
  connection->idle_timer = loop.At(loop.now() + kIdleLongest, drop);
  idle_.push_back(std::move(connection));
  Released();
}

void Pool::DropIdle(const Connection* connection) {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const ConnectionRef& each) {
    return each.get() == connection;
  });
  if (found == idle_.end()) return;
  const ConnectionRef gone = std::move(*found);
  idle_.erase(found);
  loop.Cancel(gone->idle_timer);
  gone->Cut();
  --open;
  Released();
}

void Pool::Close() {
  closed = true;
  while (!idle_.empty()) DropIdle(idle_.front().get());
}

void Pool::Released() {
  while (!waiting_.empty()) {
    const std::shared_ptr<CallState> call = waiting_.front().lock();
    waiting_.pop_front();
    if (!call || call->over()) continue;
    loop.Post([weak = std::weak_ptr(call)] {
      if (const auto it = weak.lock(); it && !it->over()) it->Begin();
    });
    return;
  }
}

// ---- CallState ----------------------------------------------------------------------------------

void CallState::Start() {
  if (cancelled_) return;
  ArmTimer(Later(pool_->loop.now(), request_.limits.head_timeout));
  if (!pool_->usable.ok()) return End(pool_->usable);
  for (const Header& header : request_.headers) {
    if (!ValidHeader(header.name, header.value)) {
      return End(absl::InvalidArgumentError("header not valid: " + header.name));
    }
  }
  if (request_.target.empty() || request_.target.find_first_of(" \r\n\t") != std::string::npos) {
    return End(absl::InvalidArgumentError("target not valid"));
  }
  Begin();
}

void CallState::Begin() {
  if (ConnectionRef idle = pool_->TakeIdle()) {
    place_ = true;
    return Ask(std::move(idle));
  }
  if (pool_->open >= request_.limits.connections_max) return pool_->Wait(shared_from_this());
  DialNew();
}

void CallState::DialNew() {
  if (!place_) ++pool_->open;
  place_ = true;
  dialing_ = Dial(pool_->loop, pool_->origin, pool_->tls, request_.limits.connect_timeout,
                  [this](absl::StatusOr<std::unique_ptr<ByteStream>> stream) {
                    const auto self = shared_from_this();
                    if (!stream.ok()) return End(stream.status());
                    auto connection = std::make_shared<Connection>(*std::move(stream));
                    connection->Start();
                    Ask(std::move(connection));
                  });
}

void CallState::Ask(ConnectionRef connection) {
  connection_ = std::move(connection);
  connection_->user = this;
  NewParser();
  written_ = false;
  connection_->stream()->Write(Message(), [this](const absl::Status& status) {
    // A failed write is not the end: the answer may be here already, and if not the read fails too.
    written_ = status.ok();
  });
}

std::string CallState::Message() const {
  const Origin& origin = pool_->origin;
  std::string out = request_.method + " " + request_.target + " HTTP/1.1\r\nHost: ";
  out += origin.host.find(':') == std::string::npos ? origin.host : "[" + origin.host + "]";
  if (origin.port != (origin.tls ? 443 : 80)) out += ":" + std::to_string(origin.port);
  out += "\r\n";
  for (const Header& header : request_.headers) out += header.name + ": " + header.value + "\r\n";
  const bool expects_body =
      request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH";
  if (!request_.body.empty() || expects_body) {
    out += "Content-Length: " + std::to_string(request_.body.size()) + "\r\n";
  }
  out += "\r\n";
  out += request_.body;
  return out;
}

void CallState::NewParser() {
  HttpParser::Limits limits;
  limits.head_bytes_max = request_.limits.head_bytes_max;
  HttpParser::Events events;
  events.on_head = [this](HttpHead head) { OnHead(std::move(head)); };
  events.on_body = [this](std::string_view data) {
    Tell([&] {
      if (handlers_.on_data) handlers_.on_data(data);
    });
  };
  parser_ = std::make_unique<HttpParser>(HttpParser::Role::kResponses, limits, std::move(events));
  parser_->Next(request_.method == "HEAD");
}

void CallState::OnHead(HttpHead head) {
  if (head.status < 200) return;  // an interim answer (RFC 9110 section 15.2)
  head_told_ = true;
  ArmTimer(Later(pool_->loop.now(), request_.limits.idle_timeout));
  Tell([&] {
    if (handlers_.on_head) handlers_.on_head(head.status, head.headers);
  });
}

void CallState::OnBytes(const absl::Status& status, std::string_view data) {
  const auto self = shared_from_this();
  if (!status.ok() || data.empty()) return OnConnectionEnd(status);
  answered_ = true;
  if (head_told_) deadline_ = Later(pool_->loop.now(), request_.limits.idle_timeout);
  while (true) {
    const absl::Status read = parser_->Feed(data);
    if (over()) return;
    if (!read.ok())
      return End(absl::UnavailableError("answer not valid: " + std::string(read.message())));
    if (!parser_->done()) return;
    if (head_told_) break;
    parser_->Next(request_.method == "HEAD");
    data = {};
    if (parser_->held().empty()) return;
  }
  Release(parser_->keep_alive() && parser_->held().empty() && written_);
  End(absl::OkStatus());
}

void CallState::OnConnectionEnd(const absl::Status& status) {
  if (!answered_ && MayRepeat()) {
    repeated_ = true;
    connection_->user = nullptr;
    connection_->Cut();
    connection_ = nullptr;
    return DialNew();
  }
  const std::string why = status.ok() ? "closed by the peer" : std::string(status.message());
  if (!head_told_) return End(absl::UnavailableError("no answer: " + why));
  if (status.ok() && parser_->FeedEnd().ok() &&
      parser_->done()) {  // a body that ends with the connection
    Release(false);
    return End(absl::OkStatus());
  }
  End(absl::UnavailableError("answer cut short: " + why));
}

bool CallState::MayRepeat() const {
  const std::string& method = request_.method;
  const bool idempotent = method != "POST" && method != "PATCH" && method != "CONNECT";
  return connection_->used_before && !repeated_ && idempotent;
}

void CallState::ArmTimer(TimePoint when) {
  deadline_ = when;
  pool_->loop.Cancel(timer_);
  timer_ = 0;
  if (when == kNever) return;
  timer_ = pool_->loop.At(when, [this] { OnTimer(); });
}

void CallState::OnTimer() {
  if (pool_->loop.now() < deadline_)
    return ArmTimer(deadline_);  // bytes have come since it was set
  const auto self = shared_from_this();
  End(absl::DeadlineExceededError(head_told_ ? "idle timeout: the answer stopped"
                                             : "head timeout: no answer"));
}

void CallState::Release(bool keep) {
  pool_->loop.Cancel(timer_);
  dialing_ = nullptr;
  if (!place_) return;
  place_ = false;
  if (connection_) {
    connection_->user = nullptr;
    connection_->used_before = true;
    if (keep && !pool_->closed) return pool_->PutIdle(std::move(connection_));
    connection_->Cut();
    connection_ = nullptr;
  }
  --pool_->open;
  pool_->Released();
}

void CallState::End(absl::Status status) {
  if (ended_) return;
  ended_ = true;
  Release(false);
  Tell([&] {
    if (handlers_.on_end) handlers_.on_end(std::move(status));
  });
}

template <typename F>
void CallState::Tell(F tell) {
  if (cancelled_) return;
  const auto self = shared_from_this();
  ++telling_;
  tell();
  --telling_;
  if (cancelled_ && telling_ == 0) handlers_ = {};
}

void CallState::Cancel() {
  cancelled_ = true;
  Release(false);
  if (telling_ == 0) handlers_ = {};  // else the one that runs now would lose what it holds
}

// ---- what the caller holds ----------------------------------------------------------------------

class CallHandle final : public HttpCall {
 public:
  explicit CallHandle(std::shared_ptr<CallState> state) : state_(std::move(state)) {}
  ~CallHandle() override { state_->Cancel(); }

 private:
  std::shared_ptr<CallState> state_;
};

class RealHttpClient final : public HttpClient {
 public:
  explicit RealHttpClient(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
  ~RealHttpClient() override { pool_->Close(); }

  std::unique_ptr<HttpCall> Start(HttpRequest request, HttpHandlers handlers) override {
    auto state = std::make_shared<CallState>(pool_, std::move(request), std::move(handlers));
    pool_->loop.Post([weak = std::weak_ptr(state)] {
      if (const auto it = weak.lock()) it->Start();
    });
    return std::make_unique<CallHandle>(std::move(state));
  }

 private:
  std::shared_ptr<Pool> pool_;
};

}  // namespace

std::unique_ptr<HttpClient> NewHttpClient(AsioLoop& loop, Origin origin) {
  return std::make_unique<RealHttpClient>(std::make_shared<Pool>(loop, std::move(origin)));
}

}  // namespace rouse::control
