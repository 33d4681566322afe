#include "common/http/h2_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rouse::http {
namespace {

/// Less than this in a whole write timeout is no progress (security.md A05, the drip).
constexpr size_t kProgressBytes = 1024;

}  // namespace

H2BodyReader::H2BodyReader(H2Stream& stream)
    : stream_(stream), arrived_(stream.connection().shard()) {}

bool H2BodyReader::buffered() const {
  return in_ && (in_->front.end - in_->front.begin > in_->in_hand || !in_->more.empty());
}

void H2BodyReader::Deliver(std::string_view bytes) {
  if (!error_.ok() || bytes.empty()) return;
  const H2StreamOwner& connection = stream_.connection();
  const Side side = connection.side();
  received_ += bytes.size();
  if (side == Side::kDownstream && received_ > connection.body_limits().body_bytes_max)
    return Fail({ErrorKind::kBodyTooLarge, side, false, "the body is over the limit"});
  if (!in_) in_ = std::make_unique<Buffers>();
  while (!bytes.empty()) {
    Buffer* back = in_->more.empty() ? &in_->front : &in_->more.back();
    if (back->room() == 0) {
      if (back->data() != nullptr) back = &in_->more.emplace_back();
      back->block = stream_.connection().shard().buffers().TakeSmall();
      if (!back->block)
        return Fail({ErrorKind::kOverloaded, Side::kLocal, false, "no buffer is free"});
    }
    const size_t part = std::min(bytes.size(), back->room());
    std::memcpy(back->data() + back->end, bytes.data(), part);
    back->end += part;
    bytes.remove_prefix(part);
  }
  arrived_.SignalWaiter();
}

void H2BodyReader::DeliverTrailers(const H2Block& block) {
  if (!trailers_) trailers_ = std::make_unique<H2Trailers>();
  ReadTrailers(block, trailers_->bytes, trailers_->fields);
}

void H2BodyReader::DeliverEnd() {
  ended_ = true;
  arrived_.SignalWaiter();
}

void H2BodyReader::Fail(const Error& error) {
  if (!error_.ok()) return;
  error_ = error;
  arrived_.SignalWaiter();
}

size_t H2BodyReader::Compact() {
  if (!in_) return 0;
  Buffer& front = in_->front;
  if (in_->in_hand > 0 || !in_->more.empty()) return front.block.size() * (1 + in_->more.size());
  const size_t size = front.end - front.begin;
  if (front.copy || size == 0) return size;
  auto copy = std::make_unique<char[]>(size);
  std::memcpy(copy.get(), front.data() + front.begin, size);
  front = {.block = {}, .copy = std::move(copy), .begin = 0, .end = size};
  return size;
}

void H2BodyReader::Clear() { in_.reset(); }

/// The piece in hand has been done with: its bytes may be sent again.
void H2BodyReader::Release() {
  const size_t bytes = in_ ? std::exchange(in_->in_hand, 0) : 0;
  if (bytes == 0) return;
  Buffer& front = in_->front;
  front.begin += bytes;
  if (!ended_ && !stream_.closed()) stream_.connection().Credit(stream_.id(), bytes);
  if (front.begin < front.end) return;
  if (in_->more.empty()) return in_.reset();
  front = std::move(in_->more.front());
  in_->more.erase(in_->more.begin());
}

Step H2BodyReader::TryRead(Piece& piece) {
  Release();
  if (buffered()) {
    const Buffer& front = in_->front;
    const std::string_view bytes(front.data() + front.begin, front.end - front.begin);
    in_->in_hand = bytes.size();
    bytes_read_ += bytes.size();
    piece = {.data = bytes, .end = ended_ && in_->more.empty()};
    return Step::kDone;
  }
  if (ended_) {
    piece = {.data = {}, .end = true};
    return Step::kDone;
  }
  if (!error_.ok()) return Step::kFailed;
  // Somebody wants it now: from here on the stream has its full window.
  H2StreamOwner& connection = stream_.connection();
  if (!std::exchange(raised_, true) && connection.side() == Side::kDownstream && !stream_.closed())
    connection.Raise(stream_.id());
  if (std::exchange(tells_, false)) stream_.BeforeRead();
  return Step::kMustWait;
}

/// As H1BodyReader: only waiting for the peer counts against its rate.
TimePoint H2BodyReader::WaitEnd(TimePoint deadline) const {
  if (patient_) return deadline;
  H2StreamOwner& connection = stream_.connection();
  const H1BodyLimits& limits = connection.body_limits();
  const TimePoint now = connection.shard().now();
  const TimePoint end = std::min(deadline, Later(now, limits.read_idle_timeout));
  if (connection.side() != Side::kDownstream) return end;
  return std::min(end, RateEnd(limits, now, bytes_read_, waited_));
}

net::Event::Awaiter H2BodyReader::BeginWait(TimePoint deadline) {
  wait_began_ = Now();
  if (settled()) arrived_.Signal();
  return arrived_.Wait(WaitEnd(deadline));
}

void H2BodyReader::EndWait(net::Wake why) {
  waited_ += Now() - wait_began_;
  if (why == net::Wake::kDeadline) Late();
}

TimePoint H2BodyReader::Now() const { return stream_.connection().shard().now(); }

void H2BodyReader::Late() {
  if (settled()) return;
  const Side side = stream_.connection().side();
  const bool downstream = side == Side::kDownstream;
  error_ = {downstream ? ErrorKind::kBodyTimeout : ErrorKind::kUpstreamTimeout, side, false,
            "no body bytes in time"};
}

