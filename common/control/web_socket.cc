#include "common/control/web_socket.h"

#include <deque>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "common/control/http_parser.h"
#include "common/control/tcp.h"

namespace rouse::control {
namespace {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using Error = beast::error_code;

// ---- the library's stream over a ByteStream -----------------------------------------------------

/// An AsyncStream in the library's sense, so that its templates are compiled for one type only.
class Bytes {
 public:
  using executor_type = asio::io_context::executor_type;

  Bytes(asio::io_context& io, std::unique_ptr<ByteStream> stream, std::string rest)
      : io_(io), rest_(std::move(rest)), stream_(std::move(stream)) {}

  executor_type get_executor() { return io_.get_executor(); }
  ByteStream* stream() { return stream_.get(); }
  /// Ends the connection; operations under way are forgotten.
  void Cut() { stream_ = nullptr; }
  /// Ends the connection; operations under way fail.
  void Abort() {
    stream_ = nullptr;
    if (reading_) Later(asio::error::operation_aborted, 0, std::move(reading_));
    if (writing_) Later(asio::error::operation_aborted, 0, std::move(writing_));
  }
  /// Why reading or writing failed.
  [[nodiscard]] const absl::Status& failure() const { return failure_; }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(Error, size_t)>(
        [this](auto handler, const Buffers& into) { this->ReadSome(into, std::move(handler)); },
        token, buffers);
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(Error, size_t)>(
        [this](auto handler, const Buffers& from) { this->WriteSome(from, std::move(handler)); },
        token, buffers);
  }

 private:
  using Done = absl::AnyInvocable<void(Error, size_t)>;

  template <typename Buffers, typename Handler>
  void ReadSome(const Buffers& into, Handler handler) {
    if (!stream_) return Later(asio::error::operation_aborted, 0, std::move(handler));
    if (!rest_.empty()) {
      const size_t size = asio::buffer_copy(into, asio::buffer(rest_));
      rest_.erase(0, size);
      return Later({}, size, std::move(handler));
    }
    reading_ = std::move(handler);
    stream_->Read([this, into](const absl::Status& status, std::string_view data) {
      Done done = std::move(reading_);
      if (!status.ok() || data.empty()) {
        failure_ = status.ok() ? absl::UnavailableError("closed by the peer") : status;
        return done(asio::error::eof, 0);
      }
      const size_t size = asio::buffer_copy(into, asio::buffer(data.data(), data.size()));
      rest_ = data.substr(size);
      done({}, size);
    });
  }

  template <typename Buffers, typename Handler>
  void WriteSome(const Buffers& from, Handler handler) {
    if (!stream_) return Later(asio::error::operation_aborted, 0, std::move(handler));
    std::string data(asio::buffer_size(from), '\0');
    asio::buffer_copy(asio::buffer(data), from);
    const size_t size = data.size();
    writing_ = std::move(handler);
    stream_->Write(std::move(data), [this, size](const absl::Status& status) {
      Done done = std::move(writing_);
      if (!status.ok()) failure_ = status;
      status.ok() ? done({}, size) : done(asio::error::connection_reset, 0);
    });
  }

  void Later(Error error, size_t size, Done done) {
    asio::post(io_, [error, size, done = std::move(done)]() mutable { done(error, size); });
  }

  asio::io_context& io_;
  std::string rest_;
  absl::Status failure_;
  Done reading_;
  Done writing_;
  std::unique_ptr<ByteStream> stream_;  // last: its callbacks go before what they use
};

/// Found by the library: what it does to a connection on a timeout of its own.
void beast_close_socket(Bytes& bytes) { bytes.Abort(); }

/// Found by the library: how a connection ends after the closing handshake (RFC 6455 section
/// 7.1.1).
template <typename Handler>
void async_teardown(beast::role_type, Bytes& bytes, Handler&& handler) {
  if (bytes.stream() != nullptr) bytes.stream()->FinishWriting();
  asio::post(bytes.get_executor(),
             [handler = std::forward<Handler>(handler)]() mutable { handler(Error()); });
}

using Stream = websocket::stream<Bytes, false>;

// ---- the channel --------------------------------------------------------------------------------

/// dialling or upgrading -> open -> closing -> over. Library operations hold it weakly: it goes
/// with its holder, and they go with it.
class Socket final : public std::enable_shared_from_this<Socket> {
 public:
  using OnAccepted = absl::AnyInvocable<void(absl::Status, SetHandlers)>;

