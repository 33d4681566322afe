// An exchange whose workload has its home at another proxy (15.6): that one is asked until it
// answers. And what comes from another proxy to us, as its home.

#include <algorithm>
#include <utility>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/hop_headers.h"

namespace rouse::proxy {

using http::Step;

void Exchange::StartHopped(http::ServerStream& downstream) {
  hopped_ = true;
  Start(downstream);
}

/// Until a home has answered. kNotHome where that is here by now, or where another proxy took us
/// for it: never a second hop.
net::Task<void> Exchange::Hop() {
  error_ = {ErrorKind::kNotHome, Side::kLocal, true, "the home has moved"};
  if (hopped_) co_return;
  // From the first wait on; nobody else knows of it then, and once too often is better than never.
  std::optional<DemandEntry> waited;
  for (;;) {
    hopping_ = true;
    error_ = {};
    bool seeks = false;
    {
      // Its home counts it, as demand and against the limit.
      Slot slot = context_.admission.TryAcquire(*workload_, avoid_);
      if (!slot) error_ = co_await Park(slot);
      if (!error_.ok()) co_return;
      error_ = BeginAttempt(slot);
      if (error_.ok()) {
        context_.stats.hops.Add();
        if (!upstream_) co_await Dial(slot);
        if (upstream_) co_await Forward();
        seeks = !error_.ok() && SeeksHome();
        upstream_.Release();
      }
    }
    // Our own view has changed; what another proxy says is an error, unless it can be sent again.
    const bool moved = error_.kind == ErrorKind::kNotHome && error_.side == Side::kLocal;
    if (!seeks && !moved) co_return;
    if (seeks) {
      if (!waited) waited.emplace(workload_);
      co_await WaitForHome();
    }
    hopping_ = false;
    if (workload_->away()) continue;
    error_ = {ErrorKind::kNotHome, Side::kLocal, true, "the home is here now"};
    co_return;
  }
}

/// The home could not be reached, is none any more, or died with the request in hand: the next
/// snapshot says who is. Not so where more of the body is gone than can be sent again; and where a
/// pod may have seen it, once and only what is idempotent, as everywhere. No budget of repeats
/// counts here: all that waited at a home look for the next one when it dies.
bool Exchange::SeeksHome() {
  if (response_begun_ || body_given_ || !first_.end) return false;
  if (error_.side != Side::kUpstream || downstream_->gone()) return false;
  if (context_.shard.now() >= std::min(deadlines_.hold, deadlines_.exchange)) return false;
  if (error_.retry_safe) return true;
  const Repeat repeat = MayRepeat({.failure = error_,
                                   .idempotent = http::IsIdempotent(downstream_->head().method),
                                   .untouched = upstream_ && upstream_.stream().untouched(),
                                   .repeated_fresh = repeated_fresh_});
  if (repeat == Repeat::kNo) return false;
  repeated_fresh_ = true;
  return true;
}

net::Task<void> Exchange::WaitForHome() {
  constexpr Duration kLookAgain = std::chrono::milliseconds(20);
  context_.stats.hops_again.Add();
  attempts_ = 0;
  upload_error_ = {};
  request_id_ = values_.ClearBut(request_id_);  // there may be thousands of attempts
  net::Event pause(context_.shard);
  co_await pause.Wait(Later(context_.shard.now(), kLookAgain));
}

Error Exchange::MayHop() const {
  if (downstream_->head().fields.Find(kHopField)) return {};
  return {ErrorKind::kBadRequest, Side::kDownstream, false, "proxies alone are served here"};
}

Step Exchange::SendHopRequest() {
  const http::RequestHead& head = downstream_->head();
  const RemainingTime remaining = deadlines_.Remaining(context_.shard.now());
  http::HeadPatch patch;
  if (hopped_) {
    PatchHopped(head, context_.options.forward, remaining, values_, patch);
  } else {
    // The home's log wants the client and the id, whatever the pod is to see.
    ForwardPolicy all = context_.options.forward;
    all.adds = BitsOf(kForwardFields);
    PatchRequest(head, downstream_->peer(), all, request_id_, remaining, values_, patch);
    patch.Add(kHopField, "1");
  }
  return upstream_.stream().TrySendHead(head, patch, first_.data, first_.end);
}

bool Exchange::SaysNotHome(const http::ResponseHead& head) {
  return head.fields.Find("x-rouse-error") == CodeOf(ErrorKind::kNotHome);
}

}  // namespace rouse::proxy
