#include "common/net/transport.h"

#include <utility>

namespace rouse::net {

Transport::~Transport() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

size_t Transport::TotalOf(std::span<const std::string_view> parts) {
  size_t total = 0;
  for (const std::string_view part : parts) total += part.size();
  return total;
}

IoResult Transport::WriteLast(std::span<const std::string_view> parts) {
  const IoResult wrote = Write(parts);
  if (wrote.status == IoStatus::kDone && wrote.bytes == TotalOf(parts)) ShutdownWrite();
  return wrote;
}

void Transport::MarkReady(Readiness readiness) {
  if (readiness.writable) writable_ = true;
  if (readiness.broken) broken_ = true;
  const bool newly_hung_up =
      readiness.hung_up && !std::exchange(hung_up_, hung_up_ || readiness.hung_up);
  const bool newly_readable = readiness.readable || readiness.hung_up;
  if (newly_readable) readable_ = true;

  const bool writer_waited = writer_waits();
  if ((readiness.writable || broken_) && writer_waited) waits_->writable.Signal();
  const bool reader_waited = reader_waits();
  if (newly_readable && reader_waited) waits_->readable.Signal();

  if (readiness.writable && !writer_waited && waits_ &&
      !Tell(waits_->writable_watch, waits_->writable_context))
    return;
  if (newly_hung_up && !Tell(hang_up_watch_, hang_up_context_)) return;
  if (newly_readable && !reader_waited && readable_watch_ != nullptr) {
    readable_watch_(readable_context_);
  }
}

bool Transport::Tell(Watch watch, void* context) {
  if (watch == nullptr) return true;
  bool destroyed = false;
  destroyed_ = &destroyed;
  watch(context);
  if (!destroyed) destroyed_ = nullptr;
  return !destroyed;
}

void Transport::MarkBroken() {
  hung_up_ = true;
  broken_ = true;
  readable_ = true;
  if (writer_waits()) waits_->writable.Signal();
  if (reader_waits()) waits_->readable.Signal();
}

}  // namespace rouse::net
