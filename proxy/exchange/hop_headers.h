#pragma once
// What:      what the hop between two proxies changes in a head (15.6): next to nothing, for the
//            first one has cleaned it and told of its client.
// Owner:     the exchange; pure functions, values built in its ValueStore.
// Invariant: the mark of a hop is believed on the internal port alone, and goes no further.

#include <string_view>

#include "common/http/message.h"
#include "proxy/exchange/forward_headers.h"

namespace rouse::proxy {

/// The mark.
inline constexpr std::string_view kHopField = "x-rouse-hop";

/// What a marked request says of its client is believed.
[[nodiscard]] const ForwardPolicy& HoppedPolicy();

/// Of a request that has hopped, on its way to the pod: as PatchRequest. It carries all of
/// kForwardFields, of which the pod sees what the policy adds.
void PatchHopped(const http::RequestHead& head, const ForwardPolicy& policy,
                 const RemainingTime& remaining, ValueStore& values, http::HeadPatch& patch);
/// Of what the home has answered, on its way to the client: as PatchResponse.
void PatchHopped(const http::ResponseHead& head, http::HeadPatch& patch);

}  // namespace rouse::proxy
