#include "proxy/admission/admission.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "proxy/admission/waiter.h"

namespace rouse::proxy {

namespace {

Error Refusal(ErrorKind kind, Side side, const char* detail) {
  // Nothing has been sent anywhere: a repeat is safe.
  return Error{kind, side, true, detail};
}

/// A workload is sure of its guarantee; beyond that it may hold half of what is free.
bool WithinShare(uint64_t own, uint64_t guarantee, uint64_t total, uint64_t most) {
  if (own <= guarantee) return true;
  return total <= most && own - guarantee <= (most - total) / 2;
}

/// The phases of the cold start that ends with a slot.
void Record(const ColdStartPhase& phase, ColdStartTimes& times) {
  times.reported = phase.reported;
  times.known = phase.known;
  times.ready = phase.ready;
  times.probed = phase.probed;
}

}  // namespace

void Slot::Release() {
  if (admission_ == nullptr) return;
  Admission* admission = std::exchange(admission_, nullptr);
  admission->Release(*workload_, *endpoint_);
  endpoint_.Reset();
  workload_.Reset();
}

Admission::Admission(net::Shard& shard, AdmissionLimits limits, ParkedTotals& totals,
                     ShardStats& stats, AdmissionWires wires)
    : shard_(shard),
      limits_(limits),
      totals_(totals),
      stats_(stats),
      wires_(std::move(wires)),
      self_(std::make_shared<Admission*>(this)),
      returns_(&Admission::EndpointsReturned, this) {}

Admission::~Admission() {
  *self_ = nullptr;
  CHECK(parked_ == 0);
}

Slot Admission::TryAcquire(Workload& workload, const LocalEndpoint* avoid) {
  // Nobody overtakes those who wait: on this shard, and where a limit is shared, on any.
  if (!workload.parked_.empty()) return {};
  if (workload.limited() && workload.shared_->parked.value() != 0) return {};
  LocalEndpoint* endpoint = workload.balancer_.Take(avoid, shard_.now(), shard_.random());
  if (endpoint == nullptr) return {};
  return MakeSlot(workload, *endpoint);
}

Acquiring Admission::Acquire(AcquireRequest request) {
  auto waiter = std::make_unique<Waiter>(*this, shard_, std::move(request));
  waiter->slot = TryAcquire(*waiter->workload, waiter->avoid);
  if (!waiter->slot) waiter->error = Park(*waiter);
  return Acquiring(waiter.release());
}

Acquiring::Acquiring(Waiter* waiter) : waiter_(waiter) {}

Acquiring::~Acquiring() = default;

bool Acquiring::await_ready() const { return !waiter_->parked || waiter_->event.signalled(); }

void Acquiring::await_suspend(std::coroutine_handle<> exchange) {
  waiter_->event.Wait(waiter_->deadline).await_suspend(exchange);
}

Error Acquiring::await_resume() {
  if (!waiter_->parked) return waiter_->error;
  return waiter_->admission.EndWait(*waiter_);
}

/// Its slot has come, or its deadline.
Error Admission::EndWait(Waiter& waiter) {
  if (waiter.waiting) {
    Fail(waiter, waiter.by_client ? Refusal(ErrorKind::kDeadlineExceeded, Side::kDownstream,
                                            "the client's deadline passed while no pod was free")
                                  : Refusal(ErrorKind::kColdStartTimeout, Side::kLocal,
                                            "no pod became free in time"));
  }
  waiter.stream.OnGone({});
  waiter.stream.Unpark();
  if (waiter.error.ok()) waiter.times.slot = shard_.now();
  return waiter.error;
}

Error Admission::Park(Waiter& waiter) {
  Workload& workload = *waiter.workload;
  if (!waiter.may_wake && !workload.has_ready_endpoint()) {
    return Refusal(ErrorKind::kNoAutoscaler, Side::kLocal, "nobody to wake it");
  }
  if (workload.gone_) {
    return Refusal(ErrorKind::kWorkloadGone, Side::kLocal, "the workload has been removed");
  }
  if (waiter.stream.gone()) {
    return Refusal(ErrorKind::kDownstreamClosed, Side::kDownstream, "the client left");
  }
  const Error refused = Charge(waiter);
  if (!refused.ok()) return refused;

  waiter.parked = waiter.waiting = true;
  waiter.times.parked = shard_.now();
  waiter.times.cold = !workload.has_ready_endpoint();
  const bool first = workload.parked_.empty();
  workload.parked_.Insert(waiter);
  ++parked_;
  workload.stats_.parked_total.Add();
  waiter.stream.OnGone({&Admission::ClientGone, &waiter});
  if (waiter.times.cold) BeginColdStart(workload);
  if (first) ProbeStarting(workload);
  Publish(waiter);
  // It is published: whoever frees a slot from now on sees it. What was freed before, this looks
  // for.
  if (workload.has_ready_endpoint()) {
    MarkRunnable(workload);
    StartRounds();
  }
  return {};
}

Error Admission::Charge(Waiter& waiter) {
  WorkloadSlots& shared = *waiter.workload->shared_;
  const uint64_t most = waiter.workload->policy().parked_max;
  const Error full =
      Refusal(ErrorKind::kParkedFull, Side::kLocal, "too many requests wait already");
  if (!shared.parked.TryAdd(1, most)) return full;
  if (!totals_.requests.TryAdd(1, limits_.parked_max)) {
    shared.parked.Subtract(1);
    return full;
  }
  Error refused;
  if (!WithinShare(shared.parked.value(), limits_.guarantee_requests, totals_.requests.value(),
                   limits_.parked_max)) {
    refused = full;
  } else {
    refused = ChargeBytes(waiter);
  }
  if (!refused.ok()) {
    totals_.requests.Subtract(1);
    shared.parked.Subtract(1);
  }
  return refused;
}

Error Admission::ChargeBytes(Waiter& waiter) {
  WorkloadSlots& shared = *waiter.workload->shared_;
  const size_t bytes = waiter.stream.Park();
  const Error full =
      Refusal(ErrorKind::kParkedBytesFull, Side::kLocal, "waiting requests hold too many bytes");
  if (!totals_.bytes.TryAdd(bytes, limits_.parked_bytes_max)) {
    waiter.stream.Unpark();
    return full;
  }
  shared.parked_bytes.Add(bytes);
  if (!WithinShare(shared.parked_bytes.value(), limits_.guarantee_bytes, totals_.bytes.value(),
                   limits_.parked_bytes_max)) {
    shared.parked_bytes.Subtract(bytes);
    totals_.bytes.Subtract(bytes);
    waiter.stream.Unpark();
    return full;
  }
  waiter.bytes = static_cast<uint32_t>(bytes);
  waiter.workload->parked_bytes_ += bytes;
  parked_bytes_ += bytes;
  return {};
}

Slot Admission::MakeSlot(Workload& workload, LocalEndpoint& endpoint) {
  ++workload.in_flight_;
  return Slot(this, WorkloadRef(&workload), EndpointRef(&endpoint));
}

/// The endpoint's slot has been taken for it already.
void Admission::Serve(Waiter& waiter, LocalEndpoint& endpoint) {
  Workload& workload = *waiter.workload;
  if (waiter.times.cold) Record(workload.cold_, waiter.times);
  waiter.slot = MakeSlot(workload, endpoint);
  workload.stats_.wait.Observe(shard_.now() - waiter.times.parked);
  Leave(waiter);
  waiter.event.Signal();
}

void Admission::Fail(Waiter& waiter, const Error& error) {
  if (!waiter.waiting) return;
  Leave(waiter);
  waiter.error = error;
  waiter.event.Signal();
}

void Admission::Leave(Waiter& waiter) {
  Workload& workload = *waiter.workload;
  waiter.waiting = false;
  workload.parked_.Remove(waiter);
  --parked_;
  parked_bytes_ -= waiter.bytes;
  workload.parked_bytes_ -= waiter.bytes;
  workload.shared_->parked_bytes.Subtract(waiter.bytes);
  totals_.bytes.Subtract(waiter.bytes);
  totals_.requests.Subtract(1);
  if (waiter.ticket) {
    // Claimed meanwhile: the slot on its way finds another taker (Grant).
    (void)workload.shared_->queue(workload.shared_place_).Withdraw(*waiter.ticket);
    waiter.ticket.reset();
  } else {
    --workload.unpublished_;
  }
  workload.shared_->parked.Subtract(1);
  if (workload.parked_.empty() && workload.waking()) workload.cold_ = {};
  Refill(workload);
}

void Admission::ClientGone(void* context) {
  Waiter& waiter = *static_cast<Waiter*>(context);
  waiter.admission.Fail(
      waiter, Refusal(ErrorKind::kDownstreamClosed, Side::kDownstream, "the client left"));
}

void Admission::FailParked(const Error& error) {
  for (const WorkloadRef& workload : workloads_) {
    while (workload && !workload->parked_.empty()) Fail(*FrontOf(workload->parked_), error);
  }
}

void Admission::LookAgain() {
  if (parked_ == 0) return;
  for (const WorkloadRef& workload : workloads_) {
    if (!workload || workload->parked_.empty() || !workload->has_ready_endpoint()) continue;
    MarkRunnable(*workload);
  }
  StartRounds();
}

void Admission::CheckInvariants() const {
  uint64_t parked = 0;
  uint64_t bytes = 0;
  for (const WorkloadRef& workload : workloads_) {
    if (!workload) continue;
    CHECK(!workload->gone_);
    uint32_t waiters = 0;
    uint32_t unpublished = 0;
    uint64_t held = 0;
    for (const Waiter* at = FrontOf(workload->parked_); at != nullptr; at = NextOf(*at)) {
      CHECK(at->waiting);
      CHECK(at->workload == workload);
      CHECK(at->next == nullptr || at->arrival <= at->next->arrival);
      ++waiters;
      unpublished += at->ticket ? 0 : 1;
      held += at->bytes;
    }
    CHECK(waiters == workload->parked_.size());
    CHECK(unpublished == workload->unpublished_);
    CHECK(held == workload->parked_bytes_);
    parked += waiters;
    bytes += held;
    if (waiters > 0 && !workload->has_ready_endpoint()) CHECK(workload->waking());
    if (waiters > 0 && workload->has_ready_endpoint() && !workload->limited()) {
      CHECK(workload->runnable_);
    }
    uint32_t in_flight = 0;
    for (const EndpointRef& endpoint : workload->endpoints_) {
      in_flight += endpoint->in_flight;
      CHECK(endpoint->counted == workload->limited());
      if (endpoint->counted) CHECK(endpoint->in_flight <= endpoint->shared->in_flight());
    }
    CHECK(in_flight <= workload->in_flight_);
  }
  CHECK(parked == parked_);
  CHECK(bytes == parked_bytes_);
  CHECK(parked_ <= totals_.requests.value());
  CHECK(totals_.bytes.value() <= limits_.parked_bytes_max);
}

}  // namespace rouse::proxy
