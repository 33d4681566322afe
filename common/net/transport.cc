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

  if ((readiness.writable || broken_) && writer_waits()) waits_->writable.Signal();
  const bool reader_waited = reader_waits();
  if (newly_readable && reader_waited) waits_->readable.Signal();

  if (newly_hung_up && hang_up_watch_ != nullptr) {
    bool destroyed = false;
    destroyed_ = &destroyed;
    hang_up_watch_(hang_up_context_);
    if (destroyed) return;
    destroyed_ = nullptr;
  }
  if (newly_readable && !reader_waited && readable_watch_ != nullptr) {
    readable_watch_(readable_context_);
  }
}

void Transport::MarkBroken() {
  hung_up_ = true;
  broken_ = true;
  readable_ = true;
  if (writer_waits()) waits_->writable.Signal();
  if (reader_waits()) waits_->readable.Signal();
}

}  // namespace rouse::net
