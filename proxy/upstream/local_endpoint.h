#pragma once
// What:      LocalEndpoint, one endpoint as one shard sees it: in flight, failures, and the pool's
//            hook.
// Owner:     LocalRef: the workload while a snapshot lists it, each Slot, and the pool while it
//            keeps connections. At a fixed address, across snapshots, for as long as the pod and
//            port stay.
// Shard:     one.
// Invariant: in_flight is what Slots of this shard hold; `counted` says whether they are also in
//            `shared`.

#include <cstdint>
#include <memory>

#include "common/base/clock.h"
#include "proxy/model/endpoint_set.h"
#include "proxy/model/local_ref.h"

namespace rouse::proxy {

struct LocalEndpoint : LocalCounted<LocalEndpoint> {
  /// Addresses and the like, as of the last snapshot that listed it; `set` keeps them alive.
  const Endpoint* spec = nullptr;
  EndpointSetPtr set;
  std::shared_ptr<EndpointSlots> shared;

  uint32_t in_flight = 0;
  /// The workload has a limit: in_flight is also in `shared`.
  bool counted = false;
  /// No longer in the snapshot, or draining there: nothing new goes to it.
  bool leaving = false;
  /// An early probe has said ready, and Kubernetes has not spoken yet.
  bool probed_ready = false;

  /// What the last handshake with a pod of kAgreed has settled: a connection each, no sharing.
  bool agreed_http1 = false;

  uint32_t connect_failures = 0;
  TimePoint ejected_until{};

  /// The pool's record of connections to this endpoint, on this shard; the pool alone touches it.
  void* connections = nullptr;

  /// May new requests go here, ejection aside.
  [[nodiscard]] bool ready() const {
    return !leaving && (spec->state == EndpointState::kReady || probed_ready);
  }
  /// A connection to be dialled is expected to carry many requests.
  [[nodiscard]] bool shares() const {
    return spec->protocol == UpstreamProtocol::kHttp2 ||
           (spec->protocol == UpstreamProtocol::kAgreed && !agreed_http1);
  }
  [[nodiscard]] const EndpointKey& key() const { return spec->key; }
};

using EndpointRef = LocalRef<LocalEndpoint>;

}  // namespace rouse::proxy
