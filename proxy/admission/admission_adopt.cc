// What snapshots and probes change: endpoints, limits, and the course of a cold start.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <absl/container/flat_hash_map.h>

#include "common/base/check.h"
#include "proxy/admission/admission.h"
#include "proxy/admission/waiter.h"

namespace rouse::proxy {

namespace {

Error GoneError() {
  return Error{ErrorKind::kWorkloadGone, Side::kLocal, true, "the workload has been removed"};
}

bool MayProbe(const LocalEndpoint& endpoint) {
  return !endpoint.leaving && !endpoint.probed_ready &&
         endpoint.spec->state == EndpointState::kStarting &&
         endpoint.spec->probe.kind != ProbeSpec::Kind::kNone;
}

}  // namespace

void Admission::Adopt(const SnapshotPtr& snapshot) {
  const size_t places = std::max(workloads_.size(), snapshot->workloads.size());
  workloads_.resize(places);
  for (uint32_t place = 0; place < places; ++place) {
    WorkloadRef& known = workloads_[place];
    const EndpointSetPtr set =
        place < snapshot->workloads.size() ? snapshot->workloads[place] : nullptr;
    if (known && set == known->set_) continue;
    if (known && (set == nullptr || set->workload != known->key_)) {
      Retire(*known);
      known.Reset();
    }
    if (set == nullptr) continue;
    if (!known) {
      known = MakeLocal<Workload>(shard_, set);
      known->place_ = place;
    }
    SetEndpoints(*known, set);
  }
  while (!workloads_.empty() && !workloads_.back()) workloads_.pop_back();
  snapshot_ = snapshot;
  stats_.snapshot_version.Set(static_cast<double>(snapshot->version));
  StartRounds();
}

/// The snapshot has dropped it: nobody waits for it any more, those in flight finish.
void Admission::Retire(Workload& workload) {
  workload.gone_ = true;
  workload.balancer_.Set({}, 0);
  while (!workload.parked_.empty()) Fail(*FrontOf(workload.parked_), GoneError());
  for (const EndpointRef& endpoint : workload.endpoints_) {
    if (std::exchange(endpoint->leaving, true)) continue;
    if (wires_.on_endpoint_leaving) wires_.on_endpoint_leaving(*endpoint);
  }
}

void Admission::SetEndpoints(Workload& workload, const EndpointSetPtr& set) {
  absl::flat_hash_map<EndpointKey, EndpointRef> before;
  for (EndpointRef& endpoint : workload.endpoints_) before.emplace(endpoint->key(), endpoint);
  workload.endpoints_.clear();
  workload.set_ = set;
  if (set->slots != nullptr && set->slots != workload.shared_ && workload.parked_.empty()) {
    workload.shared_ = set->slots;
    workload.shared_place_ = shard_.id();
    CHECK(workload.shared_place_ < workload.shared_->shards());
  }
  for (const Endpoint& spec : set->endpoints) {
    const auto found = before.find(spec.key);
    const bool listed = found != before.end() && !found->second->leaving;
    EndpointRef endpoint = listed ? found->second : MakeLocal<LocalEndpoint>();
    if (listed) before.erase(found);
    UpdateEndpoint(*endpoint, set, spec);
    workload.endpoints_.push_back(std::move(endpoint));
  }
  for (const auto& [key, endpoint] : before) {
    if (std::exchange(endpoint->leaving, true)) continue;
    if (wires_.on_endpoint_leaving) wires_.on_endpoint_leaving(*endpoint);
  }
  EndpointsChanged(workload);
}

void Admission::UpdateEndpoint(LocalEndpoint& endpoint, const EndpointSetPtr& set,
                               const Endpoint& spec) {
  const bool limited = set->policy.concurrency_limit != 0;
  // Connections made by other rules of TLS are for nobody any more.
  if (endpoint.spec != nullptr && endpoint.spec->tls != spec.tls && wires_.on_endpoint_leaving)
    wires_.on_endpoint_leaving(endpoint);
  endpoint.spec = &spec;
  endpoint.set = set;
  std::shared_ptr<EndpointSlots> slots = spec.slots;
  if (slots == nullptr) slots = endpoint.shared;
  if (slots == nullptr) slots = std::make_shared<EndpointSlots>();
  if (slots != endpoint.shared && endpoint.counted) {
    endpoint.shared->Release(endpoint.in_flight);
    slots->Add(endpoint.in_flight);
  }
  endpoint.shared = std::move(slots);
  if (limited != endpoint.counted) {
    // What this shard has in flight joins the shared count, or leaves it.
    if (limited) {
      endpoint.shared->Add(endpoint.in_flight);
    } else {
      endpoint.shared->Release(endpoint.in_flight);
    }
    endpoint.counted = limited;
    if (wires_.on_counted_changed) wires_.on_counted_changed(endpoint);
  }
  // Kubernetes has spoken: an early probe's word counts no longer.
  if (spec.state != EndpointState::kStarting) endpoint.probed_ready = false;
  if (spec.state == EndpointState::kDraining && !std::exchange(endpoint.leaving, true)) {
    if (wires_.on_endpoint_leaving) wires_.on_endpoint_leaving(endpoint);
  }
}

void Admission::EndpointsChanged(Workload& workload) {
  SetReady(workload);
  AdvanceColdStart(workload);
  Refill(workload);
  if (!workload.parked_.empty() && !workload.has_ready_endpoint()) BeginColdStart(workload);
  ProbeStarting(workload);
  if (workload.has_ready_endpoint() && !workload.parked_.empty()) MarkRunnable(workload);
}

void Admission::SetReady(Workload& workload) {
  std::vector<LocalEndpoint*> ready;
  ready.reserve(workload.endpoints_.size());
  for (const EndpointRef& endpoint : workload.endpoints_) {
    if (endpoint->ready()) ready.push_back(endpoint.get());
  }
  workload.balancer_.Set(std::move(ready), workload.policy().concurrency_limit);
}

void Admission::BeginColdStart(Workload& workload) {
  if (workload.waking()) return;
  workload.cold_ = {};
  workload.cold_.parked = shard_.now();
  workload.stats_.cold_starts.Add();
  workload.stats_.wakes.Add();
  AdvanceColdStart(workload);
  if (wires_.on_wake) wires_.on_wake(workload);
}

void Admission::AdvanceColdStart(Workload& workload) {
  if (!workload.waking()) return;
  ColdStartPhase& cold = workload.cold_;
  const TimePoint now = shard_.now();
  const bool any = std::any_of(workload.endpoints_.begin(), workload.endpoints_.end(),
                               [](const EndpointRef& endpoint) { return !endpoint->leaving; });
  if (any && cold.known == kNever) {
    cold.known = now;
    const TimePoint from = cold.reported == kNever ? cold.parked : cold.reported;
    workload.stats_.reported_to_known.Observe(now - from);
  }
  if (!workload.has_ready_endpoint()) return;
  cold.ready = now;
  for (const LocalEndpoint* endpoint : workload.balancer_.ready()) {
    cold.probed = cold.probed || endpoint->probed_ready;
  }
  workload.stats_.known_to_ready.Observe(now - cold.known);
  workload.start_times_.Observe(now - cold.parked);
}

/// Each starting endpoint is probed by one shard, whoever waits.
void Admission::ProbeStarting(Workload& workload) {
  if (workload.parked_everywhere() == 0 || !workload.policy().early_probe) return;
  for (const EndpointRef& endpoint : workload.endpoints_) {
    if (!MayProbe(*endpoint)) continue;
    const size_t shards = peers_.empty() ? 1 : peers_.size();
    const auto prober =
        static_cast<uint32_t>(std::hash<std::string>{}(endpoint->key().pod_uid) % shards);
    if (peers_.empty() || prober == shard_.id()) {
      if (wires_.on_starting) wires_.on_starting(workload, endpoint);
      continue;
    }
    PostTo(prober, [place = workload.place_, key = endpoint->key()](Admission& there) {
      there.ProbeEndpoint(place, key);
    });
  }
}

void Admission::ProbeEndpoint(uint32_t place, const EndpointKey& key) {
  Workload* workload = WorkloadAt(place);
  if (workload == nullptr || !wires_.on_starting) return;
  for (const EndpointRef& endpoint : workload->endpoints_) {
    if (endpoint->key() == key && MayProbe(*endpoint)) wires_.on_starting(*workload, endpoint);
  }
}

void Admission::MarkReady(uint32_t place, const EndpointKey& key) {
  Workload* workload = WorkloadAt(place);
  if (workload == nullptr) return;
  for (const EndpointRef& endpoint : workload->endpoints_) {
    if (endpoint->key() != key) continue;
    if (endpoint->ready() || endpoint->leaving) return;
    endpoint->probed_ready = true;
    EndpointsChanged(*workload);
    StartRounds();
    return;
  }
}

/// The others first: a slot that this shard grants them must not arrive before the word does.
void Admission::AnnounceReady(uint32_t place, const EndpointKey& key) {
  for (uint32_t shard = 0; shard < peers_.size(); ++shard) {
    if (shard == shard_.id()) continue;
    PostTo(shard, [place, key](Admission& there) { there.MarkReady(place, key); });
  }
  MarkReady(place, key);
}

void Admission::ConnectFailed(const Slot& slot) {
  LocalEndpoint& endpoint = slot.endpoint();
  Workload& workload = slot.workload();
  workload.balancer_.ConnectFailed(endpoint, shard_.now());
  workload.stats_.ejections.Add();
  if (endpoint.ejected_until < returns_.due()) {
    returns_.Arm(shard_.timers(), endpoint.ejected_until);
  }
  if (!endpoint.probed_ready || workload.gone_) return;
  // The probe's word was worth nothing: it is starting again, until a probe or Kubernetes says
  // otherwise.
  endpoint.probed_ready = false;
  EndpointsChanged(workload);
  StartRounds();
}

void Admission::EndpointsReturned(void* self) {
  Admission& admission = *static_cast<Admission*>(self);
  TimePoint next = kNever;
  for (const WorkloadRef& workload : admission.workloads_) {
    if (!workload || !workload->limited()) continue;
    next = std::min(next, workload->balancer_.NextReturn(admission.shard_.now()));
  }
  admission.returns_.Arm(admission.shard_.timers(), next);
  admission.LookAgain();
}

void Admission::MarkReported(Workload& workload) {
  if (!workload.waking() || workload.cold_.reported != kNever) return;
  workload.cold_.reported = shard_.now();
  workload.stats_.held_to_reported.Observe(shard_.now() - workload.cold_.parked);
}

}  // namespace rouse::proxy
