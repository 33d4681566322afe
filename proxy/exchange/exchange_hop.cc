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
net::Task<Error> Exchange::Hop() {
  if (hopped_) co_return Error{ErrorKind::kNotHome, Side::kLocal, true, "the home has moved"};
  for (;;) {
    hopping_ = true;
    Error failure;
    bool seeks = false;
    bool again = false;
    {
      // Its home counts it, as demand and against the limit.
      Slot slot = context_.admission.TryAcquire(*workload_, avoid_);
      if (!slot) {
        Result<Slot> waited = co_await Park();
        if (!waited) co_return waited.error();
        slot = std::move(*waited);
      }
      failure = BeginAttempt(slot);
      if (failure.ok()) {
        context_.stats.hops.Add();
        if (!upstream_) failure = co_await Dial(slot);
        if (upstream_) failure = co_await Forward();
        seeks = !failure.ok() && SeeksHome(failure);
        again = seeks || (!failure.ok() && Repeats(failure, slot));
        upstream_.Release();
      }
    }
    if (!again) {
      hopping_ = hopping_ && failure.kind != ErrorKind::kNotHome;
      co_return failure;
    }
    if (seeks) co_await WaitForHome();
    hopping_ = false;
    if (!workload_->away())
      co_return Error{ErrorKind::kNotHome, Side::kLocal, true, "the home is here now"};
  }
}

/// The home could not be reached or is none any more, and no pod has seen the request: the next
/// snapshot says who is. Not so where more of the body is gone than can be sent again.
bool Exchange::SeeksHome(const Error& failure) const {
  if (response_begun_ || body_given_ || !first_.end) return false;
  if (failure.side != Side::kUpstream || !failure.retry_safe || downstream_->gone()) return false;
  return context_.shard.now() < std::min(deadlines_.hold, deadlines_.exchange);
}

/// Meanwhile nobody else knows of it.
net::Task<void> Exchange::WaitForHome() {
  constexpr Duration kLookAgain = std::chrono::milliseconds(20);
  const DemandEntry demand(workload_);
  context_.stats.hops_again.Add();
  attempts_ = 0;
  upload_error_ = {};
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
    PatchHopped(head, remaining, values_, patch);
  } else {
    PatchRequest(head, downstream_->peer(), context_.options.forward, request_id_, remaining,
                 values_, patch);
    patch.Add(kHopField, "1");
  }
  return upstream_.stream().TrySendHead(head, patch, first_.data, first_.end);
}

bool Exchange::SaysNotHome(const http::ResponseHead& head) {
  return head.fields.Find("x-rouse-error") == CodeOf(ErrorKind::kNotHome);
}

}  // namespace rouse::proxy
