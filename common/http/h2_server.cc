#include "common/http/h2_server.h"

#include <algorithm>
#include <utility>

namespace rouse::http {
namespace {

H2Pace PaceOf(const H1Options& options) {
  return {.head_timeout = options.head_timeout,
          .write_idle_timeout = options.body.write_idle_timeout,
          .linger_timeout = options.linger_timeout,
          .linger_bytes_max = options.linger_bytes_max};
}

}  // namespace

H2Server::H2Server(net::Shard& shard, std::unique_ptr<net::Transport> transport,
                   StreamHandler& handler, const H1Options& options, const H2Limits& limits)
    : H2Connection(shard, std::move(transport), H2Codec::Role::kServer, limits, options.head,
                   options.body, PaceOf(options)),
      handler_(handler),
      options_(options),
      peer_{.address = transport_->peer_address(),
            .port = transport_->peer_port(),
            .local_port = transport_->local_port(),
            .tls = transport_->tls_peer() != nullptr,
            .tls_peer = transport_->tls_peer()},
      started_(shard.now()),
      idle_since_(shard.now()) {}

H2Server::~H2Server() = default;

void H2Server::StartWith(std::string_view first) { StartIo(first); }

bool H2Server::MayBegin() { return streams_ < limits_.streams_max && state_ == State::kOpen; }

H2Stream* H2Server::OnBlock(int32_t id, H2Stream* stream, const H2Block& block) {
  if (stream != nullptr) {
    stream->reader().DeliverTrailers(block);
    return stream;
  }
  auto made = std::make_unique<H2ServerStream>(static_cast<H2StreamOwner&>(*this), id, peer_);
  made->TakeRequest(block, options_);
  Link(*made);
  ids_end_ = ids_end_ || id > kIdLate;
  arrived_.push_back(made.get());
  return made.release();  // linked: Remove deletes it
}

/// What has arrived is handed out; what was reset meanwhile never was a request.
void H2Server::AfterReceive() {
  for (size_t i = 0; i < arrived_.size(); ++i) {
    H2ServerStream& stream = *arrived_[i];
    if (stream.closed()) {
      Remove(stream);
      continue;
    }
    ++served_;
    stream.HandOut();
    const Error& error = stream.bad();
    if (error.ok()) {
      handler_.OnStream(stream);
    } else {
      codec_.CountGlitch();
      handler_.OnBadRequest(stream, error);
    }
  }
  arrived_.clear();
  const bool noticed = notice_by_ != kNever && codec_.notice_acked();
  if (noticed) LastWord();
  if (served_ >= options_.requests_max || ids_end_) Drain();
}

/// Two steps, so that no request that is on its way is lost (RFC 9113 section 6.8).
void H2Server::Drain() {
  if (std::exchange(draining_, true) || state_ != State::kOpen) return;
  codec_.ShutdownNotice();
  notice_by_ = Later(shard_.now(), limits_.goaway_notice);
  Touch();
  Rearm();
}

void H2Server::LastWord() {
  notice_by_ = kNever;
  if (std::exchange(last_word_, true)) return;
  codec_.GoAway();
  Touch();
}

void H2Server::Close() {
  if (state_ != State::kOpen) return;
  draining_ = true;
  LastWord();
}

TimePoint H2Server::RoleDeadline() const {
  TimePoint due = notice_by_;
  if (!codec_.settings_acked()) due = std::min(due, Later(started_, limits_.settings_timeout));
  if (streams_ == 0) due = std::min(due, Later(idle_since_, options_.keep_alive_timeout));
  return due;
}

void H2Server::RolePassed() {
  const TimePoint now = shard_.now();
  if (!codec_.settings_acked() && now >= Later(started_, limits_.settings_timeout))
    return Fail(H2Code::kSettingsTimeout);
  if (last_word_) return End(false);  // idle for a whole keep-alive behind the last word
  LastWord();
  idle_since_ = now;
}

Error H2Server::BrokenBy(H2Code /*code*/) const {
  return {ErrorKind::kDownstreamClosed, Side::kDownstream, false, "the client left"};
}

void H2Server::Emptied() { idle_since_ = shard_.now(); }

}  // namespace rouse::http
