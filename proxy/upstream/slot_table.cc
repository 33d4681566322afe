#include "proxy/upstream/slot_table.h"

#include "common/base/check.h"

namespace rouse::proxy {

// head_ only grows, and a place is written again only after head_ has passed it; so a claim that
// saw an old arrival fails on head_. All orders are sequentially consistent: "publish, then look
// for a slot" on one shard and "free a slot, then look for waiters" on another must not both miss
// each other.

std::optional<uint64_t> WaiterQueue::Publish(TimePoint arrival) {
  const uint64_t ticket = tail_.load();
  if (ticket - head_.load() >= kPublished) return std::nullopt;
  arrivals_[ticket % kPublished].store(arrival.time_since_epoch().count());
  tail_.store(ticket + 1);
  return ticket;
}

bool WaiterQueue::Withdraw(uint64_t ticket) {
  if (head_.load() > ticket) return false;
  arrivals_[ticket % kPublished].store(kGone);
  uint64_t ignored = 0;
  (void)Oldest(ignored);  // sweeps what is gone off the front
  return true;
}

std::optional<TimePoint> WaiterQueue::Oldest(uint64_t& ticket) {
  for (;;) {
    uint64_t head = head_.load();
    if (head >= tail_.load()) return std::nullopt;
    const int64_t arrival = arrivals_[head % kPublished].load();
    if (head_.load() != head) continue;
    if (arrival != kGone) {
      ticket = head;
      return TimePoint(Duration(arrival));
    }
    (void)head_.compare_exchange_strong(head, head + 1);
  }
}

uint64_t WaiterQueue::Size() {
  uint64_t ticket = 0;
  return Oldest(ticket) ? tail_.load() - ticket : 0;
}

bool WaiterQueue::Claim(uint64_t ticket) {
  return head_.compare_exchange_strong(ticket, ticket + 1);
}

std::optional<Claimed> WorkloadSlots::ClaimOldest(uint32_t local, Duration grace) {
  for (;;) {
    std::optional<TimePoint> oldest;
    Claimed best;
    for (uint32_t shard = 0; shard < shards_; ++shard) {
      uint64_t ticket = 0;
      const std::optional<TimePoint> arrival = queues_[shard].Oldest(ticket);
      if (!arrival) continue;
      const bool better = !oldest || *arrival < *oldest;
      if (better) {
        oldest = arrival;
        best = {shard, ticket};
      }
    }
    if (!oldest) return std::nullopt;
    if (best.shard != local && local < shards_) {
      uint64_t ticket = 0;
      const std::optional<TimePoint> own = queues_[local].Oldest(ticket);
      if (own && *own - *oldest < grace) best = {local, ticket};
    }
    if (queues_[best.shard].Claim(best.ticket)) return best;
  }
}

bool WorkloadSlots::AnyWaiting() const {
  for (uint32_t shard = 0; shard < shards_; ++shard) {
    if (!queues_[shard].empty()) return true;
  }
  return false;
}

namespace {

template <typename Map, typename Key, typename Make>
auto FindOrMake(Map& map, const Key& key, Make make) {
  auto& known = map[key];
  auto held = known.lock();
  if (held == nullptr) {
    held = make();
    known = held;
  }
  return held;
}

}  // namespace

std::shared_ptr<EndpointSlots> SlotTable::Endpoint(const EndpointKey& key) {
  return FindOrMake(endpoints_, key, [] { return std::make_shared<EndpointSlots>(); });
}

std::shared_ptr<WorkloadSlots> SlotTable::Workload(const ObjectKey& key) {
  return FindOrMake(workloads_, key, [this] { return std::make_shared<WorkloadSlots>(shards_); });
}

void SlotTable::Sweep() {
  absl::erase_if(endpoints_, [](const auto& entry) { return entry.second.expired(); });
  absl::erase_if(workloads_, [](const auto& entry) { return entry.second.expired(); });
}

}  // namespace rouse::proxy
