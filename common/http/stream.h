#pragma once
// What:      the contract between protocols and the proxy. ServerStream is a request as it came in,
//            ClientStream the same request going out; BodyReader and BodyWriter move the bodies.
//            Above this file nobody knows which version of HTTP is in use.
// Owner:     a ServerConnection owns its ServerStreams, a ClientConnection its ClientStreams; the
//            exchange holds them by handle and says Finish() exactly once.
// Shard:     one. Nothing resumes inline.
// Invariant: a body is pulled, never pushed: what nobody reads stays in the peer's socket or
//            window. Each Try* call does what can be done without waiting; what it had to wait
//            for is awaited, with a deadline.
// Never:     retries, routes, or decides what a status means.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/http/message.h"
#include "common/net/event.h"
#include "common/net/task.h"

namespace rouse::net {
class Shard;
struct TlsPeer;
class Transport;
}  // namespace rouse::net

namespace rouse::http {

enum class Step : uint8_t {
  kDone,      ///< all of it happened
  kMustWait,  ///< part of it, or nothing: await Wait or Flush to go on
  kFailed,    ///< error() says why; the stream is over
};

/// A piece of a body. The view is valid until the next read or Finish. `end` may come with the last
/// bytes or alone.
struct Piece {
  std::string_view data;
  bool end = false;
};

/// `co_await it.Wait(deadline);` where a Try* had to wait; then the Try* again, which says what has
/// come of it, a deadline that has passed included. No coroutine: whoever waits long keeps no frame
/// for it.
class Awaited {
 public:
  class Awaiter {
   public:
    Awaiter(Awaited& awaited, net::Event::Awaiter event) : awaited_(awaited), event_(event) {}
    bool await_ready() const noexcept { return event_.await_ready(); }
    void await_suspend(std::coroutine_handle<> waiter) { event_.await_suspend(waiter); }
    void await_resume() { awaited_.EndWait(event_.await_resume()); }

   private:
    Awaited& awaited_;
    net::Event::Awaiter event_;
  };
  [[nodiscard]] Awaiter Wait(TimePoint deadline) { return {*this, BeginWait(deadline)}; }

 protected:
  ~Awaited() = default;
  /// Signalled already where there is nothing to wait for.
  [[nodiscard]] virtual net::Event::Awaiter BeginWait(TimePoint deadline) = 0;
  virtual void EndWait(net::Wake why) = 0;
};

class BodyReader : public Awaited {
 public:
  virtual ~BodyReader() = default;
  /// kDone with a piece, kMustWait, or kFailed: kBodyTimeout, kUpstreamTimeout behind a deadline.
  /// After `end`, kDone with an empty end piece for ever.
  virtual Step TryRead(Piece& piece) = 0;
  /// The next piece, or the error: TryRead and Wait for those who have but this to do.
  [[nodiscard]] net::Task<Result<Piece>> Read(TimePoint deadline);
  /// Complete once Read has said `end`; null where there were none.
  [[nodiscard]] virtual const Trailers* trailers() const = 0;
  [[nodiscard]] virtual Error error() const = 0;
  /// Body bytes handed out so far.
  [[nodiscard]] virtual uint64_t bytes_read() const = 0;
};

class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  /// Sends body bytes, and the end if `end`. On kMustWait the data must stay valid until Flush
  /// returns.
  virtual Step TryWrite(std::string_view data, bool end) = 0;
  /// As TryWrite with end, with trailers (dropped where the receiver takes none).
  virtual Step TryEnd(const Trailers& trailers) = 0;
  /// Waits until everything written has been handed to the transport.
  virtual net::Task<Result<void>> Flush(TimePoint deadline) = 0;
  [[nodiscard]] virtual Error error() const = 0;
  [[nodiscard]] virtual uint64_t bytes_written() const = 0;
};

/// Called from the loop when the other side leaves; not inline with any call of the stream's user.
struct GoneWatch {
  void (*told)(void* context) = nullptr;
  void* context = nullptr;
};

struct PeerInfo {
  std::string_view address;  ///< of the client, without port
  uint16_t port = 0;
  uint16_t local_port = 0;
  bool tls = false;
  const net::TlsPeer* tls_peer = nullptr;  ///< what the handshake settled; null without TLS
};

/// The downstream side of an exchange.
class ServerStream {
 public:
  virtual ~ServerStream() = default;
  [[nodiscard]] virtual const RequestHead& head() const = 0;
  [[nodiscard]] virtual const PeerInfo& peer() const = 0;
  [[nodiscard]] virtual BodyReader& request_body() = 0;
  [[nodiscard]] virtual BodyWriter& response_body() = 0;

  /// Sends a 1xx head; dropped silently where the client's version has none. 101 goes through
  /// TrySendHead.
  virtual Step TrySendInformational(const ResponseHead& head, const HeadPatch& patch) = 0;
  /// Sends the response head with the first bytes of its body in one write, and the end if `end`.
  /// On kMustWait await response_body().Flush(). For a 101 (or 2xx to an extended CONNECT) both
  /// bodies turn raw.
  virtual Step TrySendHead(const ResponseHead& head, const HeadPatch& patch, std::string_view first,
                           bool end) = 0;
  /// True once a response head has been handed to the transport: no local reply is possible any
  /// more.
  [[nodiscard]] virtual bool head_sent() const = 0;

