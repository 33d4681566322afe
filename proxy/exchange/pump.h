#pragma once
// What:      Pump, copies one body to its end, trailers included, from a reader to a writer.
// Owner:     the exchange; both ends outlive the task. One shard.
// Limits:    one piece is held at a time; after kBytesPerTurn the others get their turn.
// Invariant: bytes out = bytes in; the end is written only after the end was read.

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/task.h"

namespace rouse::proxy {

inline constexpr size_t kBytesPerTurn = 256 * 1024;

/// Told once, as Pump's last act: kNone where the end has been handed to the transport; else the
/// error of the side that failed.
struct PumpEnd {
  void (*told)(void* context, const Error& failure);
  void* context;
};

/// Each wait ends by `deadline`; the reader and the writer have idle limits of their own.
[[nodiscard]] net::Task<void> Pump(net::Shard& shard, http::BodyReader& from, http::BodyWriter& to,
                                   TimePoint deadline, PumpEnd end);

/// Writes one piece, and the end with trailers if it is the last.
[[nodiscard]] http::Step TryForward(http::BodyReader& from, const http::Piece& piece,
                                    http::BodyWriter& to);

}  // namespace rouse::proxy
