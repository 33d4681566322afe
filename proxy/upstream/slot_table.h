#pragma once
// What:      what shards share about slots: EndpointSlots (in flight at one pod), WorkloadSlots
//            (who waits, how much is parked), SlotTable (all of them, outliving snapshots).
// Owner:     whoever builds snapshots owns the SlotTable and alone calls it (one thread); the
//            counters are shared_ptrs in endpoint sets and live while a snapshot, a slot or the
//            table's caller needs them.
// Shard:     counters: any. All waiting is elsewhere: nothing here blocks.
// Limits:    kPublished waiters of a shard are visible to the others; the rest follow as those are
//            claimed.
// Invariant: in_flight <= limit at all times while every shard agrees on the limit. A freed slot is
//            either given to a waiter or becomes visible to the next one: publish, then try once
//            more, then park.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <absl/container/flat_hash_map.h>

#include "common/base/clock.h"
#include "common/base/object_key.h"
#include "proxy/model/endpoint_set.h"

namespace rouse::proxy {

inline constexpr size_t kCacheLine = 64;

/// Requests in flight at one endpoint over all shards, where its workload sets a limit.
class alignas(kCacheLine) EndpointSlots {
 public:
  /// Takes one slot unless `limit` are taken.
  [[nodiscard]] bool TryTake(uint32_t limit) {
    uint32_t seen = in_flight_.load();
    while (seen < limit) {
      if (in_flight_.compare_exchange_weak(seen, seen + 1)) return true;
    }
    return false;
  }
  /// Takes `n` whatever the limit: what a shard had in flight when the limit was switched on.
  void Add(uint32_t n) { in_flight_.fetch_add(n); }
  void Release(uint32_t n = 1) { in_flight_.fetch_sub(n); }
  [[nodiscard]] uint32_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

  /// Open connections over all shards, for the pool (15.6): whoever holds a slot and finds `limit`
  /// open knows that some shard keeps an idle one, and asks that shard to close it before it dials.
  [[nodiscard]] bool TryOpen(uint32_t limit) {
    uint32_t seen = open_.load();
    while (seen < limit) {
      if (open_.compare_exchange_weak(seen, seen + 1)) return true;
    }
    return false;
  }
  /// Counts a connection that was open when the limit was switched on.
  void Opened() { open_.fetch_add(1); }
  void Closed() { open_.fetch_sub(1); }
  [[nodiscard]] uint32_t open() const { return open_.load(); }

  /// Slots whose shard waits for a connection to be closed elsewhere: none is kept idle meanwhile.
  void WantPlace() { places_wanted_.fetch_add(1); }
  void UnwantPlace() { places_wanted_.fetch_sub(1); }
  [[nodiscard]] bool place_wanted() const {
    return places_wanted_.load(std::memory_order_relaxed) > 0;
  }

  static constexpr uint32_t kShardsMax = 64;
  /// Says whether `shard` keeps an idle connection to this endpoint.
  void SetIdle(uint32_t shard, bool idle) {
    const uint64_t bit = uint64_t{1} << (shard % kShardsMax);
    idle ? idle_shards_.fetch_or(bit) : idle_shards_.fetch_and(~bit);
  }
  /// One bit per shard that keeps an idle connection.
  [[nodiscard]] uint64_t idle_shards() const { return idle_shards_.load(); }

 private:
  std::atomic<uint32_t> in_flight_{0};
  std::atomic<uint32_t> open_{0};
  std::atomic<uint32_t> places_wanted_{0};
  std::atomic<uint64_t> idle_shards_{0};
};

/// The oldest waiters of one shard, in order. One shard publishes; any claims.
class alignas(kCacheLine) WaiterQueue {
 public:
  static constexpr size_t kPublished = 64;

  /// Owner: the next ticket, or nullopt where the queue is full.
  std::optional<uint64_t> Publish(TimePoint arrival);
  /// Owner:     the waiter left or was served otherwise. False: it has been claimed, a grant is on
  ///            its way.
  bool Withdraw(uint64_t ticket);
  /// Any: when the oldest waiter arrived; nullopt where nobody waits. `ticket` for Claim.
  [[nodiscard]] std::optional<TimePoint> Oldest(uint64_t& ticket);
  /// Any: takes the waiter seen by Oldest. False: somebody was faster.
  [[nodiscard]] bool Claim(uint64_t ticket);
  [[nodiscard]] bool empty() const { return head_.load() >= tail_.load(); }
  /// Published and not claimed, with those that left behind the first that did not.
  [[nodiscard]] uint64_t Size();

 private:
  static constexpr int64_t kGone = INT64_MIN;
  std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> tail_{0};
  std::array<std::atomic<int64_t>, kPublished> arrivals_{};
};

/// A count against a limit, over all shards.
class SharedCount {
 public:
  [[nodiscard]] bool TryAdd(uint64_t n, uint64_t most) {
    if (count_.fetch_add(n) + n <= most) return true;
    count_.fetch_sub(n);
    return false;
  }
  void Add(uint64_t n) { count_.fetch_add(n); }
  void Subtract(uint64_t n) { count_.fetch_sub(n); }
  [[nodiscard]] uint64_t value() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> count_{0};
};

/// A waiter taken off a shard's queue: a slot is to be sent to it.
struct Claimed {
  uint32_t shard = 0;
  uint64_t ticket = 0;
};

/// What all shards know of one workload.
class WorkloadSlots {
 public:
  explicit WorkloadSlots(uint32_t shards) : shards_(shards) {
    queues_ = std::make_unique<WaiterQueue[]>(shards);
  }
  [[nodiscard]] uint32_t shards() const { return shards_; }
  [[nodiscard]] WaiterQueue& queue(uint32_t shard) { return queues_[shard]; }

  /// Exchanges parked, and the bytes that they hold.
  SharedCount parked;
  SharedCount parked_bytes;

  /// Claims the oldest waiter; one of shard `local` wins if less than `grace` younger.
  [[nodiscard]] std::optional<Claimed> ClaimOldest(uint32_t local, Duration grace);
  /// Somebody is published, on any shard.
  [[nodiscard]] bool AnyWaiting() const;

 private:
  uint32_t shards_;
  std::unique_ptr<WaiterQueue[]> queues_;
};

class SlotTable {
 public:
  explicit SlotTable(uint32_t shards) : shards_(shards) {}

  /// The counter of an endpoint: the same one for as long as anybody still uses it.
  [[nodiscard]] std::shared_ptr<EndpointSlots> Endpoint(const EndpointKey& key);
  [[nodiscard]] std::shared_ptr<WorkloadSlots> Workload(const ObjectKey& key);
  /// Forgets what nobody uses. To be called now and then, by the same thread.
  void Sweep();
  [[nodiscard]] size_t endpoints() const { return endpoints_.size(); }
  [[nodiscard]] size_t workloads() const { return workloads_.size(); }

 private:
  uint32_t shards_;
  absl::flat_hash_map<EndpointKey, std::weak_ptr<EndpointSlots>> endpoints_;
  absl::flat_hash_map<ObjectKey, std::weak_ptr<WorkloadSlots>> workloads_;
};

}  // namespace rouse::proxy
