#include <algorithm>
#include <cstring>

#include "common/http/h1_body.h"

namespace rouse::http {
namespace {

/// Bounds the arithmetic of RateEnd.
constexpr uint64_t kEarnedSecondsMax = 1'000'000'000;

}  // namespace

void H1BodyReader::Start(net::Transport& transport, BodyKind kind, uint64_t length,
                         std::string_view buffered) {
  transport_ = &transport;
  kind_ = kind;
  raw_ = begun_ = false;
  left_ = kind == BodyKind::kLength ? length : 0;
  ended_ = kind == BodyKind::kNone || (kind == BodyKind::kLength && length == 0);
  bytes_read_ = 0;
  input_ = buffered;
  if (kind == BodyKind::kStreamed) {
    if (!decoder_) decoder_ = std::make_unique<ChunkDecoder>(side_);
    decoder_->Reset();
  }
  waited_ = {};
  before_read_ = nullptr;
  error_ = {};
}

void H1BodyReader::StartRaw(net::Transport& transport, std::string_view buffered) {
  Start(transport, BodyKind::kUntilClose, 0, buffered);
  raw_ = true;
}

void H1BodyReader::Clear() {
  ended_ = true;
  input_ = {};
  block_.Release();
  before_read_ = nullptr;
}

void H1BodyReader::Cancel(const Error& error) {
  if (error_.ok()) error_ = error;
}

Step H1BodyReader::Fail(ErrorKind kind, const char* detail) {
  error_ = {kind, side_, false, detail};
  return Step::kFailed;
}

const Trailers* H1BodyReader::trailers() const {
  const bool some = ended_ && kind_ == BodyKind::kStreamed && decoder_->trailers().size() > 0;
  return some ? &decoder_->trailers() : nullptr;
}

Step H1BodyReader::TryRead(Piece& piece) {
  piece = {};
  begun_ = true;
  if (!error_.ok()) return Step::kFailed;
  while (!ended_) {
    if (!input_.empty() && TakeInput(piece)) {
      bytes_read_ += piece.data.size();
      if (bytes_read_ > limits_.body_bytes_max && !raw_) {
        return Fail(ErrorKind::kBodyTooLarge, "the body is over the limit");
      }
      return Step::kDone;
    }
    if (!error_.ok()) return Step::kFailed;
    if (ended_) break;
    const Step step = Fill();
    if (step != Step::kDone) return step;
  }
  piece.end = true;
  return Step::kDone;
}

/// A piece of what has been read; false where there was only framing.
bool H1BodyReader::TakeInput(Piece& piece) {
  if (kind_ == BodyKind::kStreamed) return TakeChunk(piece);
  size_t take = input_.size();
  if (kind_ == BodyKind::kLength) {
    take = static_cast<size_t>(std::min<uint64_t>(left_, take));
    left_ -= take;
    ended_ = left_ == 0;
  }
  piece.data = input_.substr(0, take);
  piece.end = ended_;
  input_.remove_prefix(take);
  return true;
}

/// All the data of the chunks that are there, joined where they lie, so that small chunks do not
/// make small writes. The end, where it has come along, is told with the last bytes.
bool H1BodyReader::TakeChunk(Piece& piece) {
  for (;;) {
    size_t consumed = 0;
    std::string_view data;
    const ChunkDecoder::Step step = decoder_->Next(input_, consumed, data);
    input_.remove_prefix(consumed);
    if (step == ChunkDecoder::Step::kFailed) {
      error_ = decoder_->error();
      return false;
    }
    if (step == ChunkDecoder::Step::kData) {
      if (piece.data.empty()) {
        piece.data = data;
      } else {
        // The bytes are ours: in our block, the head's, or the parked copy.
        std::memmove(const_cast<char*>(piece.data.data()) + piece.data.size(), data.data(),
                     data.size());
        piece.data = {piece.data.data(), piece.data.size() + data.size()};
      }
    }
    ended_ = piece.end = step == ChunkDecoder::Step::kEnd;
    if (ended_ || input_.empty()) return ended_ || !piece.data.empty();
  }
}

void H1BodyReader::TellBeforeRead() {
  const BeforeRead told = std::exchange(before_read_, nullptr);
  if (told != nullptr) told(before_read_context_);
}

/// Reads once into the block. A short read of more room than the body needs tells the transport
/// that there is nothing more; what comes beyond the body is leftover().
Step H1BodyReader::Fill() {
  if (!transport_->readable() && !transport_->broken()) {
    block_.Release();
    TellBeforeRead();
    return Step::kMustWait;
  }
  const bool small = kind_ == BodyKind::kLength && left_ < net::BufferPool::kSmall;
  if (!block_) block_ = small ? shard_.buffers().TakeSmall() : shard_.buffers().TakeLarge();
  if (!block_) return Fail(ErrorKind::kOverloaded, "no buffer is free");
  const net::IoResult read = transport_->Read(block_.span());
  switch (read.status) {
    case net::IoStatus::kDone:
      input_ = {block_.data(), read.bytes};
      return Step::kDone;
    case net::IoStatus::kMustWait:
      block_.Release();
      TellBeforeRead();
      return Step::kMustWait;
    case net::IoStatus::kEnd:
      return EndOfInput(false);
    case net::IoStatus::kBroken:
      return EndOfInput(true);
  }
  return Step::kFailed;
}

Step H1BodyReader::EndOfInput(bool broken) {
  block_.Release();
  if (kind_ == BodyKind::kUntilClose && !broken) {
    ended_ = true;
    return Step::kDone;
  }
  if (side_ == Side::kDownstream) {
    return Fail(ErrorKind::kDownstreamClosed, "the client left inside its body");
  }
  return Fail(ErrorKind::kUpstreamTruncated, "the pod left inside its body");
}

TimePoint RateEnd(const H1BodyLimits& limits, TimePoint now, uint64_t bytes, Duration waited) {
  if (limits.rate_least == 0) return kNever;
  const auto earned =
      std::chrono::seconds(std::min<uint64_t>(bytes / limits.rate_least, kEarnedSecondsMax));
  const Duration allowed = std::max<Duration>(limits.rate_grace, earned);
  return Later(now, std::max(allowed - waited, Duration::zero()));
}

/// When to give up a wait that begins now. Only waiting for the peer counts against its rate: not
/// the time while we were parked, or while the other side did not take what we had.
TimePoint H1BodyReader::WaitEnd(TimePoint deadline) const {
  if (raw_) return deadline;
  const TimePoint end = std::min(deadline, Later(shard_.now(), limits_.read_idle_timeout));
  if (side_ != Side::kDownstream) return end;
  return std::min(end, RateEnd(limits_, shard_.now(), bytes_read_, waited_));
}

net::Event::Awaiter H1BodyReader::BeginWait(TimePoint deadline) {
  wait_began_ = shard_.now();
  return transport_->WaitReadable(WaitEnd(deadline));
}

void H1BodyReader::EndWait(net::Wake why) {
  waited_ += shard_.now() - wait_began_;
  if (why != net::Wake::kDeadline || !error_.ok()) return;
  const bool downstream = side_ == Side::kDownstream;
  Fail(downstream ? ErrorKind::kBodyTimeout : ErrorKind::kUpstreamTimeout, "no body bytes in time");
}

}  // namespace rouse::http
