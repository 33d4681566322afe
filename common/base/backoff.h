#pragma once
// What:      Backoff, exponential waits with full jitter.
// Owner:     whoever retries; pure, takes the generator. Not shared between threads.
// Limits:    every wait lies in [first / 2, most].
// Invariant: the ceiling doubles with each Next() until `most`; Reset() starts over.

#include "common/base/clock.h"
#include "common/base/random.h"

namespace rouse {

class Backoff {
 public:
  Backoff(Duration first, Duration most) : first_(first), most_(most), ceiling_(first) {}

  /// How long to wait before the next try: uniform in [first / 2, ceiling].
  [[nodiscard]] Duration Next(Random& random);

  /// To be called once the thing retried has been healthy.
  void Reset() { ceiling_ = first_; }

 private:
  Duration first_;
  Duration most_;
  Duration ceiling_;
};

}  // namespace rouse
