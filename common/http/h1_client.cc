#include "common/http/h1_client.h"

#include <cstring>
#include <utility>

#include "common/http/h1_writer.h"
#include "common/net/tcp_transport.h"

namespace rouse::http {

/// The socket, and what is needed to speak on.
class H1Client::Carried final : public CarriedConnection {
 public:
  Carried(net::Descriptor socket, const net::SocketAddress& peer, const H1ClientOptions& options)
      : socket_(std::move(socket)), peer_(peer), options_(options) {}

  std::unique_ptr<ClientConnection> Attach(net::Shard& shard) override {
    auto transport = std::make_unique<net::TcpTransport>(shard, std::move(socket_), peer_,
                                                         net::TcpTransport::Origin::kCarried);
    return std::make_unique<H1Client>(shard, std::move(transport), options_);
  }

 private:
  net::Descriptor socket_;
  net::SocketAddress peer_;
  const H1ClientOptions& options_;
};

H1Client::H1Client(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                   const H1ClientOptions& options)
    : shard_(shard),
      transport_(std::move(transport)),
      options_(options),
      parser_(options.head),
      reader_(shard, Side::kUpstream, options.body),
      writer_(shard, Side::kUpstream, options.body) {
  transport_->OnReadable(&OnReadable, this);
}

H1Client::~H1Client() = default;

/// An idle connection that becomes readable has been closed by the pod, or says what nobody asked.
void H1Client::OnReadable(void* self) {
  auto& client = *static_cast<H1Client*>(self);
  if (client.state_ != State::kIdle) return;
  client.state_ = State::kUnusable;
  client.transport_->Close(false);
  if (client.watch_.told != nullptr) client.watch_.told(client.watch_.context, false);
}

ClientStream& H1Client::Open() {
  DCHECK(state_ == State::kIdle);
  state_ = State::kBusy;
  final_head_ = upgraded_ = false;
  informational_ = 0;
  used_ = begin_ = parsed_ = 0;
  error_ = {};
  parser_.Reset();
  writer_.Clear();
  return *this;
}

Step H1Client::TrySendHead(const RequestHead& head, const HeadPatch& patch, std::string_view first,
                           bool end) {
  to_head_ = head.method == "HEAD";
  upgrade_asked_ = !head.upgrade.empty();
  const std::span<char> out = shard_.scratch();
  const size_t size = WriteRequestHead(head, patch, out);
  if (size == 0) {
    writer_.Cancel({ErrorKind::kHeadTooLarge, Side::kLocal, false, "the request head is too long"});
    return Step::kFailed;
  }
  writer_.AllowTrailers(false);  // a pod has no way to say that it takes them
  return writer_.Begin(*transport_, {out.data(), size}, head.body, head.content_length, first,
                       end || head.body == BodyKind::kNone);
}

Result<const ResponseHead*> H1Client::TryReceiveHead() {
  for (;;) {
    if (!error_.ok()) return error_;
    const bool something = used_ > parsed_ || transport_->readable() || transport_->broken();
    const ParseStep step = something ? ReadHead() : ParseStep::kMore;
    if (step == ParseStep::kFailed) return error_;
    if (step == ParseStep::kDone) {
      const ParseStep judged = OnHead();
      if (judged == ParseStep::kFailed) return error_;
      if (judged == ParseStep::kDone) return &head_;
      continue;
    }
    if (!transport_->readable()) return nullptr;
  }
}

net::Event::Awaiter H1Client::BeginWait(TimePoint deadline) {
  return transport_->WaitReadable(deadline);
}

void H1Client::EndWait(net::Wake why) {
  if (why == net::Wake::kDeadline && error_.ok() && !transport_->readable())
    Fail(ErrorKind::kResponseStartTimeout, "no response in time");
}

ParseStep H1Client::Fail(ErrorKind kind, const char* detail) {
  error_ = {kind, Side::kUpstream, false, detail};
  return ParseStep::kFailed;
}

bool H1Client::MakeRoom() {
  if (!block_) {
    block_ = shard_.buffers().TakeSmall();
    return static_cast<bool>(block_);
  }
  if (used_ < block_.size()) return true;
  if (block_.size() == net::BufferPool::kLarge) return false;
  net::Block larger = shard_.buffers().TakeLarge();
  if (!larger) return false;
  std::memcpy(larger.data(), block_.data(), used_);
  block_ = std::move(larger);
  return true;
}

/// Reads at most once, and parses.
ParseStep H1Client::ReadHead() {
  if (used_ == parsed_) {
    if (!MakeRoom()) {
      const bool full = block_.size() == net::BufferPool::kLarge;
      return full ? Fail(ErrorKind::kUpstreamProtocol, "the response head is too long")
                  : Fail(ErrorKind::kOverloaded, "no buffer is free");
    }
    const net::IoResult read = transport_->Read(block_.span().subspan(used_));
    if (read.status == net::IoStatus::kMustWait) return ParseStep::kMore;
    if (read.status != net::IoStatus::kDone)
      return PeerEnded(read.status == net::IoStatus::kBroken);
    used_ += read.bytes;
  }
  parsed_ = used_;
  const ParseStep step =
      parser_.Parse(block_.span().subspan(begin_, used_ - begin_), to_head_, head_);
  if (step == ParseStep::kFailed) error_ = parser_.error();
  return step;
}

ParseStep H1Client::PeerEnded(bool broken) {
  if (used_ > begin_)
    return Fail(ErrorKind::kUpstreamReset, "the pod left inside its response head");
  Fail(ErrorKind::kUpstreamReset, broken ? "the pod reset the connection"
                                         : "the pod closed the connection without a response");
  // Certain only where not one byte of the request has left us.
  error_.retry_safe = writer_.untouched();
  return ParseStep::kFailed;
}

/// A whole head: kDone to hand it out, kMore to wait for the next one.
ParseStep H1Client::OnHead() {
  const size_t end = begin_ + parser_.head_bytes();
  const std::string_view behind(block_.data() + end, used_ - end);
  if (head_.status == 101) {
    if (!upgrade_asked_) return Fail(ErrorKind::kUpstreamProtocol, "a 101 that nobody asked for");
    const auto protocol = head_.fields.Find(HeaderId::kUpgrade);
    if (!protocol || !EqualsIgnoreCase(*protocol, "websocket")) {
      return Fail(ErrorKind::kUpstreamProtocol, "a 101 to another protocol");
    }
    upgraded_ = final_head_ = true;
    reader_.StartRaw(*transport_, behind);
    writer_.Clear();
    (void)writer_.Begin(*transport_, {}, BodyKind::kUntilClose, 0, {}, false);
    return ParseStep::kDone;
  }
  if (head_.status >= 200) {
    final_head_ = true;
    reader_.Start(*transport_, head_.body, head_.content_length, behind);
    return ParseStep::kDone;
  }
  if (++informational_ > kInformationalMax) {
    return Fail(ErrorKind::kUpstreamProtocol, "too many 1xx responses");
  }
  begin_ = end;
  parsed_ = end;
  parser_.Reset();
  // A 100 answers an Expect that was never forwarded: the client has had its own.
  return head_.status == 100 ? ParseStep::kMore : ParseStep::kDone;
}

void H1Client::Cancel(const Error& error) {
  if (!error_.ok()) return;
  error_ = error;
  reader_.Cancel(error);
  writer_.Cancel(error);
  transport_->Close(true);
}

bool H1Client::Reusable() const {
  return error_.ok() && reader_.error().ok() && writer_.error().ok() && final_head_ && !upgraded_ &&
         parser_.keep_alive() && writer_.ended() && reader_.ended() && reader_.leftover().empty() &&
         !transport_->readable() && !transport_->hung_up();
}

void H1Client::Finish() {
  const bool usable = Reusable();
  const bool cut = !reader_.ended() || !writer_.ended();
  reader_.Clear();
  block_.Release();
  if (usable) {
    state_ = State::kIdle;
  } else {
    state_ = State::kUnusable;
    transport_->Close(cut);
  }
  if (watch_.told != nullptr) watch_.told(watch_.context, usable);
}

void H1Client::Close() {
  if (state_ == State::kBusy) return;
  state_ = State::kUnusable;
  transport_->Close(false);
}

std::unique_ptr<CarriedConnection> H1Client::Detach() {
  if (state_ != State::kIdle || transport_->readable()) return nullptr;
  const auto peer = net::SocketAddress::Parse(transport_->peer_address(), transport_->peer_port());
  if (!peer) return nullptr;
  net::Descriptor socket = transport_->Detach();
  if (!socket) return nullptr;
  state_ = State::kUnusable;
  return std::make_unique<Carried>(std::move(socket), *peer, options_);
}

}  // namespace rouse::http
