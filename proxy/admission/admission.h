#pragma once
// What:      Admission: a slot at once where one is free, else park; resume oldest first when a
//            snapshot, an early probe or a freed slot allows it; expire, refuse.
// Owner:     DataPlane, one per shard; outlives every exchange, slot and workload reference of the
//            shard.
// Limits:    AdmissionLimits; per workload parked_max of its policy and `concurrency_limit` per
//            endpoint.
// Invariant: every Acquire ends exactly once. Parked, no endpoint ready: a wake has been asked for.
//            Limited: nobody overtakes on any shard (README, "Order"). CheckInvariants walks
//            everything.
// Never:     reads or writes bytes, dials, or answers clients.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/base/error.h"
#include "common/http/stream.h"
#include "common/net/event.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "proxy/admission/slot.h"
#include "proxy/admission/waiter.h"
#include "proxy/admission/workload.h"
#include "proxy/model/snapshot.h"
#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {

/// Over all shards. A workload is sure of the guarantee while the totals hold; beyond it, of half
/// of what is free.
struct AdmissionLimits {
  uint64_t parked_max = 100000;
  uint64_t parked_bytes_max = 256u << 20;
  uint64_t guarantee_requests = 64;
  uint64_t guarantee_bytes = 1u << 20;
  /// Parked exchanges resumed per turn, over all workloads; and by one workload before the next has
  /// its turn.
  uint32_t dispatches_per_turn = 2;
  uint32_t quantum = 2;
};

/// Parked over all workloads and shards; one per program, outlives every shard.
struct ParkedTotals {
  SharedCount requests;
  SharedCount bytes;
};

/// The outward wires, called on the shard, never inline with a resumed exchange.
struct AdmissionWires {
  /// An exchange was parked where no endpoint is ready and none was parked before.
  absl::AnyInvocable<void(Workload&)> on_wake;
  /// This shard is to probe a starting endpoint of a workload that somebody waits for, on whichever
  /// shard. Said again for the same endpoint as waits begin and snapshots come.
  absl::AnyInvocable<void(Workload&, const EndpointRef&)> on_starting;
  /// The endpoint is draining or no longer listed: close its idle connections, let the others
  /// finish.
  absl::AnyInvocable<void(LocalEndpoint&)> on_endpoint_leaving;
  /// The limit of a listed endpoint's workload was switched on or off (LocalEndpoint::counted has
  /// changed).
  absl::AnyInvocable<void(LocalEndpoint&)> on_counted_changed;
  /// An idle connection to the endpoint, to go to another shard with a slot; null for none (15.6).
  absl::AnyInvocable<std::unique_ptr<http::CarriedConnection>(LocalEndpoint&)> detach_connection;
  /// The counterpart, before the slot is granted here.
  absl::AnyInvocable<void(LocalEndpoint&, std::unique_ptr<http::CarriedConnection>)>
      attach_connection;
};

class Admission {
 public:
  Admission(net::Shard& shard, AdmissionLimits limits, ParkedTotals& totals, ShardStats& stats,
            AdmissionWires wires);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  /// Where other shards send freed slots to. Each shard's goes into the same vector, in shard
  /// order, given to all by ConnectPeers before the first snapshot.
  struct Peer {
    net::Shard* shard = nullptr;
    std::shared_ptr<Admission*> target;  ///< read on that shard only; null once it is gone
  };
  [[nodiscard]] Peer peer() const { return {&shard_, self_}; }
  void ConnectPeers(std::vector<Peer> peers) { peers_ = std::move(peers); }

  /// The warm path: a slot, or an empty one: park. Never suspends, never allocates.
  [[nodiscard]] Slot TryAcquire(Workload& workload, const LocalEndpoint* avoid = nullptr);
  /// Waits for a slot. While it waits the stream's OnGone watch is its own; afterwards there is
  /// none. Errors: kNoAutoscaler, kParkedFull, kParkedBytesFull, kColdStartTimeout,
  /// kDeadlineExceeded, kDownstreamClosed, kWorkloadGone, kDraining (only from FailParked).
  [[nodiscard]] Acquiring Acquire(AcquireRequest request);

