#include "common/net/transport.h"

#include <utility>

namespace rouse::net {

Transport::~Transport() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void Transport::MarkReady(Readiness readiness) {
  if (readiness.writable) writable_ = true;
  if (readiness.broken) broken_ = true;
  const bool newly_hung_up =
      readiness.hung_up && !std::exchange(hung_up_, hung_up_ || readiness.hung_up);
  const bool newly_readable = readiness.readable || readiness.hung_up;
  if (newly_readable) readable_ = true;

  if ((readiness.writable || broken_) && writable_event_.waiting()) writable_event_.Signal();
  const bool reader_waits = readable_event_.waiting();
  if (newly_readable && reader_waits) readable_event_.Signal();

  if (newly_hung_up && hang_up_watch_ != nullptr) {
    bool destroyed = false;
    destroyed_ = &destroyed;
    hang_up_watch_(hang_up_context_);
    if (destroyed) return;
    destroyed_ = nullptr;
  }
  if (newly_readable && !reader_waits && readable_watch_ != nullptr) {
    readable_watch_(readable_context_);
  }
}

void Transport::MarkBroken() {
  hung_up_ = true;
  broken_ = true;
  readable_ = true;
  if (writable_event_.waiting()) writable_event_.Signal();
  if (readable_event_.waiting()) readable_event_.Signal();
}

}  // namespace rouse::net
