#pragma once
// What:      EndpointSet, the endpoints of one workload with its policy, as one snapshot sees them.
// Owner:     snapshots, by shared_ptr; immutable, any thread.
// Invariant: no two endpoints of a set have the same key. `shared` members are handles to the
//            shared slot counters (upstream/slot_table), given by whoever builds the set; null: one
//            shard only.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/object_key.h"
#include "common/net/tls_context.h"
#include "proxy/model/workload_policy.h"

namespace rouse::proxy {

class EndpointSlots;
class WorkloadSlots;

/// Starting -> ready -> draining; starting -> draining; draining is last.
enum class EndpointState : uint8_t { kStarting, kReady, kDraining };
[[nodiscard]] std::string_view NameOf(EndpointState state);

/// kAgreed: the TLS handshake (ALPN) settles it, HTTP/2 where the pod speaks it, else HTTP/1.
enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2, kAgreed };

/// Which pod, on which port: what an endpoint is, whatever snapshot it is seen in.
struct EndpointKey {
  std::string pod_uid;
  uint16_t port = 0;

  auto operator<=>(const EndpointKey&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const EndpointKey& key) {
    return H::combine(std::move(state), key.pod_uid, key.port);
  }
};

/// What the pod's own readiness probe asks; `kind` kNone where it may not be asked early (15.5).
struct ProbeSpec {
  enum class Kind : uint8_t { kNone, kHttpGet, kTcpSocket, kGrpc };
  Kind kind = Kind::kNone;
  bool tls = false;
  uint16_t port = 0;
  std::string path = "/";
  std::string grpc_service;
  /// Header lines the probe declares, names and values; `Host` replaces the default.
  std::vector<std::pair<std::string, std::string>> headers;
  /// Of one try.
  Duration timeout = std::chrono::seconds(1);

  bool operator==(const ProbeSpec&) const = default;
};

struct Endpoint {
  EndpointKey key;
  /// One or two numeric addresses, the one to dial first in front.
  std::vector<std::string> addresses;
  EndpointState state = EndpointState::kReady;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  /// How TLS is spoken with it, and whom it must prove to be; null: in the clear.
  net::TlsClientPtr tls;
  /// For logs and the admin page.
  std::string pod_name;
  ProbeSpec probe;
  /// A probe may run from here on (container start + initialDelaySeconds).
  TimePoint probe_from{};
  /// Not a pod but the proxy that is home to the workload (15.6).
  bool hop = false;
  std::shared_ptr<EndpointSlots> slots;
};

struct EndpointSet {
  ObjectKey workload;
  WorkloadPolicy policy;
  /// Another proxy is home: it alone is listed, and it counts the demand that reaches it.
  bool away = false;
  std::vector<Endpoint> endpoints;
  std::shared_ptr<WorkloadSlots> slots;
};

using EndpointSetPtr = std::shared_ptr<const EndpointSet>;

/// Null, or what breaks the invariant.
[[nodiscard]] const char* FaultOf(const EndpointSet& set);

}  // namespace rouse::proxy
