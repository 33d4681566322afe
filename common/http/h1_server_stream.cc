#include "common/http/h1_server_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/http/h1_writer.h"

namespace rouse::http {

H1ServerStream::Work::Work(H1StreamOwner& owner)
    : parser(owner.options().head, owner.transport().tls_peer() != nullptr
                                       ? RequestParser::Scheme::kHttps
                                       : RequestParser::Scheme::kHttp),
      reader(owner.shard(), Side::kDownstream, owner.options().body),
      writer(owner.shard(), Side::kDownstream, owner.options().body) {}

H1ServerStream::H1ServerStream(H1StreamOwner& owner)
    : owner_(owner),
      peer_{.address = owner.transport().peer_address(),
            .port = owner.transport().peer_port(),
            .local_port = owner.transport().local_port(),
            .tls = owner.transport().tls_peer() != nullptr,
            .tls_peer = owner.transport().tls_peer()},
      work_(std::make_unique<Work>(owner)) {}

void H1ServerStream::StartWith(std::string_view bytes, net::Block block) {
  block_ = std::move(block);
  std::memmove(block_.data(), bytes.data(), bytes.size());
  used_ = static_cast<uint32_t>(bytes.size());
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
    used_ += static_cast<uint32_t>(read.bytes);
  }
  parsed_ = used_;
  return work_->parser.Parse(block_.span().first(used_), head_);
}

void H1ServerStream::OpenBody() {
  head_bytes_ = static_cast<uint32_t>(work_->parser.head_bytes());
  keep_alive_ = work_->parser.keep_alive();
  StartBody({block_.data() + head_bytes_, used_ - head_bytes_});
}

void H1ServerStream::StartBody(std::string_view behind) {
  work_->reader.Start(owner_.transport(), head_.body, head_.content_length, behind);
  // Whoever sends the body unasked is not told to go on.
  if (head_.expects_continue && behind.empty()) work_->reader.OnBeforeRead(&SayContinue, this);
}

void H1ServerStream::OpenRefused() {
  refused_ = close_after_ = true;
  work_->reader.Start(owner_.transport(), BodyKind::kNone, 0, {});
}

void H1ServerStream::SayContinue(void* self) {
  auto& stream = *static_cast<H1ServerStream*>(self);
  if (stream.work_->writer.begun()) return;
  (void)stream.work_->writer.WriteBare(stream.owner_.transport(), "HTTP/1.1 100 Continue\r\n\r\n");
}

net::Block H1ServerStream::TakeLeftoverBlock() {
  net::Block block = work_->reader.TakeBlock();
  if (block) return block;
  if (!parked_) return std::move(block_);
  return owner_.shard().buffers().TakeLarge();
}

Step H1ServerStream::TrySendInformational(const ResponseHead& head, const HeadPatch& patch) {
  if (head_.version == Version::kHttp10 || work().writer.begun()) return Step::kDone;
  const std::span<char> out = owner_.shard().scratch();
  const size_t size = WriteResponseHead(head, patch, {}, out);
  return work_->writer.WriteBare(owner_.transport(), {out.data(), size});
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
  return close_after_ || !keep_alive_ || owner_.last_request() || !work_->reader.ended();
}

Step H1ServerStream::TrySendHead(const ResponseHead& head, const HeadPatch& patch,
                                 std::string_view first, bool end) {
  waiting_ = false;
  H1BodyReader& reader = work().reader;
  H1BodyWriter& writer = work().writer;
  const std::span<char> out = owner_.shard().scratch();
  ResponseFraming framing;
  BodyKind kind = BodyKind::kUntilClose;
  upgraded_ = head.status == 101;
  if (!upgraded_) {
    framing = FramingOf(head, first.size(), end);
    kind = framing.body;
    close_after_ = MustClose() || kind == BodyKind::kUntilClose;
    framing.close = close_after_;
    if (close_after_) writer.CloseAfter();
    framing.keep_alive = !close_after_ && head_.version == Version::kHttp10;
  }
  const size_t size = WriteResponseHead(head, patch, framing, out);
  if (size == 0) {
    writer.Cancel({ErrorKind::kInternal, Side::kLocal, false, "the response head is too long"});
    return Step::kFailed;
  }
  if (upgraded_) reader.StartRaw(owner_.transport(), reader.leftover());
  writer.AllowTrailers(head_.accepts_trailers);
  return writer.Begin(owner_.transport(), {out.data(), size}, kind, framing.content_length, first,
                      end);
}

size_t H1ServerStream::Park() {
  waiting_ = true;
  // The FIN may have come before: it counts from now on, and is told from the loop.
  if (gone()) owner_.TellGoneSoon();
  if (!work_) return parked_bytes();
  // A piece of the body is in the exchange's hands: the bytes stay where they are.
  if (work_->reader.bytes_read() > 0) return block_.size() + parked_bytes();
  if (!parked_) {
    const std::string_view behind = work_->reader.leftover();
    behind_bytes_ = static_cast<uint32_t>(behind.size());
    parked_ = std::make_unique<char[]>(head_bytes_ + behind.size());
    std::memcpy(parked_.get(), block_.data(), head_bytes_);
    std::copy(behind.begin(), behind.end(), parked_.get() + head_bytes_);
    MoveHead(head_, block_.data(), parked_.get());
    work_->reader.MoveBuffered(parked_.get() + head_bytes_);
    block_.Release();
  }
  // What an earlier attempt has begun to read cannot be begun again.
  if (!work_->reader.begun()) work_.reset();
  return parked_bytes();
}

size_t H1ServerStream::parked_bytes() const {
  const size_t work = work_ ? sizeof(Work) + work_->reader.block_bytes() : 0;
  return sizeof(*this) + work + head_bytes_ + behind_bytes_ + head_.fields.heap_bytes();
}

void H1ServerStream::Resume() {
  work_ = std::make_unique<Work>(owner_);
  StartBody({parked_.get() + head_bytes_, behind_bytes_});
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
  if (!work_) return;  // parked: nobody reads
  work_->reader.Cancel(error);
  owner_.transport().InterruptRead();
}

void H1ServerStream::Finish(const Error& error) {
  gone_watch_ = {};
  using Ending = H1StreamOwner::Ending;
  if (!head_sent() || !work_->writer.ended()) {
    // Nothing was said, or only half: the client must not take it for a whole.
    const bool close = upgraded_ && error.ok();
    return owner_.EndExchange(close ? Ending::kClose : Ending::kReset);
  }
  if (upgraded_) return owner_.EndExchange(Ending::kClose);
  const bool unread = refused_ || !work_->reader.ended() || owner_.transport().readable();
  if (close_after_ || !error.ok() || !work_->reader.ended()) {
    return owner_.EndExchange(unread || !work_->reader.leftover().empty() ? Ending::kLinger
                                                                          : Ending::kClose);
  }
  owner_.EndExchange(Ending::kReuse);
}

}  // namespace rouse::http
