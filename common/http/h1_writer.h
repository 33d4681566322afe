#pragma once
// What:      heads as HTTP/1.1 bytes, canonical: one Host, one of content-length and chunked, no
//            hop-by-hop field but those that we mean; chunk headers.
// Owner:     pure functions into the caller's span.
// Limits:    what does not fit the span is not written: 0 is returned.
// Invariant: framing, Host and connection fields come from the validated head alone, never copied
//            from fields.

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/http/message.h"

namespace rouse::http {

/// Bytes written, or 0.
[[nodiscard]] size_t WriteRequestHead(const RequestHead& head, const HeadPatch& patch,
                                      std::span<char> out);

/// How a response's body will be sent, and what becomes of the connection.
struct ResponseFraming {
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
  bool close = false;       ///< say `connection: close`
  bool keep_alive = false;  ///< say `connection: keep-alive`, to an HTTP/1.0 client
  /// The response is to a HEAD, or a 304: its content-length says what a GET would get.
  bool length_is_told = false;
};
[[nodiscard]] size_t WriteResponseHead(const ResponseHead& head, const HeadPatch& patch,
                                       const ResponseFraming& framing, std::span<char> out);

/// Longest chunk header, CRLFs included.
inline constexpr size_t kChunkHeaderMax = 20;
/// `SIZE CRLF`, lower-case hex without leading zeros; returns its length.
[[nodiscard]] size_t WriteChunkHeader(uint64_t size, std::span<char, kChunkHeaderMax> out);
/// The last chunk and trailers, as `0 CRLF fields CRLF`; 0 where it does not fit.
[[nodiscard]] size_t WriteLastChunk(const Trailers* trailers, std::span<char> out);

}  // namespace rouse::http
