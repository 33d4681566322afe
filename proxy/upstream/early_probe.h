#pragma once
// What:      EarlyProbe: asks starting endpoints what their own readiness probe would ask, before
//            Kubernetes says so (15.5): httpGet, by https unverified as the kubelet does,
//            tcpSocket and grpc.
// Owner:     DataPlane; outlives every run (Stop, then idle()). One shard; each pod is probed by
//            one shard.
// Limits:    EarlyProbeOptions; one run per endpoint.
// Invariant: a run lasts only while somebody waits for the workload and Kubernetes has not spoken.
//            On a limited endpoint a try holds a slot, so it never overlaps a request.
// Never:     says "not ready" to anybody: silence is Kubernetes' to break.

#include <cstdint>
#include <memory>

#include <absl/container/flat_hash_set.h>
#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/upstream/dial.h"
#include "proxy/upstream/local_endpoint.h"

namespace rouse::proxy {

struct EarlyProbeOptions {
  Duration wait_first = std::chrono::milliseconds(2);
  Duration wait_most = std::chrono::milliseconds(20);
  /// Between two tries, over all endpoints: at most so much of a core goes into a hundred pods that
  /// start at once. Measured: 45 us of CPU a try (tests/system/bars.py cold_burst).
  Duration spacing = std::chrono::microseconds(500);
  /// Endpoints probed at once; the others wait for Kubernetes.
  size_t running_max = 512;
  /// Of a probe's answer; a longer one is not read to its end, and its connection not kept.
  uint64_t body_max = 64 * 1024;
};

/// Called on the shard; `place` is the workload's in the snapshot.
struct EarlyProbeWires {
  /// Somebody waits for the workload.
  absl::AnyInvocable<bool(uint32_t place)> wanted;
  absl::AnyInvocable<void(uint32_t place, const EndpointKey&)> on_ready;
  /// A connection that requests may use: port, scheme and verification as theirs, idle.
  absl::AnyInvocable<void(const EndpointRef&, std::unique_ptr<http::ClientConnection>)>
      on_probe_connection;
  /// A slot of a limited endpoint that became ready by another way is free again.
  absl::AnyInvocable<void(uint32_t place)> on_slot_freed;
};

class EarlyProbe {
 public:
  /// `dial` outlives it.
  EarlyProbe(net::Shard& shard, const EarlyProbeOptions& options, const DialOptions& dial,
             ShardStats& stats, EarlyProbeWires wires);
  ~EarlyProbe();
  EarlyProbe(const EarlyProbe&) = delete;
  EarlyProbe& operator=(const EarlyProbe&) = delete;

  /// Probes the endpoint unless it is being probed already, or may not be.
  void Start(uint32_t place, const EndpointRef& endpoint);
  /// No new runs; those under way end with their current try.
  void Stop() { stopping_ = true; }
  [[nodiscard]] bool idle() const { return running_.empty(); }
  [[nodiscard]] size_t running() const { return running_.size(); }

 private:
  struct Answer {
    bool ready = false;
    std::unique_ptr<http::ClientConnection> connection;  ///< fit for requests
  };
  [[nodiscard]] bool Wanted(uint32_t place, const LocalEndpoint& endpoint);
  net::Task<void> Run(uint32_t place, EndpointRef endpoint);
  net::Task<bool> Try(uint32_t place, EndpointRef endpoint);
  net::Task<Answer> Ask(Endpoint target);
  net::Task<bool> AskHttp(http::ClientStream& stream, const Endpoint& spec, TimePoint deadline);
  net::Task<bool> AskGrpc(http::ClientStream& stream, const Endpoint& spec, TimePoint deadline);

  net::Shard& shard_;
  EarlyProbeOptions options_;
  const DialOptions& dial_;
  ShardStats& stats_;
  EarlyProbeWires wires_;
  net::TlsClientPtr unverified_;
  absl::flat_hash_set<const LocalEndpoint*> running_;
  bool stopping_ = false;
};

}  // namespace rouse::proxy
