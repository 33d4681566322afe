#pragma once
// What:      H1Server: a transport driven as HTTP/1.1 in the server's role, one request after the
//            other.
// Owner:     proxy/downstream/session; the handler and the options outlive it. One shard.
// Limits:    H1Options: head, body, timeouts, requests per connection; discarding after an error is
//            bounded.
// Invariant: while idle it holds no buffer, no stream and no coroutine. States: kIdle -> kHead ->
//            kExchange -> kIdle; any -> kLingering -> kClosed; any -> kClosed.
// Never:     reads a body before the exchange asks for it; answers anything after a close was said.

#include <cstdint>
#include <memory>

#include "common/http/h1_body.h"
#include "common/http/h1_head.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

class H1ServerStream;

struct H1Options {
  HeadLimits head;
  H1BodyLimits body;
  Duration first_byte_timeout = std::chrono::seconds(10);  ///< after accept; silent close
  Duration head_timeout = std::chrono::seconds(10);        ///< from the head's first byte; 408
  Duration keep_alive_timeout = std::chrono::seconds(60);  ///< between requests; silent close
  Duration linger_timeout = std::chrono::seconds(2);
  size_t linger_bytes_max = 64 * 1024;
  uint64_t requests_max = 1'000'000;
  /// A client that half-closes while its request waits for a pod has not gone.
  bool half_close_parked_keeps = false;
};

class H1Server final : public ServerConnection {
 public:
  H1Server(net::Shard& shard, std::unique_ptr<net::Transport> transport, StreamHandler& handler,
           const H1Options& options);
  ~H1Server() override;

  void Start() override;
  void Drain() override;
  [[nodiscard]] bool idle() const override { return state_ == State::kIdle && !resume_; }
  void Close() override;

 private:
  friend class H1ServerStream;
  enum class State : uint8_t { kIdle, kHead, kExchange, kLingering, kClosed };

  static void OnReadable(void* self);
  static void OnHangUp(void* self);
  static void OnTimer(void* self);
  void Advance();
  void Refuse(const Error& error);
  /// The stream says that its exchange is over: `reuse` where both messages ended cleanly, else
  /// whether to cut the connection or to let the client read what was sent.
  enum class Ending : uint8_t { kReuse, kClose, kLinger, kReset };
  void EndExchange(Ending ending);
  void Linger();
  void Discard();
  void GoIdle(Duration timeout);
  void End(bool reset);
  void ResumeSoon();

  net::Shard& shard_;
  std::unique_ptr<net::Transport> transport_;
  StreamHandler& handler_;
  const H1Options& options_;
  PeerInfo peer_;
  std::unique_ptr<H1ServerStream> stream_;
  net::Timer timer_;
  uint64_t served_ = 0;
  size_t lingered_ = 0;
  State state_ = State::kIdle;
  bool draining_ = false;
  /// The timer is set to go on (with the next request; in kExchange, to tell that the client has gone),
  /// not to end this connection.
  bool resume_ = false;
};

}  // namespace rouse::http