  /// The new view: endpoints set, limits changed, gone workloads' waiters failed, others resumed.
  void Adopt(const SnapshotPtr& snapshot);
  /// The workload at a place (Route::workload); null where the snapshot has none.
  [[nodiscard]] Workload* WorkloadAt(uint32_t place) const {
    return place < workloads_.size() ? workloads_[place].get() : nullptr;
  }
  [[nodiscard]] std::span<const WorkloadRef> workloads() const { return workloads_; }

  /// An early probe found the endpoint ready. Unknown keys are ignored.
  void MarkReady(uint32_t place, const EndpointKey& key);
  /// MarkReady on every shard.
  void AnnounceReady(uint32_t place, const EndpointKey& key);
  /// What a dial to the slot's endpoint came to.
  void ConnectFailed(const Slot& slot);
  void Connected(const Slot& slot) { Balancer::Connected(slot.endpoint()); }
  /// The wake for this workload has left for the autoscaler.
  void MarkReported(Workload& workload);
  /// Ends every wait with `error`: the end of a drain.
  void FailParked(const Error& error);

  /// Once a second: looks again for slots of waiters, for what no event tells (a pod of two
  /// workloads).
  void LookAgain();

  [[nodiscard]] uint32_t parked() const { return parked_; }
  [[nodiscard]] uint64_t parked_bytes() const { return parked_bytes_; }
  void CheckInvariants() const;

 private:
  friend class Acquiring;
  friend class Slot;
  /// A slot on its way from one shard to another; counted in `slots` all the while.
  struct Transfer;

  // admission.cc: park, serve, leave.
  [[nodiscard]] Slot MakeSlot(Workload& workload, LocalEndpoint& endpoint);
  [[nodiscard]] Error Park(Waiter& waiter);
  [[nodiscard]] Error Charge(Waiter& waiter);
  [[nodiscard]] Error ChargeBytes(Waiter& waiter);
  [[nodiscard]] Error EndWait(Waiter& waiter);
  void Serve(Waiter& waiter, LocalEndpoint& endpoint);
  void Fail(Waiter& waiter, const Error& error);
  void Leave(Waiter& waiter);
  static void ClientGone(void* waiter);

  // admission_dispatch.cc: who is next.
  void Release(Workload& workload, LocalEndpoint& endpoint);
  void FreeSlot(Workload& workload, LocalEndpoint& endpoint);
  void Hand(Workload& workload, LocalEndpoint& endpoint, const Claimed& claimed);
  void Grant(Workload& workload, LocalEndpoint& endpoint, std::optional<uint64_t> ticket);
  void Receive(Transfer transfer);
  void TakeBack(Transfer transfer);
  void Unpack(Transfer& transfer, LocalEndpoint& endpoint);
  static void EndpointsReturned(void* self);
  void NudgePeers(const Workload& workload);
  void PostTo(uint32_t shard, absl::AnyInvocable<void(Admission&)> act);
  void Publish(Waiter& waiter);
  void Refill(Workload& workload);
  void MarkRunnable(Workload& workload);
  void StartRounds();
  [[nodiscard]] uint32_t Pump(Workload& workload, uint32_t most);
  void RunRound();
  static net::Task<void> RunRounds(net::Shard& shard, std::shared_ptr<Admission*> self);

  // admission_adopt.cc: what snapshots and probes change.
  void Retire(Workload& workload);
  void SetEndpoints(Workload& workload, const EndpointSetPtr& set);
  void UpdateEndpoint(LocalEndpoint& endpoint, const EndpointSetPtr& set, const Endpoint& spec);
  void EndpointsChanged(Workload& workload);
  void SetReady(Workload& workload);
  void BeginColdStart(Workload& workload);
  void AdvanceColdStart(Workload& workload);
  void ProbeStarting(Workload& workload);
  void ProbeEndpoint(uint32_t place, const EndpointKey& key);

  net::Shard& shard_;
  AdmissionLimits limits_;
  ParkedTotals& totals_;
  ShardStats& stats_;
  AdmissionWires wires_;
  std::shared_ptr<Admission*> self_;
  std::vector<Peer> peers_;
  SnapshotPtr snapshot_;
  std::vector<WorkloadRef> workloads_;
  std::deque<WorkloadRef> runnable_;
  bool rounds_run_ = false;
  net::Timer returns_;  ///< of ejected endpoints, while somebody may wait for them
  uint32_t parked_ = 0;
  uint64_t parked_bytes_ = 0;
};

}  // namespace rouse::proxy