  /// The exchange is going to wait long: keep only an exact copy of the head and what was read of
  /// the body, and give the buffers back. Returns the bytes held from now on; head() stays valid.
  virtual size_t Park() = 0;
  /// The head has been sent on, and the rest may take long: it may lie in fewer bytes from now on.
  /// Views into it end; head() stays valid.
  virtual void CompactHead() {}
  /// The wait is over: from here on a client that has half-closed still gets its answer (15.4).
  virtual void Unpark() = 0;
  /// Told when the client has gone: reset, or (while parked, HTTP/1) FIN. Replaces the previous
  /// watch.
  virtual void OnGone(GoneWatch watch) = 0;
  [[nodiscard]] virtual bool gone() const = 0;

  /// Ends the wait of request_body().Read, if one is under way, with `error`: the response is
  /// complete, or the tunnel is over, and nobody wants the rest. Nothing resumes inline. The
  /// counterpart of
  /// ClientStream::Cancel.
  virtual void CancelRead(const Error& /*error*/) {}
  /// After the response this connection is to end (drain, error, limit), where it carries one
  /// stream at a time. Before TrySendHead.
  virtual void CloseAfter() = 0;
  /// The exchange is over. With an error, or with a body unfinished, the connection (HTTP/1) or
  /// stream (HTTP/2) is cut; else it goes on to the next request. Exactly once; the stream is dead
  /// afterwards.
  virtual void Finish(const Error& error) = 0;
};

/// Receives each new request. The stream lives until its Finish().
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void OnStream(ServerStream& stream) = 0;
  /// A message was refused by the codec: the stream has a head that may be incomplete, and `error`.
  /// The handler answers (local reply) through TrySendHead and Finish; the connection (HTTP/1) or
  /// stream (HTTP/2) closes after it.
  virtual void OnBadRequest(ServerStream& stream, const Error& error) = 0;
  /// The connection's first bytes are the preface of another version. True: the handler has taken
  /// the transport, and the bytes, over; the connection that asked is gone.
  virtual bool OnPreface(std::unique_ptr<net::Transport>& /*transport*/,
                         std::string_view /*bytes*/) {
    return false;
  }
  /// The connection is over and may be destroyed from the loop; all its streams have been finished.
  virtual void OnConnectionClosed() = 0;
};

/// One downstream connection, whatever its version.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  virtual void Start() = 0;
  /// Finish what runs, take nothing new; then OnConnectionClosed.
  virtual void Drain() = 0;
  /// No stream is open, nor is a first one to be expected at once: under pressure this connection
  /// can be closed.
  [[nodiscard]] virtual bool idle() const = 0;
  virtual void Close() = 0;
};

/// The upstream side of an exchange.
class ClientStream : public Awaited {
 public:
  virtual ~ClientStream() = default;
  /// Sends the head, and with it the first bytes of the body. On kMustWait await
  /// request_body().Flush().
  virtual Step TrySendHead(const RequestHead& head, const HeadPatch& patch, std::string_view first,
                           bool end) = 0;
  [[nodiscard]] virtual BodyWriter& request_body() = 0;
  /// The next response head: 1xx as they come, then the final one; null where it must be waited
  /// for. The head is valid until the body's end (1xx: until the next call). Errors carry
  /// retry_safe as far as the stream can tell.
  [[nodiscard]] virtual Result<const ResponseHead*> TryReceiveHead() = 0;
  /// The same, never null: TryReceiveHead and Wait for those who have but this to do.
  [[nodiscard]] net::Task<Result<const ResponseHead*>> ReceiveHead(TimePoint deadline);
  [[nodiscard]] virtual BodyReader& response_body() = 0;
  /// Ends every wait of this stream with `error` (the client left, a deadline). Nothing resumes
  /// inline.
  virtual void Cancel(const Error& error) = 0;
  /// The exchange is over; exactly once. The connection is reusable only if both messages ended
  /// cleanly.
  virtual void Finish() = 0;
  /// Not one byte of the response has arrived.
  [[nodiscard]] virtual bool untouched() const = 0;
};

class ClientConnection;

/// An idle upstream connection between two shards: belongs to neither, and closes if it is dropped.
class CarriedConnection {
 public:
  virtual ~CarriedConnection() = default;
  /// Goes on with it on this shard; at most once.
  [[nodiscard]] virtual std::unique_ptr<ClientConnection> Attach(net::Shard& shard) = 0;
};

/// One upstream connection, whatever its version. HTTP/1 has one stream at a time.
class ClientConnection {
 public:
  virtual ~ClientConnection() = default;
  [[nodiscard]] virtual size_t streams_free() const = 0;
  /// It carries several streams at a time.
  [[nodiscard]] virtual bool multiplexes() const { return false; }
  /// Precondition: streams_free() > 0. The stream lives until its Finish().
  [[nodiscard]] virtual ClientStream& Open() = 0;
  /// Told when the connection becomes idle (`usable` true), or must not be used for new streams
  /// (false, and once no stream is left it may be destroyed from the loop). Not inline with Open,
  /// but Finish() may call
  /// it inline, as its last act.
  struct Watch {
    void (*told)(void* context, bool usable) = nullptr;
    void* context = nullptr;
  };
  virtual void OnChange(Watch watch) = 0;
  virtual void Close() = 0;
  /// Gives up an idle connection so that another shard can have it; null where it cannot be. It is
  /// over here afterwards: to be closed.
  [[nodiscard]] virtual std::unique_ptr<CarriedConnection> Detach() { return nullptr; }
};

}  // namespace rouse::http
