#pragma once
// What:      the control side's edge: timers (Loop), calls out (HttpClient), calls in
//            (HttpService), and WebSocket messages both ways (MessageChannel), all made by one
//            Network.
// Owner:     app builds one Network per program; tests/support/control has another on simulated
//            time.
// Shard:     the control thread. All handlers run on it, never inline from the call that set them
//            up. Loop::Post alone may be called from any thread.
// Limits:    named in HttpLimits and MessageLimits; every call has deadlines.
// Never:     shows an Asio, Beast or OpenSSL type; blocks.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "common/base/clock.h"

namespace rouse::control {

using Task = absl::AnyInvocable<void()>;

/// A set timer. 0 is no timer; ids are not reused.
using TimerId = uint64_t;

class Loop {
 public:
  virtual ~Loop() = default;
  /// Runs `task` soon on the control thread, in the order of the calls. Any thread.
  virtual void Post(Task task) = 0;
  /// Runs `task` at `when`, or at the next turn if that has passed.
  virtual TimerId At(TimePoint when, Task task) = 0;
  /// Forgets a timer that has not run; harmless where it has, or for id 0.
  virtual void Cancel(TimerId timer) = 0;
  [[nodiscard]] virtual const Clock& clock() const = 0;
  [[nodiscard]] TimePoint now() const { return clock().now(); }
};

struct Header {
  std::string name;
  std::string value;
};
using Headers = std::vector<Header>;

/// The first value of a header, compared without case; nullopt where absent.
[[nodiscard]] std::optional<std::string_view> FindHeader(const Headers& headers,
                                                         std::string_view name);

// ---- TLS, both roles ----------------------------------------------------------------------------

struct ClientTls {
  std::string ca_pem;           ///< trusted roots; empty: the system's
  std::string certificate_pem;  ///< client certificate chain; empty: none
  std::string key_pem;
  std::string server_name;  ///< name to verify; empty: the host of the origin
  bool verify = true;
};

struct ServerTls {
  std::string certificate_pem;
  std::string key_pem;
  std::string client_ca_pem;  ///< roots for client certificates; empty: none are asked for
};

/// Where to call. `host` is a name or an address (IPv6 without brackets).
struct Origin {
  std::string host;
  uint16_t port = 0;
  std::optional<ClientTls> tls;  ///< absent: plain text
};

// ---- calls out ----------------------------------------------------------------------------------

struct HttpLimits {
  Duration connect_timeout = std::chrono::seconds(5);
  /// From the start of the call to the response head.
  Duration head_timeout = std::chrono::seconds(15);
  /// Longest silence inside a response body; Duration::max() for watches (TCP keepalive 15/5/3 s
  /// and TCP_USER_TIMEOUT 30 s still end a dead connection).
  Duration idle_timeout = std::chrono::seconds(30);
  size_t head_bytes_max = 64 * 1024;
  size_t connections_max = 32;  ///< per client; further calls wait inside their head_timeout
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query
  Headers headers;           ///< without Host, Content-Length, Connection: those are set for you
  std::string body;
  HttpLimits limits;
};

struct HttpHandlers {
  absl::AnyInvocable<void(int status, const Headers& headers)> on_head;
  absl::AnyInvocable<void(std::string_view data)> on_data;
  /// Called exactly once, last, unless the call was cancelled. OK means the body is complete.
  /// Errors: kUnavailable (connect, TLS, reset, truncated), kDeadlineExceeded (which timeout, in
  /// the message).
  absl::AnyInvocable<void(absl::Status)> on_end;
};

/// A call in progress; destroying it cancels: no handler runs afterwards.
class HttpCall {
 public:
  virtual ~HttpCall() = default;
};

/// Keep-alive connections to one origin.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  [[nodiscard]] virtual std::unique_ptr<HttpCall> Start(HttpRequest request,
                                                        HttpHandlers handlers) = 0;
};

// ---- messages (WebSocket, RFC 6455) -------------------------------------------------------------

struct MessageLimits {
  size_t message_bytes_max = 1 << 20;
  /// Bytes waiting to be written; beyond it Send refuses, so that a slow reader costs bounded
  /// memory.
  size_t queue_bytes_max = 4 << 20;
  Duration connect_timeout = std::chrono::seconds(5);
  /// A ping goes out after this much silence; the channel ends after as much again.
  Duration ping_interval = std::chrono::seconds(10);
};

