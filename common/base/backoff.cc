#include "common/base/backoff.h"

#include <algorithm>

namespace rouse {

Duration Backoff::Next(Random& random) {
  const Duration least = first_ / 2;
  const uint64_t span = static_cast<uint64_t>((ceiling_ - least).count()) + 1;
  const Duration wait = least + Duration(static_cast<int64_t>(random.Below(span)));
  ceiling_ = std::min(most_, ceiling_ * 2);
  return wait;
}

}  // namespace rouse
