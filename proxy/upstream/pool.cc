#include "proxy/upstream/pool.h"

#include <algorithm>

#include "common/base/check.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

/// kBusy <-> kIdle; either -> kDead, which is last.
enum class ConnectionState : uint8_t { kBusy, kIdle, kDead };

struct Pool::Connection {
  Pool* pool = nullptr;
  Connections* home = nullptr;
  std::unique_ptr<http::ClientConnection> wire;
  Connection* newer = nullptr;  ///< in the idle list
  Connection* older = nullptr;  ///< in the idle list; in the graves, the next one
  Connection* next = nullptr;   ///< in the list of all
  Connection* previous = nullptr;
  TimePoint idle_since{};
  /// By which rules TLS is spoken; the connection keeps them alive.
  const void* identity = nullptr;
  uint32_t leases = 0;
  ConnectionState state = ConnectionState::kBusy;
  bool shares = false;   ///< several leases at a time
  bool counted = false;  ///< in EndpointSlots::open
};

/// An exchange that waits for another one's dial; in its frame.
struct Pool::Joiner {
  explicit Joiner(net::Shard& shard) : done(shard) {}
  net::Event done;
  Joiner* next = nullptr;
};

/// All connections of one endpoint.
struct Pool::Connections {
  EndpointRef endpoint;
  std::shared_ptr<EndpointSlots> shared;
  Connection* all = nullptr;
  Connection* newest = nullptr;
  Connection* oldest = nullptr;
  size_t idle = 0;
  size_t places = 0;  ///< taken, and neither used nor given back
  size_t size = 0;
  size_t sharing = 0;  ///< of size: those that multiplex
  size_t dials = 0;    ///< under way, of such connections
  size_t joining = 0;
  Joiner* joiners = nullptr;  ///< the one that waits for longest in front
  Joiner* joiners_last = nullptr;
  size_t index = 0;  ///< in Pool::endpoints_

  void AddJoiner(Joiner& joiner) {
    (joiners_last != nullptr ? joiners_last->next : joiners) = &joiner;
    joiners_last = &joiner;
    ++joining;
  }
  /// One that gives up; it may have left the list already.
  void RemoveJoiner(Joiner& joiner) {
    Joiner* before = nullptr;
    for (Joiner* at = joiners; at != nullptr; before = at, at = at->next) {
      if (at != &joiner) continue;
      (before != nullptr ? before->next : joiners) = joiner.next;
      if (joiners_last == &joiner) joiners_last = before;
      return;
    }
  }
};

Pool::Pool(net::Shard& shard, PoolLimits limits, ShardStats& stats)
    : shard_(shard), limits_(limits), stats_(stats), timer_(&OnTimer, this) {}

Pool::~Pool() {
  CloseIdle();
  EmptyGraves();
  // Only a stop in the middle of traffic leaves more: exchanges that never ran again.
  for (const auto& home : endpoints_) {
    home->endpoint->connections = nullptr;
    while (home->all != nullptr) {
      const std::unique_ptr<Connection> left(home->all);
      home->all = left->next;
    }
  }
}

void Pool::Lease::Release() {
  if (stream_ == nullptr) return;
  Connection& connection = *std::exchange(connection_, nullptr);
  --connection.leases;
  std::exchange(stream_, nullptr)->Finish();  // may tell at once what has become of the connection
  pool_->Returned(connection);
}

Pool::Lease Pool::TakeIdle(LocalEndpoint& endpoint) {
  auto* const home = static_cast<Connections*>(endpoint.connections);
  if (home == nullptr) return {};
  if (home->sharing > 0) return TakeShared(*home);
  if (home->newest == nullptr) return {};
  Connection& connection = *home->newest;
  LeaveIdle(connection);
  connection.state = ConnectionState::kBusy;
  connection.leases = 1;
  stats_.pool_reuses.Add();
  return Lease(this, &connection, &connection.wire->Open());
}

/// There are few of them: each takes as many streams as it can.
Pool::Lease Pool::TakeShared(Connections& home) {
  const void* const identity = home.endpoint->spec->tls.get();
  for (Connection* at = home.all; at != nullptr; at = at->next) {
    if (at->state == ConnectionState::kDead || at->identity != identity) continue;
    if (at->wire->streams_free() == 0) continue;
    if (at->state == ConnectionState::kIdle) LeaveIdle(*at);
    at->state = ConnectionState::kBusy;
    ++at->leases;
    stats_.pool_reuses.Add();
    return Lease(this, at, &at->wire->Open());
  }
  return {};
}