struct MessageHandlers {
  absl::AnyInvocable<void()> on_open;
  absl::AnyInvocable<void(std::string_view message, bool binary)> on_message;
  /// Exactly once, last, unless the channel was destroyed first.
  absl::AnyInvocable<void(absl::Status)> on_close;
};

/// One WebSocket, either role. Destroying it closes at once, and no handler runs afterwards.
class MessageChannel {
 public:
  virtual ~MessageChannel() = default;
  /// Queues one message. kResourceExhausted where the queue is full, kUnavailable where not open.
  virtual absl::Status Send(std::string message, bool binary) = 0;
  /// Starts the closing handshake (RFC 6455 section 7.4); on_close follows.
  virtual void Close(uint16_t code, std::string_view reason) = 0;
  [[nodiscard]] virtual size_t queued_bytes() const = 0;
};

// ---- calls in -----------------------------------------------------------------------------------

/// The answer to one incoming request. Respond once, or Begin, Write..., End. Destroying it
/// unanswered answers 500 before Begin and cuts the connection after it.
class HttpResponder {
 public:
  virtual ~HttpResponder() = default;
  virtual void Respond(int status, Headers headers, std::string body) = 0;
  virtual void Begin(int status, Headers headers) = 0;
  /// kResourceExhausted where the reader is too slow (the queue limit), kUnavailable where it has
  /// gone.
  virtual absl::Status Write(std::string data) = 0;
  virtual void End() = 0;
  /// Cuts the connection without a clean end (for faults on demand).
  virtual void Abort() = 0;
  /// Told once if the peer leaves before the end.
  virtual void OnGone(Task task) = 0;
};

struct IncomingRequest {
  std::string method;
  std::string target;
  Headers headers;
  std::string body;
  std::string peer;   ///< address:port
  std::string local;  ///< address:port
  /// Of the client's verified certificate (or its first other name); empty without one.
  std::string client_subject;
};

class HttpService {
 public:
  virtual ~HttpService() = default;
  virtual void Serve(IncomingRequest request, std::unique_ptr<HttpResponder> responder) = 0;
  /// A WebSocket upgrade was asked for. Return the status to refuse with (such as 404, the
  /// default), or 0 to accept; on accept OnMessages is called with the open channel.
  virtual int AcceptMessages(const IncomingRequest&) { return 404; }
  /// `set_handlers` must be called once, at once, with the handlers of this channel.
  virtual void OnMessages(IncomingRequest, std::unique_ptr<MessageChannel>,
                          absl::AnyInvocable<void(MessageHandlers)>) {}
};

struct ListenOptions {
  /// "::" is every address of both families, or of IPv4 where the kernel has no IPv6.
  std::string host = "127.0.0.1";
  uint16_t port = 0;  ///< 0: any free port
  std::optional<ServerTls> tls;
  /// With `tls`: asked again as a connection comes, where that was `tls_again_after` ago; an error
  /// leaves what is in force.
  std::function<absl::StatusOr<ServerTls>()> tls_again;
  Duration tls_again_after = std::chrono::seconds(10);
  size_t request_body_bytes_max = 4 << 20;
  size_t connections_max = 4096;
  Duration head_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(75);
  MessageLimits messages;
};

/// A listening socket; destroying it stops accepting and cuts what is open.
class HttpListener {
 public:
  virtual ~HttpListener() = default;
  [[nodiscard]] virtual uint16_t port() const = 0;
  /// Stops accepting; open connections go on.
  virtual void StopAccepting() = 0;
};

// ---- the factory --------------------------------------------------------------------------------

class Network {
 public:
  virtual ~Network() = default;
  [[nodiscard]] virtual Loop& loop() = 0;
  [[nodiscard]] virtual std::unique_ptr<HttpClient> NewClient(Origin origin) = 0;
  /// kFailedPrecondition with the address in the message where it cannot be bound.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<HttpListener>> Listen(
      ListenOptions options, HttpService& service) = 0;
  /// Opens a WebSocket to `origin` at `target`. Sending before on_open is refused.
  [[nodiscard]] virtual std::unique_ptr<MessageChannel> Dial(Origin origin, std::string target,
                                                             Headers headers, MessageLimits limits,
                                                             MessageHandlers handlers) = 0;
};

}  // namespace rouse::control
