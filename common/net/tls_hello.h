#pragma once
// What:      what a server decides while a handshake runs: which certificates answer to the name,
//            which protocol is spoken, how tickets are sealed. TlsHello is one handshake's memory.
// Owner:     the TlsTransport; the SSL object finds it by its application data.
// Invariant: names are settled before a session is looked at, so that none is resumed under another
//            listener, certificate or rule for clients.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/net/tls_context.h"

namespace rouse::net {

struct TlsHello {
  static constexpr uint32_t kKeyUpdatesPerSecond = 100;
  const Clock* clock = nullptr;
  TlsServerPtr server;                          ///< null in the client's role
  std::shared_ptr<const TlsIdentity> identity;  ///< set by the client's hello
  std::string server_name;
  bool unknown_name = false;
  /// KeyUpdate messages of the second that began at key_updates_from; beyond the limit the
  /// connection is to end.
  uint32_t key_updates = 0;
  TimePoint key_updates_from{};
  [[nodiscard]] bool flooded() const { return key_updates > kKeyUpdatesPerSecond; }
};

/// Ties a handshake to its memory.
void BindHello(ssl_st* handshake, TlsHello& hello);

/// A DNS name in lower case, and no address.
[[nodiscard]] bool IsHostName(std::string_view name);
/// The name in the server_name extension's body, lower case (RFC 6066 section 3): exactly one host
/// name, no address, no bytes that no host name has. Null where it is malformed.
[[nodiscard]] std::optional<std::string> ParseServerName(std::string_view extension);

}  // namespace rouse::net
