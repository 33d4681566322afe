#include "proxy/exchange/local_reply.h"

#include <array>
#include <charconv>

namespace rouse::proxy {
namespace {

using http::HeaderId;

// google.rpc.Code values, as gRPC over HTTP/2 puts them into grpc-status.
constexpr uint8_t kGrpcCancelled = 1;
constexpr uint8_t kGrpcDeadline = 4;
constexpr uint8_t kGrpcExhausted = 8;
constexpr uint8_t kGrpcUnimplemented = 12;
constexpr uint8_t kGrpcInternal = 13;
constexpr uint8_t kGrpcUnavailable = 14;

constexpr bool kClose = true;
constexpr bool kKeep = false;
constexpr bool kLater = true;
constexpr bool kNow = false;

using K = ErrorKind;

/// 400-class rows that doubt the framing close (security.md 1.1); what failed upstream or at home
/// does not touch the client's connection. Statuses: RFC 9110 section 15, 431 and 429 RFC 6585, 508
/// RFC 5842.
constexpr std::array<ReplyRow, kErrorKinds> kRows = {{
    {K::kNone, 500, kGrpcInternal, kClose, kNow, "no error"},
    {K::kBadRequest, 400, kGrpcInternal, kClose, kNow, "the request is malformed"},
    {K::kTargetTooLong, 414, kGrpcInternal, kClose, kNow, "the request target is too long"},
    {K::kHeadTooLarge, 431, kGrpcExhausted, kClose, kNow, "the request head is too large"},
    {K::kBodyTooLarge, 413, kGrpcExhausted, kClose, kNow, "the request body is too large"},
    {K::kMethodNotAllowed, 405, kGrpcUnimplemented, kClose, kNow, "this method is not allowed"},
    {K::kNotImplemented, 501, kGrpcUnimplemented, kClose, kNow, "not implemented"},
    {K::kVersionUnsupported, 505, kGrpcUnimplemented, kClose, kNow, "HTTP version not supported"},
    {K::kExpectationFailed, 417, kGrpcInternal, kClose, kNow, "this expectation is not supported"},
    {K::kLoopDetected, 508, kGrpcUnavailable, kKeep, kNow, "the request went in a circle"},
    {K::kMisdirected, 421, kGrpcUnavailable, kKeep, kNow,
     "this host is not served on this connection"},
    {K::kHeadTimeout, 408, kGrpcDeadline, kClose, kNow, "the request head came too slowly"},
    {K::kBodyTimeout, 408, kGrpcDeadline, kClose, kNow, "the request body came too slowly"},
    {K::kDownstreamClosed, 499, kGrpcCancelled, kClose, kNow, "the client left"},
    {K::kDownstreamTimeout, 499, kGrpcCancelled, kClose, kNow,
     "the client took the response too slowly"},
    {K::kNoRoute, 404, kGrpcUnimplemented, kKeep, kNow, "nothing is routed here"},
    {K::kWorkloadGone, 503, kGrpcUnavailable, kKeep, kNow, "the workload was removed"},
    {K::kParkedFull, 503, kGrpcUnavailable, kKeep, kLater,
     "too many requests wait for this workload"},
    {K::kParkedBytesFull, 503, kGrpcUnavailable, kKeep, kLater,
     "waiting requests hold too much memory"},
    {K::kColdStartTimeout, 504, kGrpcUnavailable, kKeep, kLater, "no pod became ready in time"},
    {K::kDeadlineExceeded, 504, kGrpcDeadline, kKeep, kNow, "the request's deadline passed"},
    {K::kNoAutoscaler, 503, kGrpcUnavailable, kKeep, kLater,
     "the workload sleeps and no autoscaler is configured"},
    {K::kNotHome, 503, kGrpcUnavailable, kKeep, kLater, "another proxy is home to this workload"},
    {K::kDraining, 503, kGrpcUnavailable, kClose, kLater, "the proxy is shutting down"},
    {K::kOverloaded, 503, kGrpcUnavailable, kClose, kLater, "the proxy is overloaded"},
    {K::kConnectRefused, 502, kGrpcUnavailable, kKeep, kNow, "the pod refused the connection"},
    {K::kConnectTimeout, 504, kGrpcUnavailable, kKeep, kNow, "the pod did not accept in time"},
    {K::kUpstreamTls, 502, kGrpcUnavailable, kKeep, kNow, "the TLS handshake with the pod failed"},
    {K::kUpstreamReset, 502, kGrpcUnavailable, kKeep, kNow, "the pod closed the connection"},
    {K::kUpstreamProtocol, 502, kGrpcUnavailable, kKeep, kNow, "the pod's response is malformed"},
    {K::kUpstreamTruncated, 502, kGrpcUnavailable, kKeep, kNow, "the pod's response was cut short"},
    {K::kResponseStartTimeout, 504, kGrpcDeadline, kKeep, kNow, "the pod did not answer in time"},
    {K::kUpstreamTimeout, 504, kGrpcDeadline, kKeep, kNow, "the pod stopped sending"},
    {K::kInternal, 500, kGrpcInternal, kClose, kNow, "internal error"},
}};

constexpr bool RowsInOrder() {
  for (size_t i = 0; i < kRows.size(); ++i)
    if (static_cast<size_t>(kRows[i].kind) != i || kRows[i].text.empty()) return false;
  return true;
}
static_assert(RowsInOrder(), "one row for each ErrorKind, in the order of the enumeration");

std::string_view Decimal(uint64_t number, ValueStore& values) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  return values.Copy({digits, static_cast<size_t>(end - digits)});
}

bool IsGrpc(const http::RequestHead& request) {
  if (!request.fields.has(HeaderId::kContentType)) return false;
  const std::string_view type = request.fields.Find(HeaderId::kContentType).value_or("");
  constexpr std::string_view kGrpc = "application/grpc";
  if (!type.starts_with(kGrpc)) return false;
  // "application/grpc-web" is another protocol.
  return type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';';
}

bool WantsJson(const http::RequestHead& request) {
  if (!request.fields.has(HeaderId::kAccept)) return false;
  const std::string_view accept = request.fields.Find(HeaderId::kAccept).value_or("");
  return accept.find("application/json") != std::string_view::npos ||
         accept.find("+json") != std::string_view::npos;
}

/// Detail texts are static and ours, so that no JSON escaping is needed; the request id is checked
/// by RequestIdOf.
std::string_view BodyOf(std::string_view code, std::string_view text, std::string_view request_id,
                        bool json, ValueStore& values) {
  if (json)
    return values.Concat({"{\"error\":\"", code, "\",\"message\":\"", text, "\",\"request_id\":\"",
                          request_id, "\"}\n"});
  return values.Concat({code, ": ", text, " (request ", request_id, ")\n"});
}

}  // namespace

