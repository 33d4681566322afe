#pragma once
// What:  the two texts of RFC 6455's handshake, for where one side of a tunnel has a handshake and
//        the other, being HTTP/2, has none: a key, and the answer to one.
// Owner: pure functions.
// Never: security: RFC 6455 section 10.8 says what the hash is for.

#include <array>
#include <string_view>

#include "common/base/random.h"

namespace rouse::http {

/// 16 random bytes in base64.
using WebSocketKey = std::array<char, 24>;
[[nodiscard]] WebSocketKey MakeWebSocketKey(Random& random);

/// base64(SHA-1(key + the GUID)).
using WebSocketAccept = std::array<char, 28>;
[[nodiscard]] WebSocketAccept AcceptOf(std::string_view key);

}  // namespace rouse::http
