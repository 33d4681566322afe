#include <algorithm>

#include "common/http/h1_body.h"

namespace rouse::http {

void H1BodyReader::Start(net::Transport& transport, BodyKind kind, uint64_t length,
                         std::string_view buffered) {
  transport_ = &transport;
  kind_ = kind;
  raw_ = false;
  left_ = kind == BodyKind::kLength ? length : 0;
  ended_ = kind == BodyKind::kNone || (kind == BodyKind::kLength && length == 0);
  bytes_read_ = 0;
  input_ = buffered;
  if (kind == BodyKind::kStreamed) decoder_.Reset();
  started_ = shard_.now();
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
  const bool some = ended_ && kind_ == BodyKind::kStreamed && decoder_.trailers().size() > 0;
  return some ? &decoder_.trailers() : nullptr;
}

Step H1BodyReader::TryRead(Piece& piece) {
  piece = {};
  if (!error_.ok()) return Step::kFailed;
  while (!ended_) {
    if (before_read_ != nullptr) {
      const BeforeRead told = std::exchange(before_read_, nullptr);
      told(before_read_context_);
    }
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

bool H1BodyReader::TakeChunk(Piece& piece) {
  size_t consumed = 0;
  ChunkDecoder::Step step = decoder_.Next(input_, consumed, piece.data);
  input_.remove_prefix(consumed);
  if (step == ChunkDecoder::Step::kFailed) {
    error_ = decoder_.error();
    return false;
  }
  ended_ = step == ChunkDecoder::Step::kEnd;
  if (step != ChunkDecoder::Step::kData) return false;
  // The end, where it has come along, is told with the last bytes: they can leave in one write.
  constexpr std::string_view kEnd = "\r\n0\r\n\r\n";
  if (input_.substr(0, kEnd.size()) == kEnd) {
    std::string_view none;
    step = decoder_.Next(input_.substr(0, kEnd.size()), consumed, none);
    if (step == ChunkDecoder::Step::kEnd) {
      input_.remove_prefix(consumed);
      ended_ = piece.end = true;
    } else if (step == ChunkDecoder::Step::kFailed) {
      error_ = decoder_.error();
      return false;
    }
  }
  return true;
}

/// Reads once into the block.
Step H1BodyReader::Fill() {
  if (!transport_->readable() && !transport_->broken()) {
    block_.Release();
    return Step::kMustWait;
  }
  const bool small = kind_ == BodyKind::kLength && left_ <= net::BufferPool::kSmall;
  if (!block_) block_ = small ? shard_.buffers().TakeSmall() : shard_.buffers().TakeLarge();
  if (!block_) return Fail(ErrorKind::kOverloaded, "no buffer is free");
  std::span<char> room = block_.span();
  if (kind_ == BodyKind::kLength && left_ < room.size())
    room = room.first(static_cast<size_t>(left_));
  const net::IoResult read = transport_->Read(room);
  switch (read.status) {
    case net::IoStatus::kDone:
      input_ = {room.data(), read.bytes};
      return Step::kDone;
    case net::IoStatus::kMustWait:
      block_.Release();
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

bool H1BodyReader::TooSlow() const {
  if (limits_.rate_least == 0 || kind_ != BodyKind::kLength || side_ != Side::kDownstream)
    return false;
  const Duration taken = shard_.now() - started_;
  if (taken <= limits_.rate_grace) return false;
  const double seconds = std::chrono::duration<double>(taken).count();
  return static_cast<double>(bytes_read_) < seconds * static_cast<double>(limits_.rate_least);
}

net::Task<Result<Piece>> H1BodyReader::Read(TimePoint deadline) {
  Piece piece;
  for (;;) {
    const Step step = TryRead(piece);
    if (step == Step::kDone) co_return piece;
    if (step == Step::kFailed) co_return error_;
    const TimePoint idle = raw_ ? kNever : Later(shard_.now(), limits_.read_idle_timeout);
    const net::Wake why = co_await transport_->WaitReadable(std::min(deadline, idle));
    if (why == net::Wake::kDeadline || TooSlow()) {
      const bool downstream = side_ == Side::kDownstream;
      Fail(downstream ? ErrorKind::kBodyTimeout : ErrorKind::kUpstreamTimeout,
           "no body bytes in time");
      co_return error_;
    }
  }
}

}  // namespace rouse::http
