#include "tests/support/net/pipe_transport.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace rouse::net::testing {

PipeTransport::Pair PipeTransport::Make(Shard& first, Shard& second, const PipeOptions& options) {
  auto wire = std::make_shared<Wire>();
  Random seeds(options.seed);
  auto make = [&](Shard& shard, size_t side, const PipeFaults& faults) {
    auto end =
        std::make_unique<PipeTransport>(shard, wire, side, seeds.Next(), options.window, faults);
    wire->ends[side] = end.get();
    return end;
  };
  Pair pair;
  pair.first = make(first, 0, options.from_first);
  pair.second = make(second, 1, options.from_second);
  return pair;
}

PipeTransport::PipeTransport(Shard& shard, std::shared_ptr<Wire> wire, size_t side, uint64_t seed,
                             size_t window, PipeFaults faults)
    : Transport(shard),
      shard_(shard),
      wire_(std::move(wire)),
      side_(side),
      random_(seed),
      window_(window),
      faults_(faults),
      arrival_timer_([](void* self) { static_cast<PipeTransport*>(self)->Deliver(); }, this) {}

PipeTransport::~PipeTransport() {
  Close(false);
  wire_->ends[side_] = nullptr;
}

IoResult PipeTransport::Read(std::span<char> into) {
  CHECK(!into.empty());
  if (!arrived_.empty() && !closed_) {
    const size_t count = std::min(arrived_.size(), into.size());
    std::copy_n(arrived_.begin(), count, into.begin());
    arrived_.erase(0, count);
    unread_ -= count;
    read_ += count;
    if (count < into.size()) readable_ = hung_up_;
    TellWriterOfRoom();
    return {IoStatus::kDone, count};
  }
  if (broken_) return {IoStatus::kBroken, 0};
  if (fin_arrived_) return {IoStatus::kEnd, 0};
  readable_ = false;
  return {IoStatus::kMustWait, 0};
}

IoResult PipeTransport::Write(std::span<const std::string_view> parts) {
  CHECK(!parts.empty() && parts.size() <= kPartsMax);
  if (broken_ || fin_sent_) return {IoStatus::kBroken, 0};
  std::string bytes;
  for (const std::string_view part : parts) bytes += part;
  CHECK(!bytes.empty());
  const size_t total = bytes.size();
  PipeTransport* const to = peer();
  const bool lost = to == nullptr || to->closed_;
  size_t count = lost ? total : std::min(total, window_ - to->unread_);
  if (count > 0 && faults_.split) count = 1 + random_.Below(count);
  if (count < total) {
    writable_ = false;
    if (!lost) to->room_wanted_ = true;
  }
  if (count == 0) return {IoStatus::kMustWait, 0};
  bytes.resize(count);
  written_ += count;
  if (lost) {
    AcceptReset();  // what TCP answers when nobody is there any more
    return {IoStatus::kDone, count};
  }
  if (random_.Unit() < faults_.corrupt) {
    bytes[random_.Below(count)] ^= static_cast<char>(1U << random_.Below(8));
  }
  const auto delay = static_cast<uint64_t>(faults_.delay_most.count());
  last_arrival_ =
      std::max(last_arrival_, shard_.now() + Duration(static_cast<int64_t>(random_.Below(delay))));
  to->Accept({last_arrival_, faults_.split, std::move(bytes)});
  if (count < total && to->unread_ < window_) to->TellWriterOfRoom();
  if (written_ >= faults_.fin_after) ShutdownWrite();
  if (written_ >= faults_.reset_after) {
    to->AcceptReset();
    AcceptReset();
  }
  return {IoStatus::kDone, count};
}

void PipeTransport::ShutdownWrite() {
  if (std::exchange(fin_sent_, true)) return;
  if (PipeTransport* const to = peer()) to->AcceptFin();
}

void PipeTransport::Close(bool reset) {
  if (closed_) return;
  // As TCP does: closing over bytes that were not read is a reset.
  const bool abort = reset || unread_ > 0;
  closed_ = true;
  arrival_timer_.Cancel();
  if (PipeTransport* const to = peer()) {
    if (abort) {
      to->AcceptReset();
    } else if (!fin_sent_) {
      to->AcceptFin();
    }
  }
  fin_sent_ = true;
  MarkBroken();
}

void PipeTransport::Accept(Chunk chunk) {
  unread_ += chunk.bytes.size();
  under_way_.push_back(std::move(chunk));
  DeliverLater();
}

void PipeTransport::AcceptFin() {
  fin_under_way_ = true;
  DeliverLater();
}

/// Bytes under way are lost; what has arrived can still be read.
void PipeTransport::AcceptReset() {
  shard_.Post([wire = wire_, side = side_] {
    PipeTransport* const self = wire->ends[side];
    if (self == nullptr || self->closed_) return;
    for (const Chunk& chunk : self->under_way_) self->unread_ -= chunk.bytes.size();
    self->under_way_.clear();
    self->arrival_timer_.Cancel();
    self->fin_under_way_ = false;
    self->MarkHungUp(true);
  });
}

void PipeTransport::DeliverLater() {
  if (!under_way_.empty() && under_way_.front().arrival > shard_.now()) {
    arrival_timer_.Arm(shard_.timers(), under_way_.front().arrival);
    return;
  }
  shard_.Post([wire = wire_, side = side_] {
    if (PipeTransport* const self = wire->ends[side]) self->Deliver();
  });
}

/// Brings in what has had its time; MarkReady is the last act, since a watch may destroy us.
void PipeTransport::Deliver() {
  if (closed_ || broken_) return;
  bool news = false;
  while (!under_way_.empty() && under_way_.front().arrival <= shard_.now()) {
    std::string& bytes = under_way_.front().bytes;
    const bool split = under_way_.front().split;
    const size_t count = split ? 1 + random_.Below(bytes.size()) : bytes.size();
    arrived_.append(bytes, 0, count);
    bytes.erase(0, count);
    news = true;
    if (!bytes.empty()) break;
    under_way_.pop_front();
  }
  const bool fin = under_way_.empty() && std::exchange(fin_under_way_, false);
  if (fin) fin_arrived_ = true;
  if (!under_way_.empty()) DeliverLater();
  if (news || fin) MarkReady({.readable = true, .hung_up = fin});
}

void PipeTransport::TellWriterOfRoom() {
  PipeTransport* const writer = peer();
  if (writer == nullptr || !std::exchange(room_wanted_, false)) return;
  writer->shard_.Post([wire = wire_, side = writer->side_] {
    PipeTransport* const self = wire->ends[side];
    if (self != nullptr && !self->closed_) self->MarkWritable();
  });
}

}  // namespace rouse::net::testing
