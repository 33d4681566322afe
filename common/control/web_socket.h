#pragma once
// What:      MessageChannel over WebSocket (RFC 6455), either role.
// Owner:     the caller. Destroying it cuts the connection: no handler runs afterwards.
// Shard:     the control thread. Handlers never run inline.
// Limits:    MessageLimits. A queue that is full refuses; a message that is too long ends the
//            channel (1009).
// Never:     compresses; negotiates a subprotocol.

#include <memory>
#include <string>

#include <absl/functional/any_invocable.h>

#include "common/control/asio_loop.h"
#include "common/control/byte_stream.h"
#include "common/control/channel.h"

namespace rouse::control {

[[nodiscard]] std::unique_ptr<MessageChannel> DialWebSocket(AsioLoop& loop, Origin origin,
                                                            std::string target, Headers headers,
                                                            MessageLimits limits,
                                                            MessageHandlers handlers);

using SetHandlers = absl::AnyInvocable<void(MessageHandlers)>;

/// Answers `request`, which asked for an upgrade on `stream`; `rest` is what came behind its head.
/// `on_done` is told once: with OK the channel is open, and SetHandlers is to be called with its
/// handlers.
[[nodiscard]] std::unique_ptr<MessageChannel> AcceptWebSocket(
    AsioLoop& loop, std::unique_ptr<ByteStream> stream, std::string rest,
    const IncomingRequest& request, MessageLimits limits,
    absl::AnyInvocable<void(absl::Status, SetHandlers)> on_done);

}  // namespace rouse::control
