#include "proxy/app.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "common/net/listener.h"
#include "proxy/downstream/listener.h"
#include "proxy/log_events.h"

namespace rouse::proxy {

App::App(control::Loop& loop, obs::Log& log, const Config& config, uint64_t seed)
    : loop_(loop),
      log_(log),
      config_(config),
      slots_(config.shards),
      shards_(loop.clock(),
              {.count = config.shards,
               .seed = seed,
               .limits = {.buffer_bytes_max = config.buffer_bytes_max,
                          .connections_max = config.data_plane.sessions.connections_max}}) {
  for (size_t i = 0; i < shards_.size(); ++i) {
    net::Shard& shard = shards_.shard(i);
    planes_.push_back(
        std::make_unique<DataPlane>(shard, config_.data_plane, totals_, WiresFor(shard)));
  }
  for (const std::unique_ptr<DataPlane>& plane : planes_) plane->ConnectPeers(planes_);
}

App::~App() {
  *alive_ = false;
  Stop();
}

/// From a shard to the control loop. What is posted may run after we are gone.
DataPlaneWires App::WiresFor(net::Shard&) {
  DataPlaneWires wires;
  wires.on_wake = [this](const ObjectKey& workload) {
    loop_.Post([this, alive = alive_, workload] {
      if (*alive && on_wake_) on_wake_(workload);
    });
  };
  wires.on_client_refused = [this](std::string_view client) {
    log_.Warn(log_event::kClientRefused,
              {{"client", client},
               {"connections", config_.data_plane.sessions.per_client_max},
               {"option", "connections-per-client-max"}});
  };
  if (config_.serving.access_log != "off") {
    const AccessFormat format =
        config_.serving.access_log == "json" ? AccessFormat::kJson : AccessFormat::kText;
    wires.on_records = [this, format](std::span<const AccessRecord> batch) {
      constexpr size_t kLineUsual = 320;
      std::string lines;
      lines.reserve(batch.size() * kLineUsual);
      for (const AccessRecord& record : batch) FormatRecord(record, format, lines);
      loop_.Post([alive = alive_, lines = std::move(lines)] {
        if (*alive) WriteLines(lines);
      });
    };
  }
  return wires;
}

absl::Status App::Start() {
  if (const absl::Status status = OpenListeners(); !status.ok()) return status;
  shards_.Start();
  started_ = true;
  return absl::OkStatus();
}

absl::Status App::OpenListeners() {
  std::vector<ListenerConfig> listeners = ListenersOf(config_.serving.listeners);
  const size_t internal = config_.peers.any() ? listeners.size() : SIZE_MAX;
  if (config_.peers.any()) {
    listeners.emplace_back();
    listeners.back().address = config_.peers.internal_listen;
  }
  groups_.resize(listeners.size());
  for (size_t i = 0; i < groups_.size(); ++i) {
    const std::string& address = listeners[i].address;
    const absl::StatusOr<net::AddressRanges> proxies =
        net::AddressRanges::Parse(listeners[i].proxies);
    if (!proxies.ok()) return proxies.status();
    ListenerTraits traits;
    traits.tls = listeners[i].secure;
    traits.internal = i == internal;
    traits.redirect_port = listeners[i].redirect_port;
    traits.proxies = *proxies;
    traits.handshake_timeout = config_.serving.listeners.handshake_timeout;
    absl::StatusOr<std::vector<net::Descriptor>> sockets =
        proxy::OpenListeners(address, planes_.size(), config_.sockets);
    if (!sockets.ok()) return sockets.status();
    for (size_t shard = 0; shard < planes_.size(); ++shard)
      groups_[i].push_back(
          &planes_[shard]->AddListener(std::move((*sockets)[shard]), traits).acceptor());
    for (net::Acceptor* acceptor : groups_[i]) acceptor->HandOverTo(groups_[i]);
    ports_.push_back(groups_[i].front()->port());
    log_.Info(log_event::kListening,
              {{"address", address}, {"port", ports_.back()}, {"tls", traits.tls}});
  }
  return absl::OkStatus();
}

void App::AdoptTls(size_t listener, net::TlsServerPtr server) {
  shards_.Broadcast([this, listener, server = std::move(server)](net::Shard& shard) {
    planes_[shard.id()]->AdoptTls(listener, server);
  });
}

void App::Publish(SnapshotPtr snapshot) {
  const bool first = !std::exchange(published_, true);
  slots_.Sweep();
  shards_.Broadcast([this, snapshot = std::move(snapshot), first](net::Shard& shard) {
    DataPlane& plane = *planes_[shard.id()];
    plane.Adopt(snapshot);
    if (first) plane.StartListening();
  });
}

void App::MarkReported(const ObjectKey& workload) {
  shards_.Broadcast(
      [this, workload](net::Shard& shard) { planes_[shard.id()]->MarkReported(workload); });
}

void App::SetCanWake(bool can_wake) {
  shards_.Broadcast(
      [this, can_wake](net::Shard& shard) { planes_[shard.id()]->SetCanWake(can_wake); });
}

void App::LookAgain() {
  shards_.Broadcast([this](net::Shard& shard) { planes_[shard.id()]->admission().LookAgain(); });
}

void App::GatherDemand(absl::AnyInvocable<void(std::vector<DemandRow>)> done) {
  shards_.Gather<std::vector<DemandRow>>(
      [this](net::Shard& shard) { return planes_[shard.id()]->SampleDemand(); },
      [this, done = std::move(done)](std::vector<std::vector<DemandRow>> rows) mutable {
        loop_.Post([alive = alive_, done = std::move(done), rows = std::move(rows)]() mutable {
          if (*alive) done(MergeDemand(rows));
        });
      });
}

void App::GatherSample(absl::AnyInvocable<void(Sample)> done) {
  shards_.Gather<Sample>([this](net::Shard& shard) { return planes_[shard.id()]->TakeSample(); },
                         [this, done = std::move(done)](std::vector<Sample> samples) mutable {
                           loop_.Post([alive = alive_, done = std::move(done),
                                       samples = std::move(samples)]() mutable {
                             if (*alive) done(MergeSamples(std::move(samples)));
                           });
                         });
}

Duration App::SilenceOf(size_t shard) {
  const int64_t now = loop_.now().time_since_epoch().count();
  return Duration(now - shards_.shard(shard).last_turn_ns());
}

/// Standard output is the access log's; the program's own log goes to standard error.
void App::WriteLines(const std::string& lines) {
  std::fwrite(lines.data(), 1, lines.size(), stdout);
  std::fflush(stdout);
}

void App::Drain() {
  shards_.Broadcast([this](net::Shard& shard) { planes_[shard.id()]->Drain(); });
}

bool App::Drained() {
  if (!started_) return true;
  if (!looking_) {
    looking_ = true;
    shards_.Gather<bool>([this](net::Shard& shard) { return planes_[shard.id()]->idle(); },
                         [this](const std::vector<bool>& idle) {
                           bool all = true;
                           for (const bool each : idle) all = all && each;
                           loop_.Post([this, alive = alive_, all] {
                             if (!*alive) return;
                             looking_ = false;
                             drained_ = all;
                           });
                         });
  }
  return drained_;
}

void App::Abort() {
  shards_.Broadcast([this](net::Shard& shard) {
    planes_[shard.id()]->AbortAll({ErrorKind::kDraining, Side::kLocal, false, "shutting down"});
  });
}

/// A drain has ended what there was; where there was none, this does, in each shard's last turns.
void App::Stop() {
  if (!std::exchange(started_, false)) return;
  Abort();
  shards_.Stop();
}

namespace {

/// Adds the endpoints that the other shard sees, by address.
void AddEndpoints(WorkloadRow& into, WorkloadRow& from) {
  for (WorkloadRow::EndpointRow& row : from.endpoints) {
    bool known = false;
    for (WorkloadRow::EndpointRow& each : into.endpoints) {
      if (each.address != row.address || each.pod != row.pod) continue;
      each.in_flight += row.in_flight;
      each.probed_ready = each.probed_ready || row.probed_ready;
      each.ejected = each.ejected || row.ejected;
      known = true;
    }
    if (!known) into.endpoints.push_back(std::move(row));
  }
}

}  // namespace

Sample MergeSamples(std::vector<Sample> samples) {
  Sample merged;
  std::map<ObjectKey, WorkloadRow> rows;
  for (Sample& sample : samples) {
    merged.stats.Merge(sample.stats);
    for (WorkloadRow& row : sample.workloads) {
      const auto [at, fresh] = rows.try_emplace(row.workload);
      if (fresh) {
        at->second = std::move(row);
        continue;
      }
      WorkloadRow& into = at->second;
      into.stats.Merge(row.stats);
      into.in_flight += row.in_flight;
      into.parked += row.parked;
      into.parked_bytes += row.parked_bytes;
      into.oldest = std::max(into.oldest, row.oldest);
      AddEndpoints(into, row);
    }
  }
  merged.workloads.reserve(rows.size());
  for (auto& [key, row] : rows) merged.workloads.push_back(std::move(row));
  return merged;
}

std::vector<DemandRow> MergeDemand(const std::vector<std::vector<DemandRow>>& shards) {
  std::map<ObjectKey, DemandRow> rows;
  for (const std::vector<DemandRow>& shard : shards) {
    for (const DemandRow& row : shard) {
      DemandRow& into = rows[row.workload];
      into.workload = row.workload;
      into.demand.average_concurrency += row.demand.average_concurrency;
      into.demand.request_count += row.demand.request_count;
      into.demand.concurrency += row.demand.concurrency;
      into.parked += row.parked;
    }
  }
  std::vector<DemandRow> merged;
  merged.reserve(rows.size());
  for (auto& [key, row] : rows) merged.push_back(std::move(row));
  return merged;
}

}  // namespace rouse::proxy