const Trailers* H2BodyReader::trailers() const {
  const bool some = trailers_ && trailers_->fields.size() > 0 && ended_;
  return some ? &trailers_->fields : nullptr;
}

// ---- writer -------------------------------------------------------------------------------------

void H2BodyWriter::Begin(std::string_view first, bool last, bool open) {
  begun_ = true;
  open_ = open;
  ended_ = last || !open;
  data = open ? first : std::string_view();
  end = open && last;
  end_packed_ = false;
  bytes_written_ += data.size();
  moved_ = stream_.connection().shard().now();
}

Step H2BodyWriter::State() const {
  if (!error_.ok()) return Step::kFailed;
  return pending() ? Step::kMustWait : Step::kDone;
}

/// The codec has taken all that there was.
void H2BodyWriter::Packed() {
  end_packed_ = end;
  if (packed_ != nullptr) packed_->Signal();
}

void H2BodyWriter::Fail(const Error& error) {
  if (error_.ok()) error_ = error;
  data = {};
  if (packed_ != nullptr) packed_->Signal();
}

Step H2BodyWriter::TryWrite(std::string_view bytes, bool last) {
  if (!error_.ok()) return Step::kFailed;
  if (ended_ || !open_) return State();
  if (bytes.empty() && !last) return State();
  data = bytes;
  end = ended_ = last;
  bytes_written_ += bytes.size();
  moved_ = stream_.connection().shard().now();
  stream_.connection().Resume(stream_.id(), *this);
  if (pending() && error_.ok()) stream_.connection().BoundUnsent();
  return State();
}

Step H2BodyWriter::TryEnd(const Trailers& trailers) {
  if (!error_.ok()) return Step::kFailed;
  if (ended_ || !open_) return State();
  H2FieldList list(stream_.connection().shard().scratch());
  if (trailers_allowed_) WriteTrailers(trailers, list);
  if (list.fields().empty()) return TryWrite({}, true);
  ended_ = true;
  stream_.connection().Trailers(stream_.id(), list.fields());
  return State();
}

net::Task<Result<void>> H2BodyWriter::Flush(TimePoint deadline) {
  net::Shard& shard = stream_.connection().shard();
  TimePoint since = shard.now();
  size_t before = data.size();
  for (;;) {
    if (!error_.ok()) co_return error_;
    if (!pending()) co_return Result<void>();
    const TimePoint idle = Later(since, stream_.connection().body_limits().write_idle_timeout);
    net::Event packed(shard);
    packed_ = &packed;
    const net::Wake why = co_await packed.Wait(std::min(deadline, idle));
    packed_ = nullptr;
    if (!error_.ok() || !pending()) continue;
    if (why != net::Wake::kDeadline) continue;
    const bool progress = before - data.size() >= kProgressBytes;
    if (progress && shard.now() < deadline) {
      since = moved_ = shard.now();
      before = data.size();
      continue;
    }
    const Side side = stream_.connection().side();
    const bool downstream = side == Side::kDownstream;
    Fail({downstream ? ErrorKind::kDownstreamTimeout : ErrorKind::kUpstreamTimeout, side, false,
          "the peer does not read"});
  }
}

// ---- owner --------------------------------------------------------------------------------------

void H2StreamOwner::Credit(int32_t id, size_t bytes) {
  codec_.Consumed(id, bytes);
  Touch();
}

void H2StreamOwner::Raise(int32_t id) {
  if (limits_.window <= limits_.window_parked) return;
  codec_.RaiseWindow(id, limits_.window);
  Touch();
}

void H2StreamOwner::Resume(int32_t id, H2Outgoing& more) {
  failed_ = !codec_.Resume(id, more) || failed_;
  Touch();
}

void H2StreamOwner::Trailers(int32_t id, std::span<const H2Field> fields) {
  failed_ = !codec_.SubmitTrailers(id, fields) || failed_;
  Touch();
}

void H2StreamOwner::Respond(int32_t id, std::span<const H2Field> fields, H2Outgoing* more) {
  failed_ = !codec_.SubmitResponse(id, fields, more) || failed_;
  Touch();
}

void H2StreamOwner::Inform(int32_t id, std::span<const H2Field> fields) {
  failed_ = !codec_.SubmitInformational(id, fields) || failed_;
  Touch();
}

void H2StreamOwner::Reset(H2Stream& stream, H2Code code) {
  if (stream.closed_) return;
  codec_.Detach(stream.id_);
  stream.SetClosed();
  codec_.Reset(stream.id_, code);
  Touch();
}

int32_t H2StreamOwner::Request(H2Stream& stream, std::span<const H2Field> fields,
                               H2Outgoing* more) {
  const int32_t id = codec_.SubmitRequest(fields, more, stream);
  if (id == H2Codec::kNoStream) codec_.Terminate(H2Code::kInternal);
  Touch();
  return id;
}

// ---- stream -------------------------------------------------------------------------------------

H2Stream::H2Stream(H2StreamOwner& connection, int32_t id) : connection_(connection), id_(id) {}

H2Stream::~H2Stream() = default;

void H2Stream::Broken(const Error& error) {
  if (!reader().peer_ended()) reader().Fail(error);
  if (!writer().ended()) writer().Fail(error);
}

}  // namespace rouse::http
