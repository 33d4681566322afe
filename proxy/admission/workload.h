#pragma once
// What:      Workload, one workload on one shard: endpoints, who is parked, demand, numbers.
//            ParkedList, an intrusive list of waiters, oldest first.
// Owner:     LocalRef: Admission while a snapshot names it, and each exchange, slot and demand
//            entry. One shard.
// Limits:    those of Admission.
// Invariant: `parked` holds exactly the waiters suspended in Admission::Acquire for this workload.
// Never:     decides; that is admission.h.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/net/shard.h"
#include "proxy/model/endpoint_set.h"
#include "proxy/model/local_ref.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/demand_meter.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/telemetry/start_times.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/local_endpoint.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

/// A place in a ParkedList; Waiter (waiter.h) is what stands there.
struct Parked {
  explicit Parked(TimePoint arrived) : arrival(arrived) {}
  TimePoint arrival;
  Parked* next = nullptr;
  Parked* previous = nullptr;
};

/// Waiters in the order of their arrival. Intrusive: a waiter leaves in O(1).
class ParkedList {
 public:
  void Insert(Parked& waiter);
  void Remove(Parked& waiter);
  [[nodiscard]] Parked* front() const { return front_; }
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  Parked* front_ = nullptr;
  Parked* back_ = nullptr;
  uint32_t size_ = 0;
};

class Workload;
using WorkloadRef = LocalRef<Workload>;

/// Counts one exchange as demand until it is destroyed, parked or not; and keeps the workload.
class DemandEntry {
 public:
  explicit DemandEntry(WorkloadRef workload);
  DemandEntry(DemandEntry&&) noexcept = default;
  DemandEntry& operator=(DemandEntry&&) = delete;
  ~DemandEntry();
  [[nodiscard]] Workload& workload() const { return *workload_; }

 private:
  WorkloadRef workload_;
};

/// What the running cold start has seen so far; all waiters of it share these moments.
struct ColdStartPhase {
  TimePoint parked = kNever;
  TimePoint reported = kNever;
  TimePoint known = kNever;
  TimePoint ready = kNever;
  bool probed = false;
};

class Workload : public LocalCounted<Workload> {
 public:
  Workload(net::Shard& shard, EndpointSetPtr set);
  ~Workload();

  [[nodiscard]] const ObjectKey& key() const { return key_; }
  /// `namespace/name`; lives as long as the workload.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// As of the last snapshot.
  [[nodiscard]] const WorkloadPolicy& policy() const { return set_->policy; }
  [[nodiscard]] const EndpointSetPtr& set() const { return set_; }
  /// A snapshot has dropped it: everything new is refused.
  [[nodiscard]] bool gone() const { return gone_; }

  [[nodiscard]] DemandMeter& meter() { return meter_; }
  [[nodiscard]] WorkloadStats& stats() { return stats_; }
  [[nodiscard]] const WorkloadStats& stats() const { return stats_; }
  [[nodiscard]] StartTimes& start_times() { return start_times_; }
  /// The numbers with their gauges, for the page.
  [[nodiscard]] WorkloadStats SampleStats() const;
  /// What to tell a refused client.
  [[nodiscard]] std::chrono::seconds retry_after() const;
  /// A cold start is running here: parked since `parked`, not ready yet.
  [[nodiscard]] bool waking() const { return cold_.parked != kNever && cold_.ready == kNever; }

  [[nodiscard]] std::span<const EndpointRef> endpoints() const { return endpoints_; }
  [[nodiscard]] bool has_ready_endpoint() const { return !balancer_.empty(); }
  [[nodiscard]] bool limited() const { return policy().concurrency_limit != 0; }
  /// Another proxy is its home (15.6).
  [[nodiscard]] bool away() const { return set_->away; }
  /// Its place in the snapshot (Route::workload).
  [[nodiscard]] uint32_t place() const { return place_; }
  /// Exchanges parked on all shards.
  [[nodiscard]] uint64_t parked_everywhere() const { return shared_->parked.value(); }
  [[nodiscard]] uint32_t parked() const { return parked_.size(); }
  [[nodiscard]] uint64_t parked_bytes() const { return parked_bytes_; }
  /// When the oldest parked exchange arrived; kNever where none is.
  [[nodiscard]] TimePoint oldest_arrival() const;
  [[nodiscard]] net::Shard& shard() const { return shard_; }
  [[nodiscard]] uint32_t in_flight() const { return in_flight_; }

 private:
  friend class Admission;

  net::Shard& shard_;
  ObjectKey key_;
  std::string name_;
  EndpointSetPtr set_;
  std::shared_ptr<WorkloadSlots> shared_;
  std::vector<EndpointRef> endpoints_;  ///< as listed by `set_`, draining ones included
  Balancer balancer_;
  ParkedList parked_;
  uint64_t parked_bytes_ = 0;
  uint32_t unpublished_ = 0;  ///< waiters without a ticket in `shared_`
  uint32_t in_flight_ = 0;
  uint32_t shared_place_ = 0;  ///< this shard's queue in `shared_`
  uint32_t place_ = 0;         ///< in Snapshot::workloads
  bool runnable_ = false;      ///< in Admission's round
  bool gone_ = false;
  ColdStartPhase cold_;
  DemandMeter meter_;
  WorkloadStats stats_;
  StartTimes start_times_;
};

}  // namespace rouse::proxy
