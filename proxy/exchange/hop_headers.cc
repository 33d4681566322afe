#include "proxy/exchange/hop_headers.h"

#include <algorithm>
#include <string>

namespace rouse::proxy {
namespace {

using http::HeaderId;

/// Hop-by-hop (RFC 9110 section 7.6.1).
bool IsHopByHop(HeaderId id) {
  switch (id) {
    case HeaderId::kConnection:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kUpgrade:
    case HeaderId::kHttp2Settings:
    case HeaderId::kTransferEncoding:
      return true;
    default:
      return false;
  }
}

/// Written by the codec, ours to answer, or told anew as what is left of it.
bool IsReplaced(HeaderId id) {
  switch (id) {
    case HeaderId::kContentLength:
    case HeaderId::kHost:
    case HeaderId::kExpect:
    case HeaderId::kGrpcTimeout:
    case HeaderId::kXRequestTimeout:
    case HeaderId::kXEnvoyTimeout:
      return true;
    default:
      return false;
  }
}

std::string_view MillisecondsText(Duration left, std::string_view unit, ValueStore& values) {
  return values.Concat({std::to_string(std::max<int64_t>(1, Milliseconds(left))), unit});
}

}  // namespace

const ForwardPolicy& HoppedPolicy() {
  static const ForwardPolicy policy{.trusted_hops = 1};
  return policy;
}

void PatchHopped(const http::RequestHead& head, const ForwardPolicy& policy,
                 const RemainingTime& remaining, ValueStore& values, http::HeadPatch& patch) {
  const http::HeaderMap& fields = head.fields;
  const uint64_t unwanted = BitsOf(kForwardFields) & ~policy.adds;
  for (size_t i = 0; i < fields.size(); ++i) {
    const HeaderId id = fields.id(i);
    const bool mark = id == HeaderId::kOther && http::EqualsIgnoreCase(fields.name(i), kHopField);
    if (mark || IsHopByHop(id) || IsReplaced(id) || (unwanted & http::BitOf(id)) != 0)
      patch.Drop(i);
  }
  if (remaining.grpc > Duration::zero())
    patch.Add(HeaderId::kGrpcTimeout, GrpcTimeoutText(remaining.grpc, values));
  if (remaining.request > Duration::zero())
    patch.Add(HeaderId::kXRequestTimeout, MillisecondsText(remaining.request, "ms", values));
  if (remaining.envoy > Duration::zero())
    patch.Add(HeaderId::kXEnvoyTimeout, MillisecondsText(remaining.envoy, "", values));
}

void PatchHopped(const http::ResponseHead& head, http::HeadPatch& patch) {
  const http::HeaderMap& fields = head.fields;
  for (size_t i = 0; i < fields.size(); ++i)
    if (IsHopByHop(fields.id(i))) patch.Drop(i);
}

}  // namespace rouse::proxy
