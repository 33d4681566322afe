#include "proxy/data_plane.h"

#include <utility>

#include <absl/strings/str_cat.h>

#include "common/net/buffer_pool.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {
namespace {

/// How often admission looks for what no event tells.
constexpr Duration kLookEvery = std::chrono::seconds(1);
/// The longest that an access record waits for company.
constexpr Duration kFlushAfter = std::chrono::milliseconds(20);

WorkloadRow RowOf(const Workload& workload, TimePoint now) {
  WorkloadRow row;
  row.workload = workload.key();
  row.stats = workload.SampleStats();
  row.in_flight = workload.in_flight();
  row.parked = workload.parked();
  row.parked_bytes = workload.parked_bytes();
  if (workload.oldest_arrival() != kNever) row.oldest = now - workload.oldest_arrival();
  row.concurrency_limit = workload.policy().concurrency_limit;
  for (const EndpointRef& endpoint : workload.endpoints()) {
    const std::string address =
        endpoint->spec->addresses.empty() ? std::string() : endpoint->spec->addresses.front();
    row.endpoints.push_back({.address = absl::StrCat(address, ":", endpoint->key().port),
                             .pod = endpoint->spec->pod_name,
                             .state = endpoint->spec->state,
                             .probed_ready = endpoint->probed_ready,
                             .ejected = endpoint->ejected_until > now,
                             .in_flight = endpoint->in_flight});
  }
  return row;
}

}  // namespace

DataPlane::DataPlane(net::Shard& shard, const DataPlaneOptions& options, ParkedTotals& totals,
                     DataPlaneWires wires)
    : shard_(shard),
      options_(options),
      wires_(std::move(wires)),
      access_log_([this](std::span<const AccessRecord> batch) {
        if (wires_.on_records) wires_.on_records(batch);
      }),
      flush_timer_(&OnFlush, this),
      pool_(shard, options.pool, stats_),
      admission_(shard, options.admission, totals, stats_, Wires()),
      early_probe_(shard, options.early_probe, options.exchange.dial, stats_, ProbeWires()),
      look_timer_(&OnLook, this),
      context_{
          .shard = shard,
          .admission = admission_,
          .pool = pool_,
          .access_log = access_log_,
          .stats = stats_,
          .options = options.exchange,
          .snapshot = nullptr,
          .retries = {},
          .make_place = [this](const std::shared_ptr<EndpointSlots>& slots) { MakePlace(slots); },
          .retire = [this](Exchange& exchange) { Retire(exchange); }},
      exchanges_(context_),
      sessions_(shard, options.sessions, exchanges_, stats_, std::move(wires_.on_client_refused)) {
  access_log_.set_enabled(static_cast<bool>(wires_.on_records));
}

DataPlane::~DataPlane() = default;

AdmissionWires DataPlane::Wires() {
  return {
      .on_wake =
          [this](Workload& workload) {
            if (wires_.on_wake) wires_.on_wake(workload.key());
          },
      .on_starting =
          [this](Workload& workload, const EndpointRef& endpoint) {
            early_probe_.Start(workload.place(), endpoint);
          },
      .on_endpoint_leaving = [this](LocalEndpoint& endpoint) { pool_.EndpointLeaving(endpoint); },
      .on_counted_changed = [this](LocalEndpoint& endpoint) { pool_.CountedChanged(endpoint); },
      .detach_connection = [this](LocalEndpoint& endpoint) { return pool_.Detach(endpoint); },
      .attach_connection =
          [this](LocalEndpoint& endpoint, std::unique_ptr<http::CarriedConnection> carried) {
            pool_.Attach(endpoint, std::move(carried));
          }};
}

EarlyProbeWires DataPlane::ProbeWires() {
  return {
      .wanted =
          [this](uint32_t place) {
            const Workload* const workload = admission_.WorkloadAt(place);
            return workload != nullptr && workload->parked_everywhere() > 0;
          },
      .on_ready = [this](uint32_t place,
                         const EndpointKey& key) { admission_.AnnounceReady(place, key); },
      .on_probe_connection =
          [this](const EndpointRef& endpoint, std::unique_ptr<http::ClientConnection> connection) {
            if (pool_.TakePlace(*endpoint)) pool_.AddIdle(*endpoint, std::move(connection));
          },
      .on_slot_freed = [this](uint32_t) { admission_.LookAgain(); }};
}

