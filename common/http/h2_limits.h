#pragma once
// What:   H2Limits, what one HTTP/2 connection may cost (security.md 2.2); RateLimit, the counter
//         behind each kind of abuse.
// Owner:  values; the connection.
// Limits: each is a row of options.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.h"

namespace rouse::http {

struct H2Limits {
  /// Requests of one connection at a time, those included that the client has reset and that still
  /// run.
  uint32_t streams_max = 100;
  /// What a stream may send before it has a pod, and from then on.
  uint32_t window_parked = 16 * 1024;
  uint32_t window = 64 * 1024;
  uint32_t window_connection = 1024 * 1024;
  uint32_t continuations_max = 8;
  /// Of each of these so many at once, and a thirtieth of it per second; beyond: GOAWAY.
  uint32_t resets_max = 1000;
  uint32_t pings_max = 1000;
  uint32_t settings_max = 100;
  uint32_t window_updates_max = 1000;
  uint32_t empty_frames_max = 1000;
  /// Frames and heads that make no sense, or come too late.
  uint32_t glitches_max = 1000;
  /// Body bytes that wait for the client's window; beyond, the stream that has stood still for
  /// longest is reset. While half of the shard's buffers are out, a quarter of it.
  size_t unsent_bytes_max = 4 * 1024 * 1024;
  /// Frames that wait for the socket.
  size_t output_bytes_max = 1024 * 1024;
  /// For the other side to acknowledge our settings.
  Duration settings_timeout = std::chrono::seconds(10);
  /// Between "no new streams, please" and the last word on which were taken.
  Duration goaway_notice = std::chrono::seconds(1);
};

/// So many at once, and a thirtieth of that per second.
class RateLimit {
 public:
  explicit RateLimit(uint32_t burst) : burst_(burst), tokens_(burst) {}

  /// False where there have been too many.
  [[nodiscard]] bool Take(TimePoint now) {
    if (tokens_ >= 1) {
      tokens_ -= 1;
      if (last_ == TimePoint{}) last_ = now;
      return true;
    }
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    tokens_ = std::min(burst_, tokens_ + seconds * burst_ / kSecondsToRefill);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  /// Something was done that makes `count` more of them plausible.
  void Give(double count) { tokens_ = std::min(burst_, tokens_ + count); }

 private:
  static constexpr double kSecondsToRefill = 30;
  double burst_;
  double tokens_;
  TimePoint last_{};
};

}  // namespace rouse::http