  Socket(AsioLoop& loop, MessageLimits limits, MessageHandlers handlers)
      : loop_(loop), limits_(limits), handlers_(std::move(handlers)) {}

  void StartDial(Origin origin, std::string target, Headers headers);
  void StartAccept(std::unique_ptr<ByteStream> stream, std::string rest,
                   const IncomingRequest& request, OnAccepted on_done);
  absl::Status Send(std::string message, bool binary);
  void Close(uint16_t code, std::string_view reason);
  /// The holder has gone: silence.
  void Drop();
  [[nodiscard]] size_t queued_bytes() const { return queued_bytes_; }

 private:
  enum class Phase : uint8_t { kOpening, kOpen, kClosing, kOver };
  struct Message {
    std::string data;
    bool binary = false;
  };

  void SetUp(std::unique_ptr<ByteStream> stream, std::string rest);
  void Dialled(absl::StatusOr<std::unique_ptr<ByteStream>>& stream);
  void ShakenHands(const Error& error);
  void Accepted(const Error& error);
  void Read();
  void Got(const Error& error);
  void WriteNext();
  void SendClose();
  [[nodiscard]] absl::Status EndOf(const Error& error);
  void End(absl::Status status);
  template <typename F>
  void Tell(F tell);
  /// `then` behind a check that this is still there.
  template <typename F>
  auto Weakly(F then) {
    return [weak = weak_from_this(), then = std::move(then)](auto&&... args) mutable {
      if (const auto self = weak.lock(); self && self->phase_ != Phase::kOver) then(*self, args...);
    };
  }

