// Who is next: freed slots, hand-over between shards, and rounds over the workloads that may go on.

#include <utility>

#include "common/base/check.h"
#include "proxy/admission/admission.h"
#include "proxy/admission/waiter.h"

namespace rouse::proxy {

namespace {

/// A waiter of this shard wins if it is younger than the oldest by less than this (15.6).
constexpr Duration kLocalGrace = std::chrono::milliseconds(1);

Waiter* FindTicket(const ParkedList& parked, uint64_t ticket) {
  for (Waiter* at = FrontOf(parked); at != nullptr; at = NextOf(*at)) {
    if (at->ticket == ticket) return at;
  }
  return nullptr;
}

}  // namespace

struct Admission::Transfer {
  uint32_t from = 0;
  uint32_t place = 0;
  uint64_t ticket = 0;
  std::shared_ptr<WorkloadSlots> workload;
  std::shared_ptr<EndpointSlots> slots;
  /// An idle connection to the endpoint, counted in `slots` as open.
  std::unique_ptr<http::CarriedConnection> connection;

  Workload* WorkloadOn(const Admission& shard) const {
    Workload* found = shard.WorkloadAt(place);
    return found != nullptr && found->shared_ == workload ? found : nullptr;
  }
  LocalEndpoint* EndpointOf(const Workload* on) const {
    if (on == nullptr) return nullptr;
    for (const EndpointRef& endpoint : on->endpoints_) {
      if (endpoint->shared == slots && endpoint->ready()) return endpoint.get();
    }
    return nullptr;
  }
};

void Admission::Release(Workload& workload, LocalEndpoint& endpoint) {
  CHECK(workload.in_flight_ > 0);
  --workload.in_flight_;
  FreeSlot(workload, endpoint);
}

/// Straight to the oldest waiter, without ever being free; or free, and then look again.
void Admission::FreeSlot(Workload& workload, LocalEndpoint& endpoint) {
  if (!endpoint.counted) {
    Balancer::Release(endpoint);
    return;
  }
  const bool usable = endpoint.ready() && !workload.gone_ &&
                      !workload.balancer_.ejected(endpoint, shard_.now()) &&
                      endpoint.shared->in_flight() <= workload.policy().concurrency_limit;
  if (usable) {
    const std::optional<Claimed> claimed =
        workload.shared_->ClaimOldest(workload.shared_place_, kLocalGrace);
    if (claimed) {
      Hand(workload, endpoint, *claimed);
      return;
    }
  }
  Balancer::Release(endpoint);
  if (!workload.shared_->AnyWaiting()) return;
  // Not for this shard to use, but others may see the endpoint otherwise.
  if (!usable) NudgePeers(workload);
  if (workload.gone_) return;
  MarkRunnable(workload);
  StartRounds();
}

/// Has the other shards look for slots of their waiters; they take only what they themselves can
/// use.
void Admission::NudgePeers(const Workload& workload) {
  for (uint32_t shard = 0; shard < peers_.size(); ++shard) {
    if (shard == shard_.id()) continue;
    PostTo(shard, [place = workload.place_](Admission& there) {
      Workload* other = there.WorkloadAt(place);
      if (other == nullptr || other->parked_.empty()) return;
      there.MarkRunnable(*other);
      there.StartRounds();
    });
  }
}

void Admission::Hand(Workload& workload, LocalEndpoint& endpoint, const Claimed& claimed) {
  if (claimed.shard == workload.shared_place_) {
    Grant(workload, endpoint, claimed.ticket);
    return;
  }
  --endpoint.in_flight;  // the shared count stays: the slot travels
  stats_.grants_sent.Add();
  Transfer transfer{shard_.id(),      workload.place_, claimed.ticket,
                    workload.shared_, endpoint.shared, nullptr};
  if (wires_.detach_connection) transfer.connection = wires_.detach_connection(endpoint);
  PostTo(claimed.shard, [transfer = std::move(transfer)](Admission& there) mutable {
    there.Receive(std::move(transfer));
  });
}

/// A slot of this shard for the oldest waiter. Tickets change hands so that the claimed one goes
/// with it.
void Admission::Grant(Workload& workload, LocalEndpoint& endpoint, std::optional<uint64_t> ticket) {
  Waiter* front = FrontOf(workload.parked_);
  if (front == nullptr) {
    FreeSlot(workload, endpoint);
    return;
  }
  Waiter* holder = ticket ? FindTicket(workload.parked_, *ticket) : nullptr;
  if (holder != nullptr) {
    if (holder != front) std::swap(holder->ticket, front->ticket);
    front->ticket.reset();
    ++workload.unpublished_;
  }
  Serve(*front, endpoint);
}

void Admission::Receive(Transfer transfer) {
  Workload* workload = transfer.WorkloadOn(*this);
  LocalEndpoint* endpoint = transfer.EndpointOf(workload);
  if (endpoint != nullptr) {
    Unpack(transfer, *endpoint);
    Grant(*workload, *endpoint, transfer.ticket);
    return;
  }
  // This shard's snapshot does not have the endpoint, or no longer.
  if (workload != nullptr) {
    if (Waiter* holder = FindTicket(workload->parked_, transfer.ticket)) {
      holder->ticket.reset();
      ++workload->unpublished_;
      Refill(*workload);
    }
  }
  const uint32_t back_to = std::exchange(transfer.from, shard_.id());
  PostTo(back_to, [back = std::move(transfer)](Admission& there) mutable {
    there.TakeBack(std::move(back));
  });
}

/// The slot, and the connection that came with it, are this shard's from here on.
void Admission::Unpack(Transfer& transfer, LocalEndpoint& endpoint) {
  ++endpoint.in_flight;
  if (!endpoint.counted) endpoint.shared->Release();
  if (transfer.connection) wires_.attach_connection(endpoint, std::move(transfer.connection));
}

/// To the own oldest, so that it does not go to and fro until the other shard has caught up.
void Admission::TakeBack(Transfer transfer) {
  Workload* workload = transfer.WorkloadOn(*this);
  LocalEndpoint* endpoint = transfer.EndpointOf(workload);
  if (endpoint != nullptr && !workload->parked_.empty()) {
    Unpack(transfer, *endpoint);
    Grant(*workload, *endpoint, std::nullopt);
    return;
  }
  if (transfer.connection) transfer.slots->Closed();
  transfer.slots->Release();
  if (workload != nullptr) NudgePeers(*workload);
}

void Admission::PostTo(uint32_t shard, absl::AnyInvocable<void(Admission&)> act) {
  CHECK(shard < peers_.size());
  const Peer& peer = peers_[shard];
  peer.shard->Post([target = peer.target, act = std::move(act)]() mutable {
    if (*target != nullptr) act(**target);
  });
}

/// Makes a new waiter visible to the other shards, unless older ones still wait for that.
void Admission::Publish(Waiter& waiter) {
  Workload& workload = *waiter.workload;
  if (workload.limited() && workload.unpublished_ == 0) {
    waiter.ticket = workload.shared_->queue(workload.shared_place_).Publish(waiter.arrival);
  }
  if (!waiter.ticket) ++workload.unpublished_;
}

void Admission::Refill(Workload& workload) {
  if (!workload.limited() || workload.unpublished_ == 0) return;
  WaiterQueue& queue = workload.shared_->queue(workload.shared_place_);
  // By halves, so that the walk past those already published is paid for by many.
  if (queue.Size() > WaiterQueue::kPublished / 2) return;
  const bool was_empty = queue.empty();
  bool any = false;
  for (Waiter* at = FrontOf(workload.parked_); at != nullptr; at = NextOf(*at)) {
    if (at->ticket) continue;
    at->ticket = queue.Publish(at->arrival);
    if (!at->ticket) break;
    any = true;
    if (--workload.unpublished_ == 0) break;
  }
  // Nobody was to be seen for a moment: a slot may have become free unnoticed.
  if (was_empty && any && workload.has_ready_endpoint()) {
    MarkRunnable(workload);
    StartRounds();
  }
}

void Admission::MarkRunnable(Workload& workload) {
  if (workload.runnable_) return;
  workload.runnable_ = true;
  runnable_.emplace_back(&workload);
}

/// The first round runs at once, the others one a turn.
void Admission::StartRounds() {
  if (rounds_run_ || runnable_.empty()) return;
  rounds_run_ = true;
  net::Detach(RunRounds(shard_, self_));
}

net::Task<void> Admission::RunRounds(net::Shard& shard, std::shared_ptr<Admission*> self) {
  // One more turn after the last round: what comes meanwhile waits for it, so a turn never sees
  // two.
  for (bool more = true; more;) {
    (*self)->RunRound();
    co_await shard.NextTurn();
    if (*self == nullptr) co_return;
    more = !(*self)->runnable_.empty();
  }
  (*self)->rounds_run_ = false;
}

/// Deficit round robin where every dispatch costs one: a quantum for each, at most so many a turn.
void Admission::RunRound() {
  uint32_t left = limits_.dispatches_per_turn;
  size_t visits = 2 * runnable_.size() + limits_.dispatches_per_turn;
  while (left > 0 && visits-- > 0 && !runnable_.empty()) {
    const WorkloadRef workload = std::move(runnable_.front());
    runnable_.pop_front();
    workload->runnable_ = false;
    const uint32_t most = std::min(limits_.quantum, left);
    const uint32_t made = Pump(*workload, most);
    left -= made;
    if (made == most) MarkRunnable(*workload);
  }
}

/// Serves waiters of the workload, oldest first, while there are slots; how many it took on.
uint32_t Admission::Pump(Workload& workload, uint32_t most) {
  uint32_t made = 0;
  while (made < most) {
    Waiter* front = FrontOf(workload.parked_);
    if (front == nullptr && !(workload.limited() && workload.shared_->AnyWaiting())) break;
    LocalEndpoint* endpoint = workload.balancer_.Take(front == nullptr ? nullptr : front->avoid,
                                                      shard_.now(), shard_.random());
    if (endpoint == nullptr) break;
    if (!endpoint->counted) {
      DCHECK(front != nullptr);  // every endpoint of a limited workload is counted
      Serve(*front, *endpoint);
      ++made;
      continue;
    }
    const std::optional<Claimed> claimed =
        workload.shared_->ClaimOldest(workload.shared_place_, kLocalGrace);
    if (claimed) {
      Hand(workload, *endpoint, *claimed);
      ++made;
      continue;
    }
    Balancer::Release(*endpoint);
    if (!workload.shared_->AnyWaiting()) break;
  }
  return made;
}

}  // namespace rouse::proxy