const ReplyRow& RowOf(ErrorKind kind) { return kRows[static_cast<size_t>(kind)]; }

void BuildLocalReply(const Error& error, const ReplyContext& context, ValueStore& values,
                     LocalReply& reply) {
  const ReplyRow& row = RowOf(error.kind);
  const std::string_view code = CodeOf(error.kind);
  reply.close = row.close;
  reply.head.version = http::Version::kHttp11;
  reply.head.body = http::BodyKind::kLength;
  reply.patch.Add("x-rouse-error", code);
  if (!context.request_id.empty()) reply.patch.Add("x-request-id", context.request_id);
  if (row.retry_later)
    reply.patch.Add("retry-after",
                    Decimal(static_cast<uint64_t>(context.retry_after.count()), values));
  if (row.status == 405) reply.patch.Add("allow", kAllowedMethods);

  if (context.request != nullptr && IsGrpc(*context.request)) {
    // Trailers-only: everything in one head, and HTTP status 200 (gRPC over HTTP/2, "Responses").
    reply.head.status = 200;
    reply.patch.Add("content-type", "application/grpc");
    reply.patch.Add("grpc-status", Decimal(row.grpc, values));
    reply.patch.Add("grpc-message", values.Concat({code, ": ", row.text}));
    return;
  }
  const bool json = context.request != nullptr && WantsJson(*context.request);
  reply.head.status = row.status;
  reply.patch.Add("content-type", json ? "application/json" : "text/plain; charset=utf-8");
  reply.patch.Add("cache-control", "no-store");
  reply.body = BodyOf(code, row.text, context.request_id, json, values);
  reply.head.content_length = reply.body.size();
  if (context.request != nullptr && context.request->method == "HEAD") reply.body = {};
}

void BuildPlainReply(int status, std::string_view allow, std::string_view request_id,
                     LocalReply& reply) {
  reply.head.status = status;
  reply.head.version = http::Version::kHttp11;
  reply.head.body = status == 204 ? http::BodyKind::kNone : http::BodyKind::kLength;
  if (!allow.empty()) reply.patch.Add("allow", allow);
  if (!request_id.empty()) reply.patch.Add("x-request-id", request_id);
}

void BuildRedirect(const http::RequestHead& request, uint16_t port, std::string_view request_id,
                   ValueStore& values, LocalReply& reply) {
  constexpr uint16_t kHttps = 443;
  BuildPlainReply(308, {}, request_id, reply);
  const std::string_view colon = port == kHttps ? "" : ":";
  const std::string_view number = port == kHttps ? std::string_view() : Decimal(port, values);
  reply.patch.Add("location",
                  values.Concat({"https://", request.host, colon, number, request.path}));
}

}  // namespace rouse::proxy
