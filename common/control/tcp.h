#pragma once
// What:      Dial and Accept: TCP and TLS connections as ByteStreams, each with a deadline.
// Owner:     the caller holds the Dialing or Accepting; destroying it means silence.
// Shard:     the control thread. Callbacks never run inline.
// Limits:    a share of the timeout for each address of a name; 256 TLS handshakes per listening
//            socket.
// Never:     throws; resolves what is an address already.

#include <memory>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>

#include "common/control/asio_loop.h"
#include "common/control/byte_stream.h"
#include "common/control/channel.h"
#include "common/control/tls_context.h"
#include "common/obs/log.h"

namespace rouse::control {

class Dialing {
 public:
  virtual ~Dialing() = default;
};

using OnDialed = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<ByteStream>>)>;

/// Connects to `origin`; `tls` null means plain text. kUnavailable, or kDeadlineExceeded.
[[nodiscard]] std::unique_ptr<Dialing> Dial(AsioLoop& loop, const Origin& origin, TlsContext tls,
                                            Duration timeout, OnDialed on_dialed);

class Accepting {
 public:
  virtual ~Accepting() = default;
  [[nodiscard]] virtual uint16_t port() const = 0;
};

using OnAccepted = absl::AnyInvocable<void(std::unique_ptr<ByteStream>)>;

/// Listens on `host`:`port`. kFailedPrecondition with the address where that cannot be bound.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Accepting>> Accept(AsioLoop& loop, obs::Log& log,
                                                                const ListenOptions& options,
                                                                TlsContext tls,
                                                                OnAccepted on_accepted);

}  // namespace rouse::control
