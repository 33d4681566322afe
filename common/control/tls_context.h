#pragma once
// What:  TlsContext, certificates and verification rules as OpenSSL wants them, for either role.
// Owner: shared by a client or listener and its connections. Immutable once made.
// Never: below TLS 1.2; says what is in a key.

#include <memory>

#include <absl/status/statusor.h>

#include "common/control/channel.h"

namespace boost::asio::ssl {
class context;
}

namespace rouse::control {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

/// kInvalidArgument names the part that cannot be used.
[[nodiscard]] absl::StatusOr<TlsContext> NewClientContext(const ClientTls& tls);
[[nodiscard]] absl::StatusOr<TlsContext> NewServerContext(const ServerTls& tls);

}  // namespace rouse::control
