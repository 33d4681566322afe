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
  for (http::Piece piece; !piece.end;) {
    const Step read = from.TryRead(piece);
    if (read == Step::kFailed) co_return from.error();
    if (read == Step::kMustWait) {
      const Error failure = co_await net::Into(piece, from.Read(deadline));
      if (!failure.ok()) co_return failure;
      this_turn = 0;
    }
    Step written = TryForward(from, piece, to);
    // Only the data goes out where it has to wait; trailers are still to be sent then.
    bool trailers_left = piece.end && !piece.data.empty() && from.trailers() != nullptr;
    while (written == Step::kMustWait) {
      const Error failure = co_await net::ErrorOf(to.Flush(deadline));
      if (!failure.ok()) co_return failure;
      written = trailers_left ? to.TryEnd(*from.trailers()) : Step::kDone;
      trailers_left = false;
    }
    if (written == Step::kFailed) co_return to.error();
    this_turn += piece.data.size();
    if (this_turn >= kBytesPerTurn && !piece.end) {
      this_turn = 0;
      co_await shard.NextTurn();
    }
  }
  co_return Error{};
}

}  // namespace rouse::proxy
