#pragma once
// What:      Pool, the connections of one shard by endpoint: idle ones LIFO, busy ones, and those
//            that go. Pool::Lease, one stream on one of them.
// Owner:     DataPlane; outlives every lease. One shard.
// Limits:    PoolLimits. Where a workload is limited: over all shards never more connections open
//            to an endpoint than its limit (15.6), counted in EndpointSlots.
// Invariant: a connection is idle in one list, or leased (by several at a time where it
//            multiplexes), or dead and buried from the loop once no lease is left.
//            Borrowing and returning a warm connection allocates nothing. CheckInvariants walks
//            everything.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/http/stream.h"
#include "common/net/event.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/upstream/local_endpoint.h"

namespace rouse::proxy {

struct PoolLimits {
  size_t idle_per_endpoint_max = 4096;
  size_t idle_max = 4096;
  /// Below the usual keep-alive of servers, so that we close first.
  Duration idle_timeout = std::chrono::seconds(30);
  /// So many wait for one dial whose connection will be shared, one more dials beside it: the
  /// streams that servers usually allow, less the dialler's own.
  size_t joining_per_dial_max = 99;
};

class Pool {
 private:
  struct Connection;
  struct Connections;

 public:
  /// One stream on a connection of the pool; gives it back when it goes.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          connection_(std::exchange(other.connection_, nullptr)),
          stream_(std::exchange(other.stream_, nullptr)) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        Release();
        pool_ = std::exchange(other.pool_, nullptr);
        connection_ = std::exchange(other.connection_, nullptr);
        stream_ = std::exchange(other.stream_, nullptr);
      }
      return *this;
    }
    ~Lease() { Release(); }

    [[nodiscard]] explicit operator bool() const { return stream_ != nullptr; }
    [[nodiscard]] http::ClientStream& stream() const { return *stream_; }
    /// Ends the stream: the connection is idle again, or over.
    void Release();

   private:
    friend class Pool;
    Lease(Pool* pool, Connection* connection, http::ClientStream* stream)
        : pool_(pool), connection_(connection), stream_(stream) {}
    Pool* pool_ = nullptr;
    Connection* connection_ = nullptr;
    http::ClientStream* stream_ = nullptr;
  };

  Pool(net::Shard& shard, PoolLimits limits, ShardStats& stats);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// The connection used last, or one with room for another stream; else an empty lease.
  [[nodiscard]] Lease TakeIdle(LocalEndpoint& endpoint);
  /// Takes a fresh connection in, and its first stream out. `tls`: by which rules it was dialled;
  /// where the endpoint has others by now, that stream stays its only one.
  [[nodiscard]] Lease Add(LocalEndpoint& endpoint, const net::TlsClientPtr& tls,
                          std::unique_ptr<http::ClientConnection> wire);
  /// As Add, for a connection that nobody wants yet (an early probe's).
  void AddIdle(LocalEndpoint& endpoint, std::unique_ptr<http::ClientConnection> wire);

  /// Takes the idle connection used last out, for the slot that goes to another shard; null where
  /// none is idle. Its place among the endpoint's open connections goes with it.
  [[nodiscard]] std::unique_ptr<http::CarriedConnection> Detach(LocalEndpoint& endpoint);
  /// Takes in, idle, what another shard's Detach gave.
  void Attach(LocalEndpoint& endpoint, std::unique_ptr<http::CarriedConnection> carried);

  /// May a connection to this endpoint be opened now? Where it may and the workload is limited, the
  /// place is taken: Add uses it, ReturnPlace gives it back after a failed dial.
  [[nodiscard]] bool TakePlace(LocalEndpoint& endpoint);
  void ReturnPlace(LocalEndpoint& endpoint);
  /// A dial is under way whose connection will carry many streams, and has room for one more.
  [[nodiscard]] bool dialling(const LocalEndpoint& endpoint) const;
  /// Waits for that dial, and takes a stream on its connection; empty where there is none to be
  /// had.
  [[nodiscard]] net::Task<Lease> JoinDial(LocalEndpoint& endpoint, TimePoint deadline);
  /// Closes one idle connection to the endpoint with this counter, if there is one.
  void CloseOneIdle(const EndpointSlots* slots);

  /// The endpoint is going: its idle connections close now, the others when they come back.
  void EndpointLeaving(LocalEndpoint& endpoint);
  /// Its workload's limit was switched on or off (LocalEndpoint::counted has changed).
  void CountedChanged(LocalEndpoint& endpoint);
  /// Drain: nothing idle is kept from now on.
  void CloseIdle();

  [[nodiscard]] size_t open() const { return open_; }
  [[nodiscard]] size_t idle() const { return idle_; }
  void CheckInvariants() const;

 private:
  static void Told(void* connection, bool usable);
  static void OnTimer(void* self);

  struct Joiner;
  Connections& ConnectionsOf(LocalEndpoint& endpoint);
  [[nodiscard]] Lease TakeShared(Connections& home);
  void DialEnded(Connections& home) const;
  Connection& NewConnection(LocalEndpoint& endpoint, const net::TlsClientPtr& tls,
                            std::unique_ptr<http::ClientConnection> wire);
  void Returned(Connection& connection);
  void MakeIdle(Connection& connection);
  void LeaveIdle(Connection& connection);
  void CloseIdleOf(Connections& home);
  void Bury(Connection& connection);
  void Sweep();
  void EmptyGraves();

  net::Shard& shard_;
  PoolLimits limits_;
  ShardStats& stats_;
  std::vector<std::unique_ptr<Connections>> endpoints_;
  Connection* graves_ = nullptr;
  net::Timer timer_;
  TimePoint next_sweep_ = kNever;
  size_t open_ = 0;
  size_t idle_ = 0;
  bool keep_idle_ = true;
};

}  // namespace rouse::proxy
