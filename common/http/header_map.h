#pragma once
// What:      HeaderMap: the fields of one message, in order, as spans into the bytes they arrived
//            in. HeadPatch: what a hop drops from and adds to a head, without touching those bytes.
// Owner:     the message head; the bytes belong to the stream (a block, or an exact copy while
//            parked).
// Limits:    kFieldsMax fields; HeadLimits of the codec. Beyond kInlineFields they lie in the
//            thread's FramePool.
// Invariant: names are compared without case; known names carry their id, and `has` answers absence
//            by one bit. Rebase() makes the same map valid over a copy of its bytes.

#include <cstdint>
#include <optional>
#include <string_view>

#include <absl/container/inlined_vector.h>

#include "common/net/frame_pool.h"

namespace rouse::http {

/// Names that the proxy itself looks at, lower case.
#define ROUSE_HEADERS(X)                              \
  X(kConnection, "connection")                        \
  X(kContentLength, "content-length")                 \
  X(kTransferEncoding, "transfer-encoding")           \
  X(kHost, "host")                                    \
  X(kTe, "te")                                        \
  X(kTrailer, "trailer")                              \
  X(kUpgrade, "upgrade")                              \
  X(kExpect, "expect")                                \
  X(kKeepAlive, "keep-alive")                         \
  X(kProxyConnection, "proxy-connection")             \
  X(kProxyAuthorization, "proxy-authorization")       \
  X(kProxyAuthenticate, "proxy-authenticate")         \
  X(kProxy, "proxy")                                  \
  X(kHttp2Settings, "http2-settings")                 \
  X(kVia, "via")                                      \
  X(kForwarded, "forwarded")                          \
  X(kXForwardedFor, "x-forwarded-for")                \
  X(kXForwardedProto, "x-forwarded-proto")            \
  X(kXForwardedHost, "x-forwarded-host")              \
  X(kXForwardedPort, "x-forwarded-port")              \
  X(kXForwardedClientCert, "x-forwarded-client-cert") \
  X(kXEnvoyTimeout, "x-envoy-expected-rq-timeout-ms") \
  X(kXRealIp, "x-real-ip")                            \
  X(kXOriginalUrl, "x-original-url")                  \
  X(kXRewriteUrl, "x-rewrite-url")                    \
  X(kXRequestId, "x-request-id")                      \
  X(kXRequestTimeout, "x-request-timeout")            \
  X(kTraceparent, "traceparent")                      \
  X(kTracestate, "tracestate")                        \
  X(kGrpcTimeout, "grpc-timeout")                     \
  X(kGrpcStatus, "grpc-status")                       \
  X(kGrpcMessage, "grpc-message")                     \
  X(kContentType, "content-type")                     \
  X(kAccept, "accept")                                \
  X(kRetryAfter, "retry-after")                       \
  X(kServer, "server")                                \
  X(kDate, "date")                                    \
  X(kMaxForwards, "max-forwards")                     \
  X(kAuthorization, "authorization")                  \
  X(kCookie, "cookie")                                \
  X(kUserAgent, "user-agent")                         \
  X(kSecWebSocketVersion, "sec-websocket-version")    \
  X(kServerTiming, "server-timing")

enum class HeaderId : uint8_t {
#define ROUSE_HEADER_ENUM(id, name) id,
  ROUSE_HEADERS(ROUSE_HEADER_ENUM)
#undef ROUSE_HEADER_ENUM
      kOther,
};
static_assert(static_cast<int>(HeaderId::kOther) < 64, "HeaderMap keeps one bit per id");

/// A set of known names holds one bit for each.
constexpr uint64_t BitOf(HeaderId id) { return uint64_t{1} << static_cast<unsigned>(id); }

/// The id of a name in any case; kOther where it is not one of ours.
[[nodiscard]] HeaderId IdOf(std::string_view name);
namespace internal {

/// A known name, lower case, and `: ` behind it, in room that can be copied whole.
struct NameRoom {
  static constexpr size_t kBytes = 32;
  char text[kBytes] = {};
  uint8_t size = 0;  ///< of the name alone
};
constexpr NameRoom MakeNameRoom(std::string_view name) {
  NameRoom room;
  for (const char c : name) room.text[room.size++] = c;
  room.text[name.size()] = ':';
  room.text[name.size() + 1] = ' ';
  return room;
}
/// By id; the last one, of kOther, is empty.
inline constexpr NameRoom kNameRooms[] = {
#define ROUSE_HEADER_ROOM(id, name) MakeNameRoom(name),
    ROUSE_HEADERS(ROUSE_HEADER_ROOM)
#undef ROUSE_HEADER_ROOM
        NameRoom{}};

}  // namespace internal

/// The lower-case name of a known id; empty for kOther.
[[nodiscard]] constexpr std::string_view NameOf(HeaderId id) {
  const internal::NameRoom& room = internal::kNameRooms[static_cast<size_t>(id)];
  return {room.text, room.size};
}
/// Compares two field names or tokens without case (ASCII).
[[nodiscard]] bool EqualsIgnoreCase(std::string_view a, std::string_view b);

class HeaderMap {
 public:
  static constexpr size_t kInlineFields = 6;
  static constexpr size_t kFieldsMax = 200;

