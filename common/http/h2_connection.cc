#include "common/http/h2_connection.h"

#include <algorithm>
#include <utility>

namespace rouse::http {

H2Connection::H2Connection(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                           H2Codec::Role role, const H2Limits& limits, const HeadLimits& head,
                           const H1BodyLimits& body, const H2Pace& pace)
    : H2StreamOwner(shard, role, limits, head, body, *this),
      TurnEnd(shard),
      transport_(std::move(transport)),
      pace_(pace),
      timer_(&OnTimer, this) {}

H2Connection::~H2Connection() {
  while (first_stream_ != nullptr) {
    const std::unique_ptr<H2Stream> left(first_stream_);
    first_stream_ = left->next_;
  }
}

void H2Connection::StartIo(std::string_view first) {
  transport_->OnHangUp(nullptr, nullptr);
  transport_->OnReadable(&OnReadable, this);
  transport_->OnWritable(&OnWritable, this);
  if (!first.empty()) Feed(first);
  Touch();
  if (transport_->readable()) RunSoon();
  Rearm();
}

void H2Connection::OnReadable(void* self) {
  auto& connection = *static_cast<H2Connection*>(self);
  connection.Read();
  connection.Rearm();
}

/// Up to kReadPerTurn bytes; what is left has its turn later.
void H2Connection::Read() {
  if (state_ == State::kLingering) return Discard();
  size_t left = kReadPerTurn;
  while (state_ == State::kOpen && transport_->readable() && left > 0) {
    const net::IoResult read = transport_->Read(shard_.scratch().first(left));
    if (read.status == net::IoStatus::kMustWait) break;
    if (read.status != net::IoStatus::kDone) return End(read.status == net::IoStatus::kBroken);
    left -= read.bytes;
    Feed({shard_.scratch().data(), read.bytes});
  }
  if (state_ == State::kOpen && transport_->readable()) run_soon_ = true;
}

void H2Connection::Feed(std::string_view bytes) {
  failed_ = !codec_.Receive(bytes, shard_.now()) || failed_;
  Stir();
  Touch();
  AfterReceive();
  if (any_to_tell_) TellGone();
}

void H2Connection::TellGone() {
  any_to_tell_ = false;
  for (H2Stream* at = first_stream_; at != nullptr;) {
    H2Stream& stream = *std::exchange(at, at->next_);
    if (std::exchange(stream.to_tell_, false)) stream.TellGone();
  }
}

void H2Connection::OnClosed(H2Stream& stream, H2Code code) {
  stream.SetClosed();
  const bool whole = stream.reader().peer_ended() && stream.writer().ended();
  if (whole) return;
  stream.Broken(BrokenBy(code));
  stream.to_tell_ = any_to_tell_ = true;
  RunSoon();
}

// ---- writing ------------------------------------------------------------------------------------

void H2Connection::Touch() {
  if (state_ == State::kOpen) Queue();
}

void H2Connection::OnTurnEnd() {
  if (state_ != State::kOpen) return;
  failed_ = !codec_.Pack() || failed_;
  Write();
  if (state_ == State::kOpen && failed_) {
    BreakStreams(H2Code::kProtocol);
    Linger();
  } else if (state_ == State::kOpen && codec_.over() && codec_.output().empty()) {
    BreakStreams(H2Code::kProtocol);
    Linger();
  }
  Rearm();
}

void H2Connection::Write() {
  const uint64_t stop = codec_.written_total() + kWritePerTurn;
  while (state_ == State::kOpen && !codec_.output().empty()) {
    if (!WriteOnce()) return;
    ResumeStarved();
    if (codec_.written_total() >= stop) {
      run_soon_ = !codec_.output().empty() || run_soon_;
      return;
    }
  }
  write_by_ = kNever;
}

/// False where the rest must wait, or the transport is gone.
bool H2Connection::WriteOnce() {
  const std::string_view out = codec_.output();
  const net::IoResult written = transport_->Write({&out, 1});
  if (written.status == net::IoStatus::kBroken) {
    End(true);
    return false;
  }
  const bool moved = written.status == net::IoStatus::kDone;
  if (moved) {
    codec_.Written(written.bytes);
    Stir();
  }
  if (moved && written.bytes == out.size()) return true;
  if (moved || write_by_ == kNever) write_by_ = Later(shard_.now(), pace_.write_idle_timeout);
  return false;
}

void H2Connection::ResumeStarved() {
  if (!codec_.TakeStarved()) return;
  for (H2Stream* at = first_stream_; at != nullptr; at = at->next_)
    if (at->writer_ && std::exchange(at->writer_->starved, false))
      failed_ = !codec_.Resume(at->id_, *at->writer_) || failed_;
}

void H2Connection::OnWritable(void* self) {
  auto& connection = *static_cast<H2Connection*>(self);
  if (connection.write_by_ != kNever) connection.Touch();
}

// ---- for the streams ----------------------------------------------------------------------------

void H2Connection::BoundUnsent() {
  const bool pressure = shard_.buffers().loaned_bytes() > shard_.limits().buffer_bytes_max / 2;
  const size_t most = pressure ? limits_.unsent_bytes_max / 4 : limits_.unsent_bytes_max;
  size_t unsent = 0;
  H2Stream* stalest = nullptr;
  for (H2Stream* at = first_stream_; at != nullptr; at = at->next_) {
    if (!at->writer_ || !at->writer_->pending()) continue;
    unsent += at->writer().data.size();
    if (stalest == nullptr || at->writer().moved() < stalest->writer().moved()) stalest = at;
  }
  if (unsent <= most || stalest == nullptr) return;
  Reset(*stalest, H2Code::kEnhanceYourCalm);
  stalest->writer().Fail({ErrorKind::kDownstreamTimeout, Side::kDownstream, false,
                          "too much waits for the client's window"});
}

void H2Connection::Link(H2Stream& stream) {
  ++streams_;
  stream.next_ = first_stream_;
  if (first_stream_ != nullptr) first_stream_->previous_ = &stream;
  first_stream_ = &stream;
}

void H2Connection::Remove(H2Stream& stream) {
  (stream.previous_ != nullptr ? stream.previous_->next_ : first_stream_) = stream.next_;
  if (stream.next_ != nullptr) stream.next_->previous_ = stream.previous_;
  if (!stream.closed_ && state_ == State::kOpen) codec_.Detach(stream.id_);
  delete &stream;
  if (--streams_ > 0) return;
  if (state_ == State::kClosed) return RunSoon();
  Touch();
  Emptied();
}

// ---- the end ------------------------------------------------------------------------------------

void H2Connection::Fail(H2Code code) {
  codec_.Terminate(code);
  Touch();
}

void H2Connection::BreakStreams(H2Code code) {
  for (H2Stream* at = first_stream_; at != nullptr; at = at->next_) {
    if (!at->closed_) codec_.Detach(at->id_);
    at->SetClosed();
    at->Broken(BrokenBy(code));
    at->to_tell_ = any_to_tell_ = true;
  }
  if (any_to_tell_) RunSoon();
  Ended();
}

/// The peer may still be sending: closing now could reset the connection under the GOAWAY.
void H2Connection::Linger() {
  state_ = State::kLingering;
  write_by_ = kNever;
  transport_->ShutdownWrite();
  linger_by_ = Later(shard_.now(), pace_.linger_timeout);
  if (transport_->readable()) Discard();
}

void H2Connection::Discard() {
  while (transport_->readable()) {
    const net::IoResult read = transport_->Read(shard_.scratch());
    if (read.status == net::IoStatus::kMustWait) return;
    if (read.status != net::IoStatus::kDone) return End(false);
    lingered_ += read.bytes;
    if (lingered_ > pace_.linger_bytes_max) return End(true);
  }
}

void H2Connection::End(bool reset) {
  if (state_ == State::kClosed) return;
  const bool open = std::exchange(state_, State::kClosed) == State::kOpen;
  transport_->OnReadable(nullptr, nullptr);
  transport_->OnWritable(nullptr, nullptr);
  if (open) BreakStreams(H2Code::kNoError);
  transport_->Close(reset);
  RunSoon();
}

// ---- time ---------------------------------------------------------------------------------------

void H2Connection::RunSoon() {
  run_soon_ = true;
  timer_.Arm(shard_.timers(), shard_.now() - net::TimerWheel::kTick);
}

void H2Connection::Rearm() {
  TimePoint due = kNever;
  if (run_soon_) {
    due = shard_.now() - net::TimerWheel::kTick;
  } else if (state_ == State::kLingering) {
    due = linger_by_;
  } else if (state_ == State::kOpen) {
    due = std::min({write_by_, quiet_by_, RoleDeadline()});
    if (codec_.block_since() != kNever)
      due = std::min(due, Later(codec_.block_since(), pace_.head_timeout));
  }
  timer_.Arm(shard_.timers(), due);
}

void H2Connection::OnTimer(void* self) {
  auto& connection = *static_cast<H2Connection*>(self);
  connection.run_soon_ = false;
  if (connection.any_to_tell_) connection.TellGone();
  if (connection.state_ == State::kClosed) {
    if (connection.streams_ == 0) return connection.Over();
    return;
  }
  if (connection.transport_->readable()) connection.Read();
  const TimePoint now = connection.shard_.now();
  if (connection.state_ == State::kLingering && now >= connection.linger_by_) connection.End(true);
  if (connection.state_ == State::kOpen) {
    if (now >= connection.quiet_by_) {
      connection.quiet_by_ = kNever;
      connection.codec_.ReleaseBuffers();
    }
    connection.Touch();
    if (now >= connection.write_by_) {
      connection.End(true);
    } else if (connection.codec_.block_since() != kNever &&
               now >= Later(connection.codec_.block_since(), connection.pace_.head_timeout)) {
      connection.Fail(H2Code::kEnhanceYourCalm);
    } else if (now >= connection.RoleDeadline()) {
      connection.RolePassed();
    }
  }
  connection.Rearm();
}

}  // namespace rouse::http
