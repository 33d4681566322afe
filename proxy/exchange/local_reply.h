#pragma once
// What:      our own answers: one table from ErrorKind to HTTP status, gRPC status and whether the
//            connection ends; and the reply made of it: text or JSON by Accept, or trailers-only
//            for gRPC.
// Owner:     the exchange; a LocalReply's views live in the ValueStore given.
// Invariant: each ErrorKind has exactly one row, checked at compile time. A client sees code, text
//            and request id, never an address or a name of ours.

#include <cstdint>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/http/message.h"
#include "proxy/exchange/forward_headers.h"

namespace rouse::proxy {

struct ReplyRow {
  ErrorKind kind;
  int status;        ///< HTTP
  uint8_t grpc;      ///< google.rpc.Code
  bool close;        ///< the connection ends with this reply
  bool retry_later;  ///< carries Retry-After
  std::string_view text;
};

/// The row of one kind.
[[nodiscard]] const ReplyRow& RowOf(ErrorKind kind);

/// Retry-After where nothing has been measured.
inline constexpr std::chrono::seconds kRetryAfterDefault{5};

/// A reply, ready for ServerStream::TrySendHead.
struct LocalReply {
  http::ResponseHead head;
  http::HeadPatch patch;
  std::string_view body;
  bool close = false;
};

struct ReplyContext {
  /// Null where not even the head was understood.
  const http::RequestHead* request = nullptr;
  std::string_view request_id;
  /// The workload's own start time, for refusals that may be repeated later.
  std::chrono::seconds retry_after = kRetryAfterDefault;
};

void BuildLocalReply(const Error& error, const ReplyContext& context, ValueStore& values,
                     LocalReply& reply);

/// An answer without an error (204 to OPTIONS, ...): no body, `allow` where not empty.
void BuildPlainReply(int status, std::string_view allow, std::string_view request_id,
                     LocalReply& reply);

/// 308 to the same address by https; `port` is left out where it is 443.
void BuildRedirect(const http::RequestHead& request, uint16_t port, std::string_view request_id,
                   ValueStore& values, LocalReply& reply);

/// The methods named in Allow.
inline constexpr std::string_view kAllowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

}  // namespace rouse::proxy
