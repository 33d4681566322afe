#pragma once
// What:      Listen, opens a listening socket with the options that its connections inherit.
// Owner:     the caller; an Acceptor takes the socket over.
// Limits:    ListenOptions::backlog; client_receive_buffer bounds what the kernel holds of a
//            connection that is not read.
// Invariant: several sockets may share one address (SO_REUSEPORT), one per shard; for port 0 open
//            the first, then the others at the address it was given (SocketAddress::OfSocket).

#include <chrono>

#include <absl/status/statusor.h>

#include "common/net/descriptor.h"
#include "common/net/socket_address.h"

namespace rouse::net {

struct ListenOptions {
  int backlog = 4096;
  /// The receive window of accepted connections in bytes, less where net.core.rmem_max is; 0 leaves
  /// it to the kernel.
  int client_receive_buffer = 512 * 1024;
  /// A connection is handed out with its first bytes (TCP_DEFER_ACCEPT), or after kDeferred without
  /// any: for protocols in which the client speaks first.
  bool defer_accept = false;
};

inline constexpr std::chrono::seconds kDeferred{1};

/// [::] is every address of both families, or of IPv4 where the kernel has no IPv6.
[[nodiscard]] absl::StatusOr<Descriptor> Listen(const SocketAddress& address,
                                                const ListenOptions& options);

/// Whether it was opened with defer_accept.
[[nodiscard]] bool DefersAccept(int listener);

}  // namespace rouse::net