Pool::Lease Pool::Add(LocalEndpoint& endpoint, const net::TlsClientPtr& tls,
                      std::unique_ptr<http::ClientConnection> wire) {
  Connection& connection = NewConnection(endpoint, tls, std::move(wire));
  connection.leases = 1;
  return Lease(this, &connection, &connection.wire->Open());
}

void Pool::AddIdle(LocalEndpoint& endpoint, std::unique_ptr<http::ClientConnection> wire) {
  MakeIdle(NewConnection(endpoint, endpoint.spec->tls, std::move(wire)));
}

std::unique_ptr<http::CarriedConnection> Pool::Detach(LocalEndpoint& endpoint) {
  auto* const home = static_cast<Connections*>(endpoint.connections);
  if (home == nullptr || home->newest == nullptr || !home->newest->counted) return nullptr;
  Connection& connection = *home->newest;
  std::unique_ptr<http::CarriedConnection> carried = connection.wire->Detach();
  if (carried) connection.counted = false;  // its place goes with it
  Bury(connection);
  return carried;
}

void Pool::Attach(LocalEndpoint& endpoint, std::unique_ptr<http::CarriedConnection> carried) {
  // Only plain connections are carried: what has been asked to speak TLS since has no use for one.
  if (endpoint.spec->tls) return endpoint.shared->Closed();
  if (!endpoint.counted) {
    endpoint.shared->Closed();
    return AddIdle(endpoint, carried->Attach(shard_));
  }
  Connections& home = ConnectionsOf(endpoint);
  home.shared = endpoint.shared;
  ++home.places;
  AddIdle(endpoint, carried->Attach(shard_));
}

Pool::Connections& Pool::ConnectionsOf(LocalEndpoint& endpoint) {
  if (endpoint.connections != nullptr) return *static_cast<Connections*>(endpoint.connections);
  auto home = std::make_unique<Connections>();
  home->endpoint = EndpointRef(&endpoint);
  home->shared = endpoint.shared;
  home->index = endpoints_.size();
  endpoint.connections = home.get();
  endpoints_.push_back(std::move(home));
  return *endpoints_.back();
}

Pool::Connection& Pool::NewConnection(LocalEndpoint& endpoint, const net::TlsClientPtr& tls,
                                      std::unique_ptr<http::ClientConnection> wire) {
  Connections& home = ConnectionsOf(endpoint);
  auto* const connection = std::make_unique<Connection>().release();
  connection->pool = this;
  connection->home = &home;
  connection->wire = std::move(wire);
  connection->identity = tls.get();
  connection->shares = connection->wire->multiplexes();
  if (connection->shares) ++home.sharing;
  DialEnded(home);
  connection->wire->OnChange({&Told, connection});
  connection->next = home.all;
  if (home.all != nullptr) home.all->previous = connection;
  home.all = connection;
  ++home.size;
  ++open_;
  if (home.places > 0) {
    --home.places;
    connection->counted = true;
  } else if (endpoint.counted && home.shared) {
    home.shared->Opened();
    connection->counted = true;
  }
  return *connection;
}

bool Pool::TakePlace(LocalEndpoint& endpoint) {
  const bool counted = endpoint.counted && endpoint.shared;
  const bool shares = endpoint.shares();
  if (!counted && !shares) return true;
  if (counted && !endpoint.shared->TryOpen(endpoint.set->policy.concurrency_limit)) return false;
  Connections& home = ConnectionsOf(endpoint);
  if (shares) ++home.dials;
  if (!counted) return true;
  home.shared = endpoint.shared;
  ++home.places;
  return true;
}

bool Pool::dialling(const LocalEndpoint& endpoint) const {
  const auto* const home = static_cast<const Connections*>(endpoint.connections);
  return home != nullptr && home->joining < home->dials * limits_.joining_per_dial_max;
}

