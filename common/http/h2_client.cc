#include "common/http/h2_client.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/http/h2_client_stream.h"

namespace rouse::http {

H2Client::H2Client(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                   const H1ClientOptions& options, const H2Limits& limits)
    : H2Connection(shard, std::move(transport), H2Codec::Role::kClient, limits, options.head,
                   options.body, {.write_idle_timeout = options.body.write_idle_timeout}),
      options_(options),
      settled_event_(shard) {
  StartIo({});
}

H2Client::~H2Client() = default;

net::Task<Result<void>> H2Client::Settle(TimePoint deadline) {
  while (!settled_ && state_ == State::kOpen) {
    const net::Wake why = co_await settled_event_.Wait(deadline);
    if (why == net::Wake::kDeadline && !settled_)
      co_return Error{ErrorKind::kConnectTimeout, Side::kUpstream, true,
                      "the pod did not say its settings"};
  }
  if (settled_ && state_ == State::kOpen) co_return Result<void>();
  co_return Error{ErrorKind::kUpstreamProtocol, Side::kUpstream, true,
                  "the pod does not speak HTTP/2"};
}

size_t H2Client::streams_free() const {
  if (state_ != State::kOpen || leaving_ || !codec_.ids_left()) return 0;
  const size_t most = std::min<size_t>(limits_.streams_max, codec_.peer_streams_max());
  return most > streams_ ? most - streams_ : 0;
}

ClientStream& H2Client::Open() {
  DCHECK(streams_free() > 0);
  auto stream = std::make_unique<H2ClientStream>(static_cast<H2StreamOwner&>(*this));
  Link(*stream);
  return *stream.release();  // linked: Remove deletes it
}

H2Stream* H2Client::OnBlock(int32_t /*id*/, H2Stream* stream, const H2Block& block) {
  auto& own = static_cast<H2ClientStream&>(*stream);
  if (own.final_head()) {
    own.reader().DeliverTrailers(block);
  } else {
    own.TakeHead(block);
  }
  return stream;
}

void H2Client::AfterReceive() {
  if (settled_) settled_event_.SignalWaiter();
  if (leaving_) TellUnusable();
}

void H2Client::TellUnusable() {
  if (std::exchange(told_unusable_, true)) return;
  if (watch_.told != nullptr) watch_.told(watch_.context, false);
}

Error H2Client::BrokenBy(H2Code code) const {
  if (code == H2Code::kRefusedStream)
    return {ErrorKind::kUpstreamReset, Side::kUpstream, true, "the pod refused the stream"};
  return {ErrorKind::kUpstreamReset, Side::kUpstream, false, "the pod reset the stream"};
}

void H2Client::Ended() { settled_event_.SignalWaiter(); }

void H2Client::Emptied() {
  if (state_ == State::kOpen && !leaving_ && watch_.told != nullptr)
    watch_.told(watch_.context, true);
}

/// Closed, and told from the loop.
void H2Client::Over() { TellUnusable(); }

void H2Client::Close() {
  if (streams_ > 0 || state_ != State::kOpen) return;
  codec_.GoAway();
  (void)codec_.Pack();
  const std::string_view bye = codec_.output();
  if (!bye.empty()) (void)transport_->Write({&bye, 1});
  told_unusable_ = true;
  End(false);
}

}  // namespace rouse::http
