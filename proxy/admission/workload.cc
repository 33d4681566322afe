#include "proxy/admission/workload.h"

#include <utility>

namespace rouse::proxy {

void ParkedList::Insert(Parked& waiter) {
  // A second attempt kept its arrival: it goes near the front. All others go to the back.
  Parked* after = back_;
  if (after != nullptr && waiter.arrival < after->arrival) {
    after = nullptr;
    for (Parked* at = front_; at->arrival <= waiter.arrival; at = at->next) after = at;
  }
  waiter.previous = after;
  waiter.next = after == nullptr ? front_ : after->next;
  (waiter.previous == nullptr ? front_ : waiter.previous->next) = &waiter;
  (waiter.next == nullptr ? back_ : waiter.next->previous) = &waiter;
  ++size_;
}

void ParkedList::Remove(Parked& waiter) {
  (waiter.previous == nullptr ? front_ : waiter.previous->next) = waiter.next;
  (waiter.next == nullptr ? back_ : waiter.next->previous) = waiter.previous;
  waiter.next = nullptr;
  waiter.previous = nullptr;
  --size_;
}

DemandEntry::DemandEntry(WorkloadRef workload) : workload_(std::move(workload)) {
  workload_->meter().Enter(workload_->shard().now());
}

DemandEntry::~DemandEntry() {
  if (workload_) workload_->meter().Leave(workload_->shard().now());
}

Workload::Workload(net::Shard& shard, EndpointSetPtr set)
    : shard_(shard),
      key_(set->workload),
      name_(set->workload.text()),
      set_(std::move(set)),
      shared_(set_->slots),
      meter_(shard.now()) {
  if (shared_ == nullptr) shared_ = std::make_shared<WorkloadSlots>(1);
  if (set_->slots != nullptr) shared_place_ = shard.id();
  CHECK(shared_place_ < shared_->shards());
}

Workload::~Workload() { CHECK(parked_.empty()); }

std::chrono::seconds Workload::retry_after() const {
  return RetryAfter(start_times_, waking() ? cold_.parked : kNever, shard_.now());
}

TimePoint Workload::oldest_arrival() const {
  return parked_.empty() ? kNever : parked_.front()->arrival;
}

WorkloadStats Workload::SampleStats() const {
  WorkloadStats sample = stats_;
  sample.concurrency.Set(meter_.concurrency());
  sample.parked.Set(parked_.size());
  sample.endpoints_ready.Set(static_cast<double>(balancer_.ready().size()));
  return sample;
}

}  // namespace rouse::proxy