net::Task<Pool::Lease> Pool::JoinDial(LocalEndpoint& endpoint, TimePoint deadline) {
  const EndpointRef held(&endpoint);
  while (dialling(endpoint) && shard_.now() < deadline) {
    // Neither is given back while somebody joins.
    Connections& home = *static_cast<Connections*>(endpoint.connections);
    Joiner joiner(shard_);
    home.AddJoiner(joiner);
    const net::Wake why = co_await joiner.done.Wait(deadline);
    if (why == net::Wake::kDeadline) home.RemoveJoiner(joiner);
    --home.joining;
    Lease lease = TakeIdle(endpoint);
    if (lease) co_return lease;
  }
  timer_.Arm(shard_.timers(), shard_.now());
  co_return Lease();
}

/// One dial is over, well or not: as many as it was for look again, all of them behind the last.
void Pool::DialEnded(Connections& home) const {
  if (home.dials > 0) --home.dials;
  size_t left = home.dials > 0 ? limits_.joining_per_dial_max : home.joining;
  for (; left > 0 && home.joiners != nullptr; --left) {
    Joiner& first = *home.joiners;
    home.joiners = first.next;
    if (home.joiners == nullptr) home.joiners_last = nullptr;
    first.done.Signal();
  }
}

void Pool::ReturnPlace(LocalEndpoint& endpoint) {
  auto* const home = static_cast<Connections*>(endpoint.connections);
  if (home == nullptr) return;
  DialEnded(*home);
  if (home->places == 0) return;
  --home->places;
  home->shared->Closed();
}

void Pool::CloseOneIdle(const EndpointSlots* slots) {
  for (const auto& home : endpoints_) {
    if (home->shared.get() != slots || home->oldest == nullptr) continue;
    Bury(*home->oldest);
    return;
  }
}

/// The stream has ended; told() has said what it thinks of the connection, or will.
void Pool::Returned(Connection& connection) {
  if (connection.state == ConnectionState::kDead && connection.leases == 0) Bury(connection);
}

/// A connection became idle, or must not be used any more; during Finish or from the loop.
void Pool::Told(void* context, bool usable) {
  auto& connection = *static_cast<Connection*>(context);
  Pool& pool = *connection.pool;
  if (connection.state == ConnectionState::kDead) return;
  if (usable) {
    if (connection.leases == 0 && connection.state == ConnectionState::kBusy)
      pool.MakeIdle(connection);
    return;
  }
  if (connection.state == ConnectionState::kIdle) {
    pool.Bury(connection);
  } else {
    connection.state = ConnectionState::kDead;  // buried when its stream comes back
    if (connection.leases == 0) pool.Bury(connection);
  }
}

void Pool::MakeIdle(Connection& connection) {
  Connections& home = *connection.home;
  const bool wanted = connection.counted && home.shared->place_wanted();
  const bool same_identity = connection.identity == home.endpoint->spec->tls.get();
  const bool keep = keep_idle_ && same_identity && !wanted && !home.endpoint->leaving &&
                    home.idle < limits_.idle_per_endpoint_max && idle_ < limits_.idle_max;
  if (!keep) {
    connection.state = ConnectionState::kDead;
    return Bury(connection);
  }
  connection.state = ConnectionState::kIdle;
  connection.idle_since = shard_.now();
  connection.older = home.newest;
  connection.newer = nullptr;
  if (home.newest != nullptr) home.newest->newer = &connection;
  home.newest = &connection;
  if (home.oldest == nullptr) home.oldest = &connection;
  ++idle_;
  if (++home.idle == 1 && home.endpoint->counted && home.shared)
    home.shared->SetIdle(shard_.id(), true);
  if (next_sweep_ == kNever) {
    next_sweep_ = Later(shard_.now(), limits_.idle_timeout);
    timer_.Arm(shard_.timers(), next_sweep_);
  }
}

void Pool::LeaveIdle(Connection& connection) {
  Connections& home = *connection.home;
  (connection.newer != nullptr ? connection.newer->older : home.newest) = connection.older;
  (connection.older != nullptr ? connection.older->newer : home.oldest) = connection.newer;
  connection.newer = connection.older = nullptr;
  --idle_;
  if (--home.idle == 0 && home.endpoint->counted && home.shared)
    home.shared->SetIdle(shard_.id(), false);
}

