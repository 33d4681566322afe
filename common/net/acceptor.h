#pragma once
// What:      Acceptor, takes connections from one listening socket and hands each out as a
//            Transport.
// Owner:     its shard's part of the data plane; ended only after ShardSet::Stop, since a peer's
//            hand-over may be on its way.
// Limits:    kAcceptsPerTurn; pauses while the shard has connections_max, or 90 % of the process's
//            descriptors are taken, and looks again every kPause. At the last descriptor a spare
//            one serves to accept and close.
// Never:     reads: a connection moves between shards before its first byte.

#include <memory>
#include <span>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/net/descriptor.h"
#include "common/net/poller.h"
#include "common/net/timer_wheel.h"
#include "common/net/transport.h"

namespace rouse::net {

class Shard;
class SocketAddress;

class Acceptor final : private PollTarget {
 public:
  static constexpr size_t kAcceptsPerTurn = 4;
  static constexpr Duration kPause = std::chrono::milliseconds(50);
  /// Called on the acceptor's shard, from the loop.
  using OnConnection = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  Acceptor(Shard& shard, Descriptor listener, OnConnection on_connection);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// The acceptors of the same address on all shards, this one among them: a new connection goes to
  /// the shard with the fewest if ours would have over an eighth more. Before Start; they outlive
  /// each other.
  void HandOverTo(std::span<Acceptor* const> group) { group_.assign(group.begin(), group.end()); }

  void Start();
  /// Takes what the kernel has already accepted, then closes the listening socket.
  void StopAccepting();
  [[nodiscard]] bool paused() const { return paused_; }
  [[nodiscard]] uint16_t port() const { return port_; }
  /// Connections accepted and closed for want of descriptors.
  [[nodiscard]] uint64_t refused() const { return refused_; }

 private:
  enum class Took : uint8_t { kOne, kNothing, kNoRoom };

  void OnReady(Readiness readiness) override;
  Took TakeOne();
  void Place(Descriptor socket, const SocketAddress& peer);
  void Adopt(Descriptor socket, const SocketAddress& peer);
  void RefuseOne();
  void Pause();
  static void OnPauseOver(void* self);
  [[nodiscard]] bool HasRoom() const;

  Shard& shard_;
  Descriptor listener_;
  Descriptor spare_;
  OnConnection on_connection_;
  std::vector<Acceptor*> group_;
  Poller::Registration registration_;
  Timer pause_timer_;
  uint16_t port_;
  bool deferred_;  ///< connections come with their first bytes
  int pause_at_;
  bool started_ = false;
  bool paused_ = false;
  uint64_t refused_ = 0;
};

}  // namespace rouse::net
