#include "proxy/exchange/tunnel.h"

#include "proxy/exchange/pump.h"

namespace rouse::proxy {

using http::Step;

Tunnel::Tunnel(net::Shard& shard, http::ServerStream& downstream, http::ClientStream& upstream,
               Duration idle_timeout)
    : shard_(shard),
      downstream_(downstream),
      upstream_(upstream),
      idle_timeout_(idle_timeout),
      idle_timer_(&OnIdle, this),
      touched_(shard.now()) {}

net::Task<Error> Tunnel::Run() {
  if (idle_timeout_ > Duration::zero())
    idle_timer_.Arm(shard_.timers(), Later(touched_, idle_timeout_));
  co_await net::Join(Copy(downstream_.request_body(), upstream_.request_body()),
                     Copy(upstream_.response_body(), downstream_.response_body()));
  idle_timer_.Cancel();
  co_return idled_out_ ? Error{} : error_;
}

/// One direction, to its FIN.
net::Task<void> Tunnel::Copy(http::BodyReader& from, http::BodyWriter& to) {
  size_t this_turn = 0;
  while (!over_) {
    http::Piece piece;
    const Step read = from.TryRead(piece);
    if (read == Step::kFailed) co_return End(from.error());
    if (read == Step::kMustWait) {
      co_await from.Wait(kNever);
      this_turn = 0;
      continue;
    }
    Touch();
    const Step written = to.TryWrite(piece.data, piece.end);
    if (written == Step::kFailed) co_return End(to.error());
    if (written == Step::kMustWait) {
      const Result<void> flushed = co_await to.Flush(kNever);
      if (!flushed) co_return End(flushed.error());
    }
    if (piece.end) co_return;
    this_turn += piece.data.size();
    if (this_turn >= kBytesPerTurn) {
      this_turn = 0;
      co_await shard_.NextTurn();
    }
  }
}

/// Wakes the other direction too.
void Tunnel::End(const Error& error) {
  if (over_) return;
  over_ = true;
  error_ = error;
  upstream_.Cancel(error);
  downstream_.CancelRead(error);
}

void Tunnel::OnIdle(void* self) {
  auto& tunnel = *static_cast<Tunnel*>(self);
  const TimePoint due = Later(tunnel.touched_, tunnel.idle_timeout_);
  if (tunnel.shard_.now() < due) return tunnel.idle_timer_.Arm(tunnel.shard_.timers(), due);
  tunnel.idled_out_ = true;
  tunnel.End({ErrorKind::kUpstreamTimeout, Side::kUpstream, false, "the tunnel was idle"});
}

}  // namespace rouse::proxy
