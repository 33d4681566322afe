#pragma once
// What:      Session, one downstream connection: settles its protocol, starts an exchange per
//            stream. Sessions, all of a shard, with the limits on them.
// Owner:     Sessions owns each Session; DataPlane owns Sessions. One shard.
// Limits:    SessionOptions: connections per client; over pressure_share of all, the connection
//            idle for longest is closed for each new one, if it is found among kLookedAt.
// Invariant: between requests a session has no coroutine and no buffer.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include "common/http/h1_server.h"
#include "common/http/h2_limits.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"
#include "proxy/downstream/handshake_pacer.h"
#include "proxy/downstream/listener_traits.h"
#include "proxy/downstream/opening.h"
#include "proxy/exchange/exchange_pool.h"
#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {

/// What many clients do at once comes over few connections here: none of it is abuse.
[[nodiscard]] http::H2Limits InternalLimits();

struct SessionOptions {
  http::H1Options http1;  ///< heads, bodies and timeouts of every version
  http::H2Limits http2;
  http::H2Limits http2_internal = InternalLimits();  ///< of other proxies
  /// Connections of one client address on one shard; an IPv6 client is its /64. 0: no limit.
  uint32_t per_client_max = 1024;
  size_t connections_max = 18000;
  double pressure_share = 0.8;
};

class Sessions;

class Session final : private http::StreamHandler, private OpeningHandler {
 public:
  Session(Sessions& sessions, std::unique_ptr<net::Transport> transport,
          const ListenerTraits& traits);
  ~Session() override;

  void Start();
  /// One that is being opened may still have its first request served.
  void Drain() {
    if (connection_) connection_->Drain();
  }
  void Close();
  [[nodiscard]] bool idle() const;

 private:
  friend class Sessions;
  void OnStream(http::ServerStream& stream) override;
  void OnBadRequest(http::ServerStream& stream, const Error& error) override;
  bool OnPreface(std::unique_ptr<net::Transport>& transport, std::string_view bytes) override;
  void OnConnectionClosed() override;
  void OnOpened(std::unique_ptr<net::Transport> transport) override;
  void OnOpeningFailed() override;
  void Connect(std::unique_ptr<net::Transport> transport);

  Sessions& sessions_;
  const ListenerTraits& traits_;
  std::unique_ptr<Opening> opening_;  ///< until there is a connection
  std::unique_ptr<http::ServerConnection> connection_;
  std::array<uint8_t, 8> client_;  ///< what per_client_max counts by
  Session* next_ = nullptr;        ///< towards the one used last
  Session* previous_ = nullptr;
};

class Sessions {
 public:
  /// A client has more connections than it may. Called on the shard, once in kTellEvery at most.
  using OnRefused = absl::AnyInvocable<void(std::string_view client)>;
  static constexpr Duration kTellEvery = std::chrono::minutes(1);

  Sessions(net::Shard& shard, const SessionOptions& options, ExchangePool& exchanges,
           ShardStats& stats, OnRefused on_refused);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// A new connection; refused ones are closed and counted.
  void Accept(std::unique_ptr<net::Transport> transport, const ListenerTraits& traits);
  /// Every connection ends after the request it is in; idle ones at once.
  void Drain();
  /// Closes what is idle now.
  void CloseAll();
  [[nodiscard]] size_t size() const { return size_; }
  void CheckInvariants() const;

 private:
  friend class Session;
  static constexpr int kLookedAt = 16;
  using ClientId = std::array<uint8_t, 8>;
  [[nodiscard]] static ClientId IdOf(std::string_view address);
  void Link(Session& session);
  void Unlink(Session& session);
  void Remove(Session& session);
  /// False: that client has too many.
  [[nodiscard]] bool CountFor(const ClientId& client);
  void Uncount(const ClientId& client);
  /// Counts it, and tells of it.
  void Refused(std::string_view client);
  void CloseOldestIdle();

  net::Shard& shard_;
  const SessionOptions& options_;
  ExchangePool& exchanges_;
  ShardStats& stats_;
  OnRefused on_refused_;
  TimePoint tell_again_{};  ///< not before
  HandshakePacer pacer_;
  absl::flat_hash_map<ClientId, uint32_t> clients_;
  Session* oldest_ = nullptr;  ///< by last use
  Session* newest_ = nullptr;
  size_t size_ = 0;
  bool draining_ = false;
};

}  // namespace rouse::proxy
