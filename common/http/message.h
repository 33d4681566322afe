#pragma once
// What:      RequestHead, ResponseHead, Trailers: a message as every layer above the protocol sees
//            it.
// Owner:     the stream; views point into the stream's bytes and are valid until it is finished (a
//            request head) or its body has been read to the end (a response head).
// Invariant: a RequestHead has been validated whole: host, path and framing are safe to route and
//            forward.

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/http/header_map.h"

namespace rouse::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

/// How the end of a body is known.
enum class BodyKind : uint8_t {
  kNone,
  kLength,      ///< content_length bytes
  kStreamed,    ///< until the sender says so (chunked, END_STREAM)
  kUntilClose,  ///< responses of HTTP/1.0 style only
};

struct RequestHead {
  std::string_view method;
  std::string_view scheme;     ///< "http" or "https"
  std::string_view authority;  ///< validated, as sent upstream in Host
  std::string_view host;       ///< of the authority: lower case, no port, no trailing dot
  std::string_view
      path;  ///< normalised path and query (security.md T11-T19), begins with '/' or is "*"
  Version version = Version::kHttp11;
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
  bool expects_continue = false;
  /// The client takes trailers (TE: trailers, or HTTP/2).
  bool accepts_trailers = false;
  /// A valid request to change the protocol ("websocket"); empty otherwise.
  std::string_view upgrade;
  HeaderMap fields = {};
};

struct ResponseHead {
  int status = 0;
  Version version = Version::kHttp11;
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
  std::string_view reason = {};
  HeaderMap fields = {};
};

using Trailers = HeaderMap;

/// Methods that RFC 9110 section 9.2.2 calls idempotent, exact spelling.
[[nodiscard]] bool IsIdempotent(std::string_view method);

}  // namespace rouse::http
