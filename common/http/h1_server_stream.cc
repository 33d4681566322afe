#include "common/http/h1_server_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/http/h1_writer.h"

namespace rouse::http {

H1ServerStream::H1ServerStream(H1StreamOwner& owner)
    : owner_(owner),
      peer_{.address = owner.transport().peer_address(),
            .port = owner.transport().peer_port(),
            .local_port = owner.transport().local_port()},
      parser_(owner.options().head),
      reader_(owner.shard(), Side::kDownstream, owner.options().body),
      writer_(owner.shard(), Side::kDownstream, owner.options().body) {}

void H1ServerStream::StartWith(std::string_view bytes, net::Block block) {
  block_ = std::move(block);
  std::memmove(block_.data(), bytes.data(), bytes.size());
  used_ = bytes.size();
}

bool H1ServerStream::MakeRoom() {
  if (!block_) {
    block_ = owner_.shard().buffers().TakeSmall();
    return static_cast<bool>(block_);
  }
  if (used_ < block_.size()) return true;
  if (block_.size() == net::BufferPool::kLarge) return false;
  net::Block larger = owner_.shard().buffers().TakeLarge();
  if (!larger) return false;
  std::memcpy(larger.data(), block_.data(), used_);
  block_ = std::move(larger);
  return true;
}

ParseStep H1ServerStream::ReadHead() {
  if (used_ == parsed_) {
    if (!MakeRoom()) {
      peer_ended_ = true;  // no memory, or a head that its limits let grow beyond any block
      return ParseStep::kFailed;
    }
    const net::IoResult read = owner_.transport().Read(block_.span().subspan(used_));
    if (read.status == net::IoStatus::kMustWait) return ParseStep::kMore;
    if (read.status != net::IoStatus::kDone) {
      peer_ended_ = true;
      return ParseStep::kFailed;
    }
    used_ += read.bytes;
  }
  parsed_ = used_;
  return parser_.Parse(block_.span().first(used_), head_);
}

void H1ServerStream::OpenBody() {
  const size_t head = parser_.head_bytes();
  const std::string_view behind(block_.data() + head, used_ - head);
  reader_.Start(owner_.transport(), head_.body, head_.content_length, behind);
  // Whoever sends the body unasked is not told to go on.
  if (head_.expects_continue && behind.empty()) reader_.OnBeforeRead(&SayContinue, this);
}

void H1ServerStream::OpenRefused() {
  refused_ = close_after_ = true;
  reader_.Start(owner_.transport(), BodyKind::kNone, 0, {});
}

void H1ServerStream::SayContinue(void* self) {
  auto& stream = *static_cast<H1ServerStream*>(self);
  if (stream.writer_.begun()) return;
  (void)stream.writer_.WriteBare(stream.owner_.transport(), "HTTP/1.1 100 Continue\r\n\r\n");
}

net::Block H1ServerStream::TakeLeftoverBlock() {
  net::Block block = reader_.TakeBlock();
  if (block) return block;
  if (!parked_) return std::move(block_);
  return owner_.shard().buffers().TakeLarge();
}

Step H1ServerStream::TrySendInformational(const ResponseHead& head, const HeadPatch& patch) {
  if (head_.version == Version::kHttp10 || writer_.begun()) return Step::kDone;
  const std::span<char> out = owner_.shard().scratch();
  const size_t size = WriteResponseHead(head, patch, {}, out);
  return writer_.WriteBare(owner_.transport(), {out.data(), size});
}

/// How the body goes out: as long as it is known to be, else as the client's version can take it.
ResponseFraming H1ServerStream::FramingOf(const ResponseHead& head, size_t first, bool end) const {
  ResponseFraming framing;
  const bool to_head = head_.method == "HEAD";
  framing.length_is_told = to_head || head.status == 304;
  if (to_head || head.status == 204 || head.status == 304) return framing;
  framing.body = BodyKind::kLength;
  if (head.body == BodyKind::kLength) {
    framing.content_length = head.content_length;
  } else if (head.body != BodyKind::kNone && end) {
    framing.content_length = first;
  } else if (head.body != BodyKind::kNone) {
    framing.body = head_.version == Version::kHttp10 ? BodyKind::kUntilClose : BodyKind::kStreamed;
  }
  return framing;
}

bool H1ServerStream::MustClose() const {
  return close_after_ || !parser_.keep_alive() || owner_.last_request() || !reader_.ended();
}

Step H1ServerStream::TrySendHead(const ResponseHead& head, const HeadPatch& patch,
                                 std::string_view first, bool end) {
  waiting_ = false;
  const std::span<char> out = owner_.shard().scratch();
  ResponseFraming framing;
  BodyKind kind = BodyKind::kUntilClose;
  upgraded_ = head.status == 101;
  if (!upgraded_) {
    framing = FramingOf(head, first.size(), end);
    kind = framing.body;
    close_after_ = MustClose() || kind == BodyKind::kUntilClose;
    framing.close = close_after_;
    framing.keep_alive = !close_after_ && head_.version == Version::kHttp10;
  }
  const size_t size = WriteResponseHead(head, patch, framing, out);
  if (size == 0) {
    writer_.Cancel({ErrorKind::kInternal, Side::kLocal, false, "the response head is too long"});
    return Step::kFailed;
  }
  if (upgraded_) reader_.StartRaw(owner_.transport(), reader_.leftover());
  writer_.AllowTrailers(head_.accepts_trailers);
  return writer_.Begin(owner_.transport(), {out.data(), size}, kind, framing.content_length, first,
                       end);
}

size_t H1ServerStream::Park() {
  waiting_ = true;
  // The FIN may have come before: it counts from now on, and is told from the loop.
  if (gone()) owner_.TellGoneSoon();
  if (parked_) return parked_bytes_ + reader_.block_bytes();
  // A piece of the body is in the exchange's hands: the bytes stay where they are.
  if (reader_.bytes_read() > 0) return sizeof(*this) + block_.size() + reader_.block_bytes();
  const size_t head = parser_.head_bytes();
  const std::string_view behind = reader_.leftover();
  parked_ = std::make_unique<char[]>(head + behind.size());
  std::memcpy(parked_.get(), block_.data(), head);
  std::copy(behind.begin(), behind.end(), parked_.get() + head);
  MoveHead(head_, block_.data(), parked_.get());
  reader_.MoveBuffered(parked_.get() + head);
  block_.Release();
  parked_bytes_ = sizeof(*this) + head + behind.size() + head_.fields.heap_bytes();
  return parked_bytes_;
}

bool H1ServerStream::gone() const {
  const net::Transport& transport = owner_.transport();
  const bool half_closed =
      waiting_ && transport.hung_up() && !owner_.options().half_close_parked_keeps;
  return transport.broken() || half_closed;
}

void H1ServerStream::TellGone() {
  if (gone() && gone_watch_.told != nullptr) gone_watch_.told(gone_watch_.context);
}

void H1ServerStream::CancelRead(const Error& error) {
  reader_.Cancel(error);
  owner_.transport().InterruptRead();
}

void H1ServerStream::Finish(const Error& error) {
  gone_watch_ = {};
  using Ending = H1StreamOwner::Ending;
  if (!writer_.begun() || !writer_.ended()) {
    // Nothing was said, or only half: the client must not take it for a whole.
    const bool close = upgraded_ && error.ok();
    return owner_.EndExchange(close ? Ending::kClose : Ending::kReset);
  }
  if (upgraded_) return owner_.EndExchange(Ending::kClose);
  const bool unread = refused_ || !reader_.ended() || owner_.transport().readable();
  if (close_after_ || !error.ok() || !reader_.ended()) {
    return owner_.EndExchange(unread || !reader_.leftover().empty() ? Ending::kLinger
                                                                    : Ending::kClose);
  }
  owner_.EndExchange(Ending::kReuse);
}

}  // namespace rouse::http
