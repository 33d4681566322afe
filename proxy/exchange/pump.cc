#include "proxy/exchange/pump.h"

namespace rouse::proxy {

using http::Step;

http::Step TryForward(http::BodyReader& from, const http::Piece& piece, http::BodyWriter& to) {
  const http::Trailers* const trailers = piece.end ? from.trailers() : nullptr;
  if (trailers == nullptr) return to.TryWrite(piece.data, piece.end);
  if (!piece.data.empty()) {
    const Step step = to.TryWrite(piece.data, false);
    if (step != Step::kDone) return step;
  }
  return to.TryEnd(*trailers);
}

namespace {

/// The rest of what TryForward had to leave.
net::Task<void> FlushRest(http::BodyReader& from, const http::Piece& piece, http::BodyWriter& to,
                          TimePoint deadline, Error& failure) {
  failure = co_await net::ErrorOf(to.Flush(deadline));
  // Only the data goes out where it has to wait; trailers are still to be sent then.
  if (!failure.ok() || !piece.end || piece.data.empty() || from.trailers() == nullptr) co_return;
  const Step ended = to.TryEnd(*from.trailers());
  if (ended == Step::kFailed) failure = to.error();
  if (ended == Step::kMustWait) failure = co_await net::ErrorOf(to.Flush(deadline));
}

}  // namespace

/// It may last for as long as a conversation does: nothing stays in its frame that is not needed.
net::Task<void> Pump(net::Shard& shard, http::BodyReader& from, http::BodyWriter& to,
                     TimePoint deadline, PumpEnd end) {
  size_t this_turn = 0;
  Error failure;
  for (http::Piece piece; !piece.end && failure.ok();) {
    const Step read = from.TryRead(piece);
    if (read == Step::kMustWait) {
      co_await from.Wait(deadline);
      this_turn = 0;
      continue;
    }
    if (read == Step::kFailed) {
      failure = from.error();
      break;
    }
    const Step written = TryForward(from, piece, to);
    if (written == Step::kFailed) failure = to.error();
    if (written == Step::kMustWait) co_await FlushRest(from, piece, to, deadline, failure);
    this_turn += piece.data.size();
    if (this_turn >= kBytesPerTurn && !piece.end) {
      this_turn = 0;
      co_await shard.NextTurn();
    }
  }
  end.told(end.context, failure);
}

}  // namespace rouse::proxy
