#pragma once
// What:      Opening, what comes before the first byte of HTTP: a PROXY header, a TLS handshake.
// Owner:     Session, until one of the handler's calls, which may destroy it. One shard.
// Limits:    ListenerTraits::handshake_timeout for all of it; HandshakePacer. A refused client has
//            kLinger to read why.
// Invariant: kHeader -> kHandshake -> kOver; either -> kLingering -> kOver; any -> kOver. The
//            handler is called once, from the loop.

#include <memory>
#include <string>

#include "common/net/timer_wheel.h"
#include "common/net/tls_transport.h"
#include "common/net/transport.h"
#include "proxy/downstream/handshake_pacer.h"
#include "proxy/downstream/listener_traits.h"
#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {

class OpeningHandler {
 public:
  /// Ready for HTTP.
  virtual void OnOpened(std::unique_ptr<net::Transport> transport) = 0;
  /// It came to nothing; the connection is closed.
  virtual void OnOpeningFailed() = 0;

 protected:
  ~OpeningHandler() = default;
};

class Opening final : private HandshakePacer::Waiter {
 public:
  static constexpr Duration kLinger = std::chrono::milliseconds(250);

  Opening(net::Shard& shard, HandshakePacer& pacer, ShardStats& stats, OpeningHandler& handler,
          std::unique_ptr<net::Transport> transport, const ListenerTraits& traits);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  /// Whether a connection of this peer has anything before its first request.
  [[nodiscard]] static bool IsNeeded(const net::Transport& transport,
                                     const ListenerTraits& traits) {
    return traits.tls || traits.proxies.Contains(transport.peer_address());
  }
  void Start();
  [[nodiscard]] TimePoint started() const { return timer_.due() - traits_.handshake_timeout; }
  /// Ends it soon.
  void Cancel();

 private:
  enum class State : uint8_t { kHeader, kHandshake, kLingering, kOver };

  static void OnReadable(void* self);
  static void OnTimer(void* self);
  void OnTurn() override;
  void ReadHeader();
  void BeginTls();
  void Finish();
  void Refuse();
  void End();

  net::Shard& shard_;
  HandshakePacer& pacer_;
  ShardStats& stats_;
  OpeningHandler& handler_;
  const ListenerTraits& traits_;
  std::unique_ptr<net::Transport> transport_;
  net::TlsTransport* tls_ = nullptr;  ///< transport_, once TLS has begun
  std::string header_;
  net::Timer timer_;
  State state_ = State::kHandshake;
};

}  // namespace rouse::proxy
