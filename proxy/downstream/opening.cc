#include "proxy/downstream/opening.h"

#include <utility>

#include "common/net/proxy_header.h"

namespace rouse::proxy {

Opening::Opening(net::Shard& shard, HandshakePacer& pacer, ShardStats& stats,
                 OpeningHandler& handler, std::unique_ptr<net::Transport> transport,
                 const ListenerTraits& traits)
    : shard_(shard),
      pacer_(pacer),
      stats_(stats),
      handler_(handler),
      traits_(traits),
      transport_(std::move(transport)),
      timer_(&OnTimer, this) {}

Opening::~Opening() { pacer_.Remove(*this); }

void Opening::Start() {
  transport_->OnReadable(&OnReadable, this);
  timer_.Arm(shard_.timers(), Later(shard_.now(), traits_.handshake_timeout));
  if (traits_.proxies.Contains(transport_->peer_address())) {
    state_ = State::kHeader;
    if (transport_->readable()) pacer_.Add(*this);
    return;
  }
  BeginTls();
}

void Opening::Cancel() {
  if (state_ == State::kOver) return;
  state_ = State::kLingering;
  pacer_.Remove(*this);
  timer_.Arm(shard_.timers(), shard_.now());
}

void Opening::OnReadable(void* self) {
  auto& opening = *static_cast<Opening*>(self);
  if (opening.state_ == State::kLingering) {
    // The client has read why, or has gone; the rest does not matter.
    if (opening.transport_->hung_up()) opening.Cancel();
    return;
  }
  opening.pacer_.Add(opening);
}

/// The time of a handshake is over, or that of a farewell.
void Opening::OnTimer(void* self) {
  auto& opening = *static_cast<Opening*>(self);
  if (opening.state_ == State::kHandshake) opening.stats_.tls_timeouts.Add();
  if (opening.state_ == State::kHeader) opening.stats_.proxy_headers_refused.Add();
  opening.End();
}

void Opening::OnTurn() {
  if (state_ == State::kHeader) return ReadHeader();
  if (state_ != State::kHandshake) return;
  switch (tls_->Handshake()) {
    case net::TlsTransport::Step::kMustWait:
      if (tls_->readable()) pacer_.Add(*this);
      return;
    case net::TlsTransport::Step::kDone:
      return Finish();
    case net::TlsTransport::Step::kFailed:
      stats_.tls_failures[static_cast<size_t>(tls_->failure())].Add();
      return Refuse();
  }
}

/// Exactly the header: what follows belongs to TLS, or to HTTP.
void Opening::ReadHeader() {
  for (;;) {
    const net::ProxyHeader header = net::ParseProxyHeader(header_);
    if (header.step == net::ProxyHeader::Step::kDone) {
      if (header.client) transport_->SetPeer(*header.client);
      header_ = {};
      return traits_.tls ? BeginTls() : Finish();
    }
    const size_t had = header_.size();
    net::IoResult read{net::IoStatus::kBroken, 0};
    if (header.step == net::ProxyHeader::Step::kMore) {
      if (!transport_->readable()) return;
      header_.resize(had + header.needs);
      read = transport_->Read(std::span(header_.data() + had, header.needs));
      header_.resize(had + read.bytes);
      if (read.status == net::IoStatus::kMustWait) return;
    }
    if (read.status != net::IoStatus::kDone) {
      stats_.proxy_headers_refused.Add();
      return End();
    }
  }
}

void Opening::BeginTls() {
  state_ = State::kHandshake;
  if (!traits_.server) return Cancel();
  transport_->OnReadable(nullptr, nullptr);
  auto tls = std::make_unique<net::TlsTransport>(shard_, std::move(transport_), traits_.server);
  tls_ = tls.get();
  transport_ = std::move(tls);
  transport_->OnReadable(&OnReadable, this);
  if (transport_->readable()) pacer_.Add(*this);
}

void Opening::Finish() {
  state_ = State::kOver;
  timer_.Cancel();
  transport_->OnReadable(nullptr, nullptr);
  if (tls_ != nullptr) {
    const net::TlsPeer& peer = *tls_->tls_peer();
    (peer.version == "TLSv1.3" ? stats_.tls_13 : stats_.tls_12).Add();
    if (peer.resumed) stats_.tls_resumed.Add();
  }
  handler_.OnOpened(std::move(transport_));  // the last act: it may destroy us
}

/// The alert is on its way: closing at once could overtake it by a reset.
void Opening::Refuse() {
  if (transport_->hung_up()) return End();
  state_ = State::kLingering;
  transport_->ShutdownWrite();
  timer_.Arm(shard_.timers(), Later(shard_.now(), kLinger));
}

void Opening::End() {
  state_ = State::kOver;
  timer_.Cancel();
  transport_->Close(false);
  handler_.OnOpeningFailed();  // the last act: it may destroy us
}

}  // namespace rouse::proxy
