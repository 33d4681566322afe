#include "common/http/h1_server.h"

#include <utility>

namespace rouse::http {

H1Server::H1Server(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                   StreamHandler& handler, const H1Options& options)
    : H1StreamOwner(shard, std::move(transport), options),
      handler_(handler),
      timer_(&OnTimer, this) {}

H1Server::~H1Server() = default;

void H1Server::Start() {
  transport_->OnReadable(&OnReadable, this);
  transport_->OnHangUp(&OnHangUp, this);
  GoIdle(options_.first_byte_timeout);
  if (transport_->readable()) Advance();
}

/// So new that its first request may still be on its way. While idle the timer is set to end it.
bool H1Server::Fresh() const {
  if (served_ > 0 || !timer_.armed()) return false;
  const TimePoint accepted = timer_.due() - options_.first_byte_timeout;
  return shard_.now() - accepted < options_.fresh_for;
}

void H1Server::OnReadable(void* self) {
  auto& server = *static_cast<H1Server*>(self);
  if (server.state_ == State::kIdle || server.state_ == State::kHead)
    server.Advance();
  else if (server.state_ == State::kLingering)
    server.Discard();
}

void H1Server::OnHangUp(void* self) {
  auto& server = *static_cast<H1Server*>(self);
  if (server.state_ == State::kExchange) server.stream_->TellGone();
}

void H1Server::OnTimer(void* self) {
  auto& server = *static_cast<H1Server*>(self);
  switch (server.state_) {
    case State::kIdle:
      if (std::exchange(server.resume_, false)) return server.Advance();
      return server.End(false);
    case State::kHead:
      if (std::exchange(server.resume_, false)) {
        server.timer_.Arm(server.shard_.timers(),
                          Later(server.shard_.now(), server.options_.head_timeout));
        return server.Advance();
      }
      if (!server.stream_->started()) return server.End(false);
      return server.Refuse(
          {ErrorKind::kHeadTimeout, Side::kDownstream, false, "the head took too long"});
    case State::kExchange:
      // Else it is left over from waiting: the exchange has deadlines of its own.
      if (std::exchange(server.resume_, false)) server.stream_->TellGone();
      return;
    case State::kLingering:
      return server.End(true);
    case State::kClosed:
      return server.handler_.OnConnectionClosed();  // the last act: it may destroy us
  }
}

/// Reads and parses until there is a request, or nothing more to read.
void H1Server::Advance() {
  if (!stream_) {
    stream_ = std::make_unique<H1ServerStream>(static_cast<H1StreamOwner&>(*this));
  }
  for (;;) {
    if (!stream_->holds_bytes() && !transport_->readable()) break;
    const ParseStep step = stream_->ReadHead();
    if (step == ParseStep::kDone) {
      state_ = State::kExchange;
      stream_->OpenBody();
      const RequestHead& head = stream_->head();
      if (head.body == BodyKind::kLength && head.content_length > options_.body.body_bytes_max) {
        return Refuse(
            {ErrorKind::kBodyTooLarge, Side::kDownstream, false, "the body is over the limit"});
      }
      return handler_.OnStream(*stream_);
    }
    if (step == ParseStep::kFailed) {
      if (stream_->peer_ended()) return End(false);  // mid-head too: there is nobody to answer
      if (served_ == 0 && LeavesHttp1()) return;
      return Refuse(stream_->error());
    }
    if (state_ == State::kIdle && stream_->held()) {
      // The absolute deadline of a head runs from its first byte.
      state_ = State::kHead;
      timer_.Arm(shard_.timers(), Later(shard_.now(), options_.head_timeout));
    }
  }
  if (state_ != State::kIdle) return;
  stream_.reset();
  if (!timer_.armed()) GoIdle(options_.keep_alive_timeout);
}

/// The first head of a connection was refused. It may be the preface of HTTP/2 (RFC 9113 section
/// 3.4), which goes to whoever speaks that; or no HTTP of any version, which gets no answer in one.
/// True: we are gone, or going.
bool H1Server::LeavesHttp1() {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";
  const std::string_view bytes = stream_->held_bytes();
  if (bytes.starts_with(kPreface) && handler_.OnPreface(transport_, bytes)) return true;
  const std::string_view line = bytes.substr(0, bytes.find_first_of("\r\n"));
  const bool like_http = line.find("HTTP/") != std::string_view::npos ||
                         line.find('/') != std::string_view::npos ||
                         line.find(' ') == std::string_view::npos;
  if (like_http) return false;
  End(false);
  return true;
}

void H1Server::Refuse(const Error& error) {
  state_ = State::kExchange;
  stream_->OpenRefused();
  handler_.OnBadRequest(*stream_, error);
}

void H1Server::EndExchange(Ending ending) {
  ++served_;
  if (ending == Ending::kReset) return End(true);
  if (ending == Ending::kClose) return End(false);
  if (ending == Ending::kLinger) return Linger();
  if (draining_) return End(false);
  const std::string_view leftover = stream_->leftover();
  if (leftover.empty()) {
    stream_.reset();
    GoIdle(options_.keep_alive_timeout);
    if (transport_->readable()) ResumeSoon();
    return;
  }
  // A pipelined request is gone on with from the loop, never from inside the exchange before it.
  net::Block block = stream_->TakeLeftoverBlock();
  if (!block) return End(true);
  auto next = std::make_unique<H1ServerStream>(static_cast<H1StreamOwner&>(*this));
  next->StartWith(leftover, std::move(block));
  stream_ = std::move(next);
  state_ = State::kHead;
  ResumeSoon();
}

/// The loop goes on with this connection in the next turn: a deadline in the past is not rounded up
/// to a whole tick.
void H1Server::ResumeSoon() {
  resume_ = true;
  timer_.Arm(shard_.timers(), shard_.now() - net::TimerWheel::kTick);
}

void H1Server::GoIdle(Duration timeout) {
  state_ = State::kIdle;
  resume_ = false;
  timer_.Arm(shard_.timers(), Later(shard_.now(), timeout));
}

/// The client may still be sending: closing now could reset the connection under the reply it has
/// not read.
void H1Server::Linger() {
  stream_.reset();
  state_ = State::kLingering;
  resume_ = false;
  lingered_ = 0;
  transport_->ShutdownWrite();
  timer_.Arm(shard_.timers(), Later(shard_.now(), options_.linger_timeout));
  if (transport_->readable()) Discard();
}

void H1Server::Discard() {
  while (transport_->readable()) {
    const net::IoResult read = transport_->Read(shard_.scratch());
    if (read.status == net::IoStatus::kMustWait) return;
    if (read.status != net::IoStatus::kDone) return End(false);
    lingered_ += static_cast<uint32_t>(read.bytes);
    if (lingered_ > options_.linger_bytes_max) return End(true);
  }
}

void H1Server::End(bool reset) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  resume_ = false;
  stream_.reset();
  transport_->OnReadable(nullptr, nullptr);
  transport_->OnHangUp(nullptr, nullptr);
  transport_->Close(reset);
  // The handler hears of it from the loop, whoever called us.
  timer_.Arm(shard_.timers(), shard_.now());
}

void H1Server::Drain() {
  draining_ = true;
  if (state_ == State::kIdle || (state_ == State::kHead && !stream_->started())) End(false);
}

void H1Server::Close() {
  if (state_ != State::kExchange) End(false);
}

}  // namespace rouse::http