  /// The bytes that all spans are relative to.
  void Bind(const char* base) { base_ = base; }
  void Rebase(const char* base) { base_ = base; }
  void Clear() {
    fields_.clear();
    known_ = 0;
  }
  /// Appends a field whose bytes lie in the bound storage. `plain`: as `name: value` CRLF, so that
  /// its line can be copied as it stands.
  void Append(std::string_view name, std::string_view value, HeaderId id, bool plain = false) {
    fields_.push_back({.name = static_cast<uint32_t>(name.data() - base_),
                       .value = static_cast<uint32_t>(value.data() - base_),
                       .value_size = static_cast<uint32_t>(value.size()),
                       .name_size = static_cast<uint16_t>(name.size()),
                       .id = id,
                       .plain = plain});
    if (id != HeaderId::kOther) known_ |= BitOf(id);
  }

  [[nodiscard]] size_t size() const { return fields_.size(); }
  [[nodiscard]] std::string_view name(size_t i) const {
    return {base_ + fields_[i].name, fields_[i].name_size};
  }
  [[nodiscard]] std::string_view value(size_t i) const {
    return {base_ + fields_[i].value, fields_[i].value_size};
  }
  [[nodiscard]] HeaderId id(size_t i) const { return fields_[i].id; }
  [[nodiscard]] bool plain(size_t i) const { return fields_[i].plain; }
  /// Both fields are plain, and the line of `i` begins where that of i - 1 ends.
  [[nodiscard]] bool continues(size_t i) const {
    const Field& before = fields_[i - 1];
    return before.plain && fields_[i].plain &&
           fields_[i].name == before.value + before.value_size + 2;
  }
  /// The lines of the fields [first, end), each of which continues the one before.
  [[nodiscard]] std::string_view lines(size_t first, size_t end) const {
    const Field& last = fields_[end - 1];
    const uint32_t begin = fields_[first].name;
    return {base_ + begin, last.value + last.value_size + 2 - begin};
  }

  [[nodiscard]] bool has(HeaderId id) const { return (known_ & BitOf(id)) != 0; }
  /// The first value of a known field.
  [[nodiscard]] std::optional<std::string_view> Find(HeaderId id) const;
  /// The first value of any field, by name.
  [[nodiscard]] std::optional<std::string_view> Find(std::string_view name) const;
  /// Bytes held beyond the object itself.
  [[nodiscard]] size_t heap_bytes() const;

 private:
  struct Field {
    uint32_t name;
    uint32_t value;
    uint32_t value_size;
    uint16_t name_size;
    HeaderId id;
    bool plain;
  };
  const char* base_ = nullptr;
  uint64_t known_ = 0;
  absl::InlinedVector<Field, kInlineFields, net::FrameAllocator<Field>> fields_;
};

/// Lives for one hop of one message. Views must outlive the send that uses them.
class HeadPatch {
 public:
  struct Addition {
    std::string_view name;
    std::string_view value;
    HeaderId id;
  };
  void Drop(size_t field) { dropped_[field / 64] |= uint64_t{1} << (field % 64); }
  [[nodiscard]] bool dropped(size_t field) const {
    return (dropped_[field / 64] >> (field % 64)) & 1;
  }
  void Add(std::string_view name, std::string_view value) {
    additions_.push_back({name, value, IdOf(name)});
  }
  void Add(HeaderId id, std::string_view value) { additions_.push_back({NameOf(id), value, id}); }
  [[nodiscard]] const auto& additions() const { return additions_; }

 private:
  static_assert(HeaderMap::kFieldsMax <= 256);
  uint64_t dropped_[4] = {};
  absl::InlinedVector<Addition, 12> additions_;
};

}  // namespace rouse::http
