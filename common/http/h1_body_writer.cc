#include <algorithm>
#include <cstring>

#include "common/http/h1_body.h"

namespace rouse::http {
namespace {

/// Up to this many bytes are copied next to their head: one send of one part is cheaper than a
/// gathered one.
constexpr size_t kCopyMax = 4096;
constexpr std::string_view kChunkEnd = "\r\n";
constexpr std::string_view kChunkEndAndLast = "\r\n0\r\n\r\n";
constexpr std::string_view kLast = "0\r\n\r\n";

}  // namespace

void H1BodyWriter::Clear() {
  begun_ = ended_ = trailers_allowed_ = closes_ = false;
  kind_ = BodyKind::kNone;
  left_ = bytes_written_ = sent_ = 0;
  prefix_ = data_ = suffix_ = {};
  error_ = {};
}

void H1BodyWriter::Cancel(const Error& error) {
  if (error_.ok()) error_ = error;
}

Step H1BodyWriter::Broken() {
  const bool downstream = side_ == Side::kDownstream;
  error_ = {downstream ? ErrorKind::kDownstreamClosed : ErrorKind::kUpstreamReset, side_,
            !downstream && untouched(),
            downstream ? "the client left" : "the pod closed the connection"};
  return Step::kFailed;
}

Step H1BodyWriter::WriteBare(net::Transport& transport, std::string_view bytes) {
  transport_ = &transport;
  if (!error_.ok()) return Step::kFailed;
  return Send(bytes, {}, {});
}

Step H1BodyWriter::Begin(net::Transport& transport, std::string_view head, BodyKind kind,
                         uint64_t length, std::string_view first, bool end) {
  transport_ = &transport;
  kind_ = kind;
  left_ = length;
  begun_ = true;
  ended_ = false;
  closes_ = closes_ || kind == BodyKind::kUntilClose;
  if (!error_.ok()) return Step::kFailed;
  return Write(head, first, end, kLast);
}

Step H1BodyWriter::TryWrite(std::string_view data, bool end) { return Write({}, data, end, kLast); }

Step H1BodyWriter::TryEnd(const Trailers& trailers) {
  if (kind_ != BodyKind::kStreamed || !trailers_allowed_) return Write({}, {}, true, kLast);
  last_chunk_.resize(ChunkDecoder::kTrailerBytesMax + 1024);
  last_chunk_.resize(WriteLastChunk(&trailers, last_chunk_));
  return Write({}, {}, true, last_chunk_.empty() ? kLast : std::string_view(last_chunk_));
}

/// Frames `data` by the kind of the body. `prefix` (a head) may lie at the start of the shard's
/// scratch.
Step H1BodyWriter::Write(std::string_view prefix, std::string_view data, bool end,
                         std::string_view last_chunk) {
  if (!error_.ok()) return Step::kFailed;
  if (ended_) return Step::kDone;
  if (kind_ == BodyKind::kNone) data = {};
  bytes_written_ += data.size();
  ended_ = end;
  if (kind_ == BodyKind::kLength) {
    if (data.size() > left_ || (end && data.size() < left_)) {
      error_ = {ErrorKind::kInternal, side_, false, "a body is not as long as its head said"};
      return Step::kFailed;
    }
    left_ -= data.size();
    ended_ = left_ == 0;
  }
  if (kind_ != BodyKind::kStreamed) return Send(prefix, data, {});
  if (data.empty()) return end ? Send(prefix, {}, last_chunk) : Send(prefix, {}, {});
  // The chunk's header goes behind the head, in the scratch.
  const std::span<char> scratch = shard_.scratch();
  if (!prefix.empty() && prefix.data() != scratch.data()) {
    std::memcpy(scratch.data(), prefix.data(), prefix.size());
  }
  std::array<char, kChunkHeaderMax> header{};
  const size_t size = WriteChunkHeader(data.size(), header);
  std::memcpy(scratch.data() + prefix.size(), header.data(), size);
  const std::string_view front(scratch.data(), prefix.size() + size);
  if (!end) return Send(front, data, kChunkEnd);
  if (last_chunk == kLast) return Send(front, data, kChunkEndAndLast);
  last_chunk_.insert(0, kChunkEnd);
  return Send(front, data, last_chunk_);
}

net::IoResult H1BodyWriter::WriteOut(std::span<const std::string_view> parts) {
  return ended_ && closes_ ? transport_->WriteLast(parts) : transport_->Write(parts);
}

Step H1BodyWriter::Send(std::string_view prefix, std::string_view data, std::string_view suffix) {
  if (pending()) {
    // A 1xx head may still be on its way: what follows joins it.
    kept_ = std::string(prefix_).append(data_).append(suffix_).append(prefix);
    prefix_ = kept_;
    data_ = data;
    suffix_ = suffix;
    return Step::kMustWait;
  }
  std::span<char> scratch = shard_.scratch();
  if (prefix.data() == scratch.data() && !prefix.empty() &&
      data.size() + suffix.size() <= kCopyMax && prefix.size() + kCopyMax <= scratch.size()) {
    char* end = scratch.data() + prefix.size();
    if (!data.empty()) end = static_cast<char*>(mempcpy(end, data.data(), data.size()));
    if (!suffix.empty()) std::memcpy(end, suffix.data(), suffix.size());
    prefix = {scratch.data(), prefix.size() + data.size() + suffix.size()};
    data = suffix = {};
    // Nearly every head: one part, and all of it goes.
    const net::IoResult wrote = WriteOut({&prefix, 1});
    if (wrote.status == net::IoStatus::kDone && wrote.bytes == prefix.size()) {
      sent_ += wrote.bytes;
      return Step::kDone;
    }
    return Sent(wrote, prefix, {}, {});
  }
  const std::array<std::string_view, 3> all = {prefix, data, suffix};
  std::array<std::string_view, 3> parts;
  size_t count = 0;
  size_t total = 0;
  for (const std::string_view part : all) {
    if (part.empty()) continue;
    parts[count++] = part;
    total += part.size();
  }
  if (total == 0) {
    if (ended_ && closes_) transport_->ShutdownWrite();
    return Step::kDone;
  }
  return Sent(WriteOut(std::span(parts.data(), count)), prefix, data, suffix);
}

/// Keeps what was not written.
Step H1BodyWriter::Sent(const net::IoResult& wrote, std::string_view prefix, std::string_view data,
                        std::string_view suffix) {
  if (wrote.status == net::IoStatus::kBroken) return Broken();
  const size_t done = wrote.status == net::IoStatus::kDone ? wrote.bytes : 0;
  sent_ += done;
  if (done == prefix.size() + data.size() + suffix.size()) return Step::kDone;
  // What is left of the caller's data stays where it is; the rest is ours to keep.
  size_t skip = done;
  const auto left = [&](std::string_view part) {
    const size_t gone = std::min(skip, part.size());
    skip -= gone;
    return part.substr(gone);
  };
  kept_ = left(prefix);
  prefix_ = kept_;
  data_ = left(data);
  suffix_ = left(suffix);
  return Step::kMustWait;
}

net::Task<Result<void>> H1BodyWriter::Flush(TimePoint deadline) {
  for (;;) {
    if (!error_.ok()) co_return error_;
    if (!pending()) co_return Result<void>();
    const TimePoint idle = Later(shard_.now(), limits_.write_idle_timeout);
    const net::Wake why = co_await transport_->WaitWritable(std::min(deadline, idle));
    if (!error_.ok()) co_return error_;
    if (why == net::Wake::kDeadline) {
      const bool downstream = side_ == Side::kDownstream;
      error_ = {downstream ? ErrorKind::kDownstreamTimeout : ErrorKind::kUpstreamTimeout, side_,
                false, "the peer does not read"};
      co_return error_;
    }
    const std::string_view data = std::exchange(data_, {});
    const std::string_view suffix = std::exchange(suffix_, {});
    const std::string prefix = std::exchange(kept_, {});
    prefix_ = {};
    const Step step = Send(prefix, data, suffix);
    if (step == Step::kFailed) co_return error_;
  }
}

}  // namespace rouse::http
