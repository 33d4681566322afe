#pragma once
// What:      how long is this body (RFC 9112 section 6): one answer, or the message is refused.
// Owner:     pure functions over a parsed head. Any thread.
// Invariant: never both a length and a transfer coding; never a coding but a lone `chunked`; never
//            a length that two readers could read differently.

#include <cstdint>

#include "common/base/error.h"
#include "common/http/message.h"

namespace rouse::http {

struct Framing {
  BodyKind kind = BodyKind::kNone;
  uint64_t length = 0;
};

[[nodiscard]] Result<Framing> FramingOfRequest(const HeaderMap& fields, Version version);

/// `to_head`: the request was HEAD. 1xx, 204 and 304 have no body whatever their fields say.
[[nodiscard]] Result<Framing> FramingOfResponse(const HeaderMap& fields, Version version,
                                                int status, bool to_head);

}  // namespace rouse::http
