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

net::Task<Error> Pump(net::Shard& shard, http::BodyReader& from, http::BodyWriter& to,
                      TimePoint deadline) {
  size_t this_turn = 0;
  for (;;) {
    http::Piece piece;
    const Step read = from.TryRead(piece);
    if (read == Step::kFailed) co_return from.error();
    if (read == Step::kMustWait) {
      const Result<http::Piece> waited = co_await from.Read(deadline);
      if (!waited) co_return waited.error();
      piece = *waited;
      this_turn = 0;
    }
    const Step written = TryForward(from, piece, to);
    if (written == Step::kFailed) co_return to.error();
    if (written == Step::kMustWait) {
      const Result<void> flushed = co_await to.Flush(deadline);
      if (!flushed) co_return flushed.error();
      // Only the data went out where it had to wait; trailers are still to be sent.
      if (piece.end && from.trailers() != nullptr && !piece.data.empty()) {
        const Step ended = to.TryEnd(*from.trailers());
        if (ended == Step::kFailed) co_return to.error();
        if (ended == Step::kMustWait) {
          const Result<void> end_flushed = co_await to.Flush(deadline);
          if (!end_flushed) co_return end_flushed.error();
        }
      }
    }
    if (piece.end) co_return Error{};
    this_turn += piece.data.size();
    if (this_turn >= kBytesPerTurn) {
      this_turn = 0;
      co_await shard.NextTurn();
    }
  }
}

}  // namespace rouse::proxy
