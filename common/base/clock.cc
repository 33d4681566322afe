#include "common/base/clock.h"

namespace rouse {

TimePoint Later(TimePoint now, Duration wait) { return wait >= kNever - now ? kNever : now + wait; }

TimePoint SteadyClock::now() const { return std::chrono::steady_clock::now(); }

WallTime SteadyClock::wall() const { return std::chrono::system_clock::now(); }

}  // namespace rouse
