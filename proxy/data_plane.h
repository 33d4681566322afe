#pragma once
// What:      DataPlane, all that one shard owns of the proxy: sessions, exchanges, admission, pool,
//            numbers.
// Owner:     App, one per shard, all made before the shards start and destroyed after they stopped.
// Shard:     one; built on the main thread before it turns.
// Invariant: destroyed empty: Drain, then nothing runs any more.
// Never:     sees the control side: its wires are functions given at construction.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/net/shard.h"
#include "common/net/timer_wheel.h"
#include "proxy/admission/admission.h"
#include "proxy/downstream/listener.h"
#include "proxy/downstream/session.h"
#include "proxy/exchange/exchange_pool.h"
#include "proxy/model/snapshot.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/upstream/early_probe.h"
#include "proxy/upstream/pool.h"

namespace rouse::proxy {

struct DataPlaneOptions {
  AdmissionLimits admission;
  PoolLimits pool;
  ExchangeOptions exchange;
  SessionOptions sessions;
  EarlyProbeOptions early_probe;
};

/// Called on the shard.
struct DataPlaneWires {
  /// A workload without a usable endpoint is wanted. Whoever takes it says MarkReported once it is
  /// on its way.
  absl::AnyInvocable<void(const ObjectKey&)> on_wake;
  Sessions::OnRefused on_client_refused;
  /// Access records of the last moments. Empty: none are made.
  AccessLog::OnBatch on_records;
};

/// Demand of one workload on this shard since the sample before.
struct DemandRow {
  ObjectKey workload;
  DemandSample demand;
  uint32_t parked = 0;
};

/// For the metrics page and the admin page.
struct WorkloadRow {
  ObjectKey workload;
  WorkloadStats stats;
  uint32_t in_flight = 0;
  uint32_t parked = 0;
  uint64_t parked_bytes = 0;
  Duration oldest{};  ///< age of the oldest parked exchange
  struct EndpointRow {
    std::string address;
    std::string pod;
    EndpointState state = EndpointState::kReady;
    bool probed_ready = false;
    bool ejected = false;
    uint32_t in_flight = 0;
  };
  std::vector<EndpointRow> endpoints;
  uint32_t concurrency_limit = 0;
};
struct Sample {
  ShardStats stats;
  std::vector<WorkloadRow> workloads;
};

class DataPlane {
 public:
  DataPlane(net::Shard& shard, const DataPlaneOptions& options, ParkedTotals& totals,
            DataPlaneWires wires);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  /// All data planes, in shard order; before the first snapshot.
  void ConnectPeers(std::span<const std::unique_ptr<DataPlane>> all);
  Listener& AddListener(net::Descriptor socket, ListenerTraits traits = {});
  /// New certificates for the listener of this number.
  void AdoptTls(size_t listener, const net::TlsServerPtr& server) {
    listeners_.at(listener)->AdoptTls(server);
  }
  void StartListening();

  /// The new view.
  void Adopt(const SnapshotPtr& snapshot);
  /// Whether a parked request can be woken for (15.7: with no autoscaler there is 503 instead).
  void SetCanWake(bool can_wake) { context_.can_wake = can_wake; }
  /// The wake for this workload is on its way to the autoscaler.
  void MarkReported(const ObjectKey& workload);

  [[nodiscard]] std::vector<DemandRow> SampleDemand();
  [[nodiscard]] Sample TakeSample();

  /// Takes no new connection, ends each one after its request. Parked requests are still served.
  void Drain();
  /// The drain is over: ends what still runs.
  void AbortAll(const Error& error);
  /// Nothing is open downstream.
  [[nodiscard]] bool idle() const {
    return sessions_.size() == 0 && context_.active == 0 && early_probe_.idle();
  }
  [[nodiscard]] size_t active() const { return context_.active; }

  [[nodiscard]] Admission& admission() { return admission_; }
  [[nodiscard]] Pool& pool() { return pool_; }
  [[nodiscard]] Sessions& sessions() { return sessions_; }
  [[nodiscard]] net::Shard& shard() { return shard_; }
  void CheckInvariants() const;

 private:
  AdmissionWires Wires();
  EarlyProbeWires ProbeWires();
  void MakePlace(const std::shared_ptr<EndpointSlots>& slots);
  void Retire(Exchange& exchange);
  static void OnFlush(void* self);
  static void OnLook(void* self);

  net::Shard& shard_;
  const DataPlaneOptions& options_;
  DataPlaneWires wires_;
  ShardStats stats_;
  AccessLog access_log_;
  net::Timer flush_timer_;
  Pool pool_;
  Admission admission_;
  EarlyProbe early_probe_;
  net::Timer look_timer_;
  ExchangeContext context_;
  ExchangePool exchanges_;
  Sessions sessions_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<DataPlane*> peers_;
};

}  // namespace rouse::proxy