  AsioLoop& loop_;
  const MessageLimits limits_;
  MessageHandlers handlers_;
  std::string host_;
  std::string target_;
  Headers headers_;
  OnAccepted on_accepted_;
  std::deque<Message> queue_;
  size_t queued_bytes_ = 0;
  Phase phase_ = Phase::kOpening;
  bool writing_ = false;
  bool dropped_ = false;
  int telling_ = 0;
  websocket::close_reason close_;
  websocket::response_type answer_;
  http::request<http::empty_body> asked_;
  beast::flat_buffer in_;
  std::unique_ptr<Dialing> dialing_;
  std::optional<Stream> stream_;  // last: goes first
};

void Socket::StartDial(Origin origin, std::string target, Headers headers) {
  const bool bare_v6 = origin.host.find(':') != std::string::npos;
  host_ = (bare_v6 ? "[" + origin.host + "]" : origin.host) + ":" + std::to_string(origin.port);
  target_ = std::move(target);
  headers_ = std::move(headers);
  TlsContext tls;
  if (origin.tls) {
    absl::StatusOr<TlsContext> made = NewClientContext(*origin.tls);
    if (!made.ok()) {
      loop_.Post(Weakly([status = made.status()](Socket& self) { self.End(status); }));
      return;
    }
    tls = *std::move(made);
  }
  dialing_ = Dial(loop_, origin, std::move(tls), limits_.connect_timeout,
                  Weakly([](Socket& self, auto& stream) { self.Dialled(stream); }));
}

void Socket::Dialled(absl::StatusOr<std::unique_ptr<ByteStream>>& stream) {
  if (!stream.ok()) return End(stream.status());
  SetUp(*std::move(stream), {});
  stream_->set_option(websocket::stream_base::decorator(
      [headers = std::move(headers_)](websocket::request_type& request) {
        for (const Header& header : headers) {
          if (ValidHeader(header.name, header.value)) request.set(header.name, header.value);
        }
      }));
  stream_->async_handshake(answer_, host_, target_, Weakly([](Socket& self, const Error& error) {
                             self.ShakenHands(error);
                           }));
}

void Socket::SetUp(std::unique_ptr<ByteStream> stream, std::string rest) {
  stream_.emplace(loop_.io(), std::move(stream), std::move(rest));
  websocket::stream_base::timeout timeout{};
  timeout.handshake_timeout = limits_.connect_timeout;
  timeout.idle_timeout = limits_.ping_interval * 2;  // the library pings at half of it
  timeout.keep_alive_pings = true;
  stream_->set_option(timeout);
  stream_->read_message_max(limits_.message_bytes_max);
  stream_->auto_fragment(false);
}

void Socket::ShakenHands(const Error& error) {
  if (error == websocket::error::upgrade_declined) {
    const std::string status = std::to_string(answer_.result_int());
    return End(absl::UnavailableError("upgrade refused with status " + status));
  }
  if (error) return End(EndOf(error));
  phase_ = Phase::kOpen;
  Read();
  Tell([this] {
    if (handlers_.on_open) handlers_.on_open();
  });
}

void Socket::StartAccept(std::unique_ptr<ByteStream> stream, std::string rest,
                         const IncomingRequest& request, OnAccepted on_done) {
  SetUp(std::move(stream), std::move(rest));
  asked_.method(http::verb::get);
  asked_.target(request.target);
  asked_.version(11);
  for (const Header& header : request.headers) asked_.insert(header.name, header.value);
  on_accepted_ = std::move(on_done);
  stream_->async_accept(asked_,
                        Weakly([](Socket& self, const Error& error) { self.Accepted(error); }));
}

void Socket::Accepted(const Error& error) {
  OnAccepted told = std::move(on_accepted_);
  if (error) {
    phase_ = Phase::kOver;
    return told(absl::UnavailableError(error.message()), {});
  }
  phase_ = Phase::kOpen;
  told(absl::OkStatus(), Weakly([](Socket& self, MessageHandlers& handlers) {
         self.handlers_ = std::move(handlers);
         self.loop_.Post(self.Weakly([](Socket& then) { then.Read(); }));
       }));
}

void Socket::Read() {
  stream_->async_read(in_,
                      Weakly([](Socket& self, const Error& error, size_t) { self.Got(error); }));
}

void Socket::Got(const Error& error) {
  if (error) return End(EndOf(error));
  const bool binary = stream_->got_binary();
  const asio::const_buffer data = in_.cdata();
  Tell([&] {
    if (handlers_.on_message) {
      handlers_.on_message({static_cast<const char*>(data.data()), data.size()}, binary);
    }
  });
  if (phase_ == Phase::kOver) return;
  in_.consume(in_.size());
  Read();
}

absl::Status Socket::Send(std::string message, bool binary) {
  if (phase_ != Phase::kOpen) return absl::UnavailableError("the channel is not open");
  if (queued_bytes_ + message.size() > limits_.queue_bytes_max) {
    return absl::ResourceExhaustedError("the peer reads too slowly");
  }
  queued_bytes_ += message.size();
  queue_.push_back({std::move(message), binary});
  if (!writing_) WriteNext();
  return absl::OkStatus();
}

void Socket::WriteNext() {
  if (queue_.empty()) {
    if (phase_ == Phase::kClosing) SendClose();
    return;
  }
  writing_ = true;
  stream_->binary(queue_.front().binary);
  stream_->async_write(asio::buffer(queue_.front().data),
                       Weakly([](Socket& self, const Error& error, size_t) {
                         self.writing_ = false;
                         if (error) return;  // the read under way ends with the reason
                         self.queued_bytes_ -= self.queue_.front().data.size();
                         self.queue_.pop_front();
                         self.WriteNext();
                       }));
}

void Socket::Close(uint16_t code, std::string_view reason) {
  if (phase_ == Phase::kOpening) {
    loop_.Post(Weakly([](Socket& self) { self.End(absl::OkStatus()); }));
    return;
  }
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kClosing;
  constexpr size_t kReasonMost = 123;  // RFC 6455 section 5.5
  close_ = websocket::close_reason(
      static_cast<websocket::close_code>(code),
      beast::string_view(reason.data(), std::min(reason.size(), kReasonMost)));
  if (!writing_) WriteNext();
}

void Socket::SendClose() {
  // What is read meanwhile still reaches on_message; the peer's own close ends the read.
  stream_->async_close(close_, Weakly([](Socket& self, const Error& error) {
                         const bool answered = !error || error == asio::error::operation_aborted;
                         self.End(answered ? absl::OkStatus() : self.EndOf(error));
                       }));
}

absl::Status Socket::EndOf(const Error& error) {
  if (error == websocket::error::closed) {
    const websocket::close_reason& reason = stream_->reason();
    const bool normal = reason.code == websocket::close_code::normal ||
                        reason.code == websocket::close_code::going_away ||
                        reason.code == websocket::close_code::none;
    if (normal || phase_ == Phase::kClosing) return absl::OkStatus();
    return absl::UnavailableError("closed by the peer with code " + std::to_string(reason.code) +
                                  ": " + std::string(reason.reason.data(), reason.reason.size()));
  }
  if (error == beast::error::timeout) return absl::DeadlineExceededError("the peer is silent");
  if (error == websocket::error::message_too_big || error == websocket::error::buffer_overflow) {
    return absl::ResourceExhaustedError("message over " +
                                        std::to_string(limits_.message_bytes_max) + " bytes");
  }
  if (!stream_->next_layer().failure().ok()) return stream_->next_layer().failure();
  return absl::UnavailableError(error.message());
}

void Socket::End(absl::Status status) {
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  dialing_ = nullptr;
  if (stream_) stream_->next_layer().Cut();
  Tell([&] {
    if (handlers_.on_close) handlers_.on_close(std::move(status));
  });
}

template <typename F>
void Socket::Tell(F tell) {
  if (dropped_) return;
  ++telling_;
  tell();
  --telling_;
  if (dropped_ && telling_ == 0) handlers_ = {};
}

void Socket::Drop() {
  phase_ = Phase::kOver;
  dropped_ = true;
  dialing_ = nullptr;
  if (stream_) stream_->next_layer().Cut();
  if (telling_ == 0) handlers_ = {};
}

class Channel final : public MessageChannel {
 public:
  explicit Channel(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  ~Channel() override { socket_->Drop(); }
  absl::Status Send(std::string message, bool binary) override {
    return socket_->Send(std::move(message), binary);
  }
  void Close(uint16_t code, std::string_view reason) override { socket_->Close(code, reason); }
  [[nodiscard]] size_t queued_bytes() const override { return socket_->queued_bytes(); }

 private:
  std::shared_ptr<Socket> socket_;
};

}  // namespace

std::unique_ptr<MessageChannel> DialWebSocket(AsioLoop& loop, Origin origin, std::string target,
                                              Headers headers, MessageLimits limits,
                                              MessageHandlers handlers) {
  auto socket = std::make_shared<Socket>(loop, limits, std::move(handlers));
  socket->StartDial(std::move(origin), std::move(target), std::move(headers));
  return std::make_unique<Channel>(std::move(socket));
}

std::unique_ptr<MessageChannel> AcceptWebSocket(
    AsioLoop& loop, std::unique_ptr<ByteStream> stream, std::string rest,
    const IncomingRequest& request, MessageLimits limits,
    absl::AnyInvocable<void(absl::Status, SetHandlers)> on_done) {
  auto socket = std::make_shared<Socket>(loop, limits, MessageHandlers{});
  socket->StartAccept(std::move(stream), std::move(rest), request, std::move(on_done));
  return std::make_unique<Channel>(std::move(socket));
}

}  // namespace rouse::control