/// Takes the connection out of everything; it is destroyed from the loop, since it may be on the
/// stack now. Twice is harmless: told() and Returned() may both ask for it.
void Pool::Bury(Connection& connection) {
  if (connection.home == nullptr) return;
  if (connection.state == ConnectionState::kIdle) LeaveIdle(connection);
  connection.state = ConnectionState::kDead;
  Connections& home = *connection.home;
  (connection.previous != nullptr ? connection.previous->next : home.all) = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  --home.size;
  if (connection.shares) --home.sharing;
  --open_;
  connection.wire->Close();
  if (connection.counted) home.shared->Closed();
  connection.home = nullptr;
  connection.older = std::exchange(graves_, &connection);
  timer_.Arm(shard_.timers(), shard_.now());
}

void Pool::EmptyGraves() {
  while (graves_ != nullptr) {
    const std::unique_ptr<Connection> gone(graves_);
    graves_ = gone->older;
  }
  // Endpoints without connections let go of the endpoint.
  for (size_t i = endpoints_.size(); i-- > 0;) {
    Connections& home = *endpoints_[i];
    if (home.size > 0 || home.places > 0 || home.dials > 0 || home.joining > 0) continue;
    home.endpoint->connections = nullptr;
    std::swap(endpoints_[i], endpoints_.back());
    endpoints_[i]->index = i;
    endpoints_.pop_back();
  }
}

void Pool::OnTimer(void* self) {
  auto& pool = *static_cast<Pool*>(self);
  pool.Sweep();
  pool.EmptyGraves();
  if (pool.next_sweep_ != kNever) pool.timer_.Arm(pool.shard_.timers(), pool.next_sweep_);
}

/// Closes what has been idle for too long.
void Pool::Sweep() {
  const TimePoint now = shard_.now();
  if (now < next_sweep_) return;
  next_sweep_ = kNever;
  for (const auto& home : endpoints_) {
    while (home->oldest != nullptr && now - home->oldest->idle_since >= limits_.idle_timeout)
      Bury(*home->oldest);
    if (home->oldest != nullptr)
      next_sweep_ = std::min(next_sweep_, Later(home->oldest->idle_since, limits_.idle_timeout));
  }
}

void Pool::CloseIdleOf(Connections& home) {
  while (home.oldest != nullptr) Bury(*home.oldest);
}

void Pool::EndpointLeaving(LocalEndpoint& endpoint) {
  if (endpoint.connections != nullptr)
    CloseIdleOf(*static_cast<Connections*>(endpoint.connections));
}

void Pool::CountedChanged(LocalEndpoint& endpoint) {
  auto* const home = static_cast<Connections*>(endpoint.connections);
  if (home == nullptr) return;
  if (endpoint.counted) home->shared = endpoint.shared;
  if (!home->shared) return;
  for (Connection* at = home->all; at != nullptr; at = at->next) {
    if (at->counted == endpoint.counted) continue;
    at->counted = endpoint.counted;
    endpoint.counted ? home->shared->Opened() : home->shared->Closed();
  }
  home->shared->SetIdle(shard_.id(), endpoint.counted && home->idle > 0);
}

void Pool::CloseIdle() {
  keep_idle_ = false;
  for (const auto& home : endpoints_) CloseIdleOf(*home);
}

void Pool::CheckInvariants() const {
  size_t open = 0;
  size_t idle = 0;
  for (const auto& home : endpoints_) {
    CHECK(home->endpoint->connections == home.get());
    size_t size = 0;
    for (const Connection* at = home->all; at != nullptr; at = at->next) {
      ++size;
      CHECK(at->home == home.get());
      CHECK(at->state != ConnectionState::kIdle || at->leases == 0);
      CHECK(at->state != ConnectionState::kDead || at->leases > 0);
      CHECK(at->shares || at->leases <= 1);
    }
    CHECK(size == home->size);
    size_t in_list = 0;
    for (const Connection* at = home->newest; at != nullptr; at = at->older) {
      ++in_list;
      CHECK(at->state == ConnectionState::kIdle);
      CHECK(at->older != nullptr || home->oldest == at);
      CHECK(at->older == nullptr || at->older->idle_since <= at->idle_since);
    }
    CHECK(in_list == home->idle);
    CHECK(!home->endpoint->leaving || home->idle == 0);
    open += size;
    idle += in_list;
  }
  CHECK(open == open_);
  CHECK(idle == idle_);
}

}  // namespace rouse::proxy
