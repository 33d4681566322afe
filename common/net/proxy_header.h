#pragma once
// What:      the PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what
//            a proxy in front says of the client before the first byte.
// Owner:     functions; pure.
// Limits:    kV1Max bytes of version 1; kV2Max of version 2, what follows the addresses (TLVs)
//            included.
// Invariant: strict: anything that the specification does not allow is kFailed. ProxyHeaderNeeds
//            never asks for a byte beyond the header.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/net/socket_address.h"

namespace rouse::net {

inline constexpr size_t kProxyV1Max = 107;
inline constexpr size_t kProxyV2Max = 16 + 2048;

struct ProxyHeader {
  enum class Step : uint8_t { kMore, kDone, kFailed };
  Step step = Step::kMore;
  /// kMore: how many bytes may be read next.
  size_t needs = 0;
  /// kDone: the client, where the proxy says; nothing for LOCAL and UNKNOWN (its own check).
  std::optional<SocketAddress> client;
};

/// `bytes` are all that came so far, and no more than was asked for.
[[nodiscard]] ProxyHeader ParseProxyHeader(std::string_view bytes);

}  // namespace rouse::net