void DataPlane::ConnectPeers(std::span<const std::unique_ptr<DataPlane>> all) {
  std::vector<Admission::Peer> peers;
  for (const std::unique_ptr<DataPlane>& plane : all) {
    peers.push_back(plane->admission_.peer());
    peers_.push_back(plane.get());
  }
  admission_.ConnectPeers(std::move(peers));
}

Listener& DataPlane::AddListener(net::Descriptor socket, ListenerTraits traits) {
  listeners_.push_back(
      std::make_unique<Listener>(shard_, std::move(socket), sessions_, std::move(traits)));
  return *listeners_.back();
}

void DataPlane::StartListening() {
  for (const std::unique_ptr<Listener>& listener : listeners_) listener->Start();
}

void DataPlane::Adopt(const SnapshotPtr& snapshot) {
  if (!look_timer_.armed()) look_timer_.Arm(shard_.timers(), Later(shard_.now(), kLookEvery));
  admission_.Adopt(snapshot);
  context_.snapshot = snapshot;
  stats_.snapshot_version.Set(static_cast<double>(snapshot->version));
}

void DataPlane::MarkReported(const ObjectKey& key) {
  for (const WorkloadRef& workload : admission_.workloads())
    if (workload && workload->key() == key) return admission_.MarkReported(*workload);
}

std::vector<DemandRow> DataPlane::SampleDemand() {
  std::vector<DemandRow> rows;
  for (const WorkloadRef& workload : admission_.workloads()) {
    if (!workload) continue;
    rows.push_back({.workload = workload->key(),
                    .demand = workload->meter().Sample(shard_.now()),
                    .parked = workload->parked()});
  }
  return rows;
}

Sample DataPlane::TakeSample() {
  stats_.connections_open.Set(static_cast<double>(sessions_.size()));
  stats_.upstream_open.Set(static_cast<double>(pool_.open()));
  stats_.upstream_idle.Set(static_cast<double>(pool_.idle()));
  stats_.buffer_bytes.Set(static_cast<double>(shard_.buffers().loaned_bytes()));
  stats_.parked_bytes.Set(static_cast<double>(admission_.parked_bytes()));
  stats_.access_records_dropped.value = access_log_.dropped();
  Sample sample{.stats = stats_, .workloads = {}};
  sample.workloads.reserve(admission_.workloads().size());
  for (const WorkloadRef& workload : admission_.workloads())
    if (workload) sample.workloads.push_back(RowOf(*workload, shard_.now()));
  return sample;
}

void DataPlane::Drain() {
  context_.draining = true;
  for (const std::unique_ptr<Listener>& listener : listeners_) listener->StopAccepting();
  sessions_.Drain();
}

void DataPlane::AbortAll(const Error& error) {
  early_probe_.Stop();
  admission_.FailParked(error);
  exchanges_.AbortAll(error);
  sessions_.CloseAll();
  pool_.CloseIdle();
}

/// Asks the shards that keep an idle connection to the endpoint to close one.
void DataPlane::MakePlace(const std::shared_ptr<EndpointSlots>& slots) {
  const uint64_t idle = slots->idle_shards();
  for (size_t i = 0; i < peers_.size() && i < EndpointSlots::kShardsMax; ++i) {
    if (((idle >> i) & 1) == 0) continue;
    DataPlane* const peer = peers_[i];
    if (peer == this) {
      pool_.CloseOneIdle(slots.get());
    } else {
      peer->shard_.Post([peer, slots] { peer->pool_.CloseOneIdle(slots.get()); });
    }
  }
}

void DataPlane::Retire(Exchange& exchange) {
  exchanges_.Retire(exchange);
  if (access_log_.pending() >= AccessLog::kRing / 2) return access_log_.Flush();
  if (access_log_.pending() > 0 && !flush_timer_.armed())
    flush_timer_.Arm(shard_.timers(), Later(shard_.now(), kFlushAfter));
}

void DataPlane::OnFlush(void* self) { static_cast<DataPlane*>(self)->access_log_.Flush(); }

void DataPlane::OnLook(void* self) {
  auto& plane = *static_cast<DataPlane*>(self);
  plane.admission_.LookAgain();
  plane.look_timer_.Arm(plane.shard_.timers(), Later(plane.shard_.now(), kLookEvery));
}

void DataPlane::CheckInvariants() const {
  pool_.CheckInvariants();
  admission_.CheckInvariants();
  sessions_.CheckInvariants();
}

}  // namespace rouse::proxy
