#include "proxy/downstream/session.h"

#include <cstring>
#include <utility>

#include <arpa/inet.h>

#include "common/base/check.h"

namespace rouse::proxy {

Session::Session(Sessions& sessions, std::unique_ptr<net::Transport> transport)
    : sessions_(sessions), client_(Sessions::IdOf(transport->peer_address())) {
  // The one place that settles the protocol. HTTP/2 will be told by ALPN or by its preface, which
  // HTTP/1 refuses with 400 (security.md L11).
  http::StreamHandler& handler = *this;
  connection_ = std::make_unique<http::H1Server>(sessions.shard_, std::move(transport), handler,
                                                 sessions.options_.http1);
}

Session::~Session() = default;

void Session::OnStream(http::ServerStream& stream) {
  if (sessions_.newest_ != this) {
    sessions_.Unlink(*this);
    sessions_.Link(*this);
  }
  sessions_.exchanges_.Take().Start(stream);
}

void Session::OnBadRequest(http::ServerStream& stream, const Error& error) {
  sessions_.exchanges_.Take().StartRefused(stream, error);
}

void Session::OnConnectionClosed() { sessions_.Remove(*this); }

Sessions::Sessions(net::Shard& shard, const SessionOptions& options, ExchangePool& exchanges,
                   ShardStats& stats)
    : shard_(shard), options_(options), exchanges_(exchanges), stats_(stats) {}

Sessions::~Sessions() {
  while (oldest_ != nullptr) Remove(*oldest_);
}

Sessions::ClientId Sessions::IdOf(std::string_view address) {
  ClientId id{};
  char text[INET6_ADDRSTRLEN] = {};
  if (address.size() >= sizeof text) return id;
  std::memcpy(text, address.data(), address.size());
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, text, &v4) == 1) {
    id = {0, 0, 0xff, 0xff};
    std::memcpy(id.data() + 4, &v4, 4);
  } else if (inet_pton(AF_INET6, text, &v6) == 1) {
    std::memcpy(id.data(), &v6, id.size());  // the /64
  }
  return id;
}

void Sessions::Accept(std::unique_ptr<net::Transport> transport) {
  uint32_t& of_client = clients_[IdOf(transport->peer_address())];
  if (draining_ || (options_.per_client_max != 0 && of_client >= options_.per_client_max)) {
    if (of_client == 0) clients_.erase(IdOf(transport->peer_address()));
    stats_.connections_refused.Add();
    transport->Close(true);
    return;
  }
  const double pressure = options_.pressure_share * static_cast<double>(options_.connections_max);
  if (static_cast<double>(size_) >= pressure) CloseOldestIdle();
  ++of_client;
  ++size_;
  stats_.connections.Add();
  auto session = std::make_unique<Session>(*this, std::move(transport));
  Link(*session);
  session.release()->Start();  // linked: Remove deletes it
}

void Sessions::Link(Session& session) {
  session.previous_ = newest_;
  session.next_ = nullptr;
  (newest_ != nullptr ? newest_->next_ : oldest_) = &session;
  newest_ = &session;
}

void Sessions::Unlink(Session& session) {
  (session.previous_ != nullptr ? session.previous_->next_ : oldest_) = session.next_;
  (session.next_ != nullptr ? session.next_->previous_ : newest_) = session.previous_;
}

void Sessions::Remove(Session& session) {
  Unlink(session);
  --size_;
  const auto client = clients_.find(session.client_);
  if (--client->second == 0) clients_.erase(client);
  const std::unique_ptr<Session> gone(&session);
}

void Sessions::CloseOldestIdle() {
  for (Session* at = oldest_; at != nullptr; at = at->next_) {
    if (!at->idle()) continue;
    at->Close();
    // It goes from the loop; until then it must not be found again.
    Unlink(*at);
    Link(*at);
    return;
  }
}

void Sessions::Drain() {
  draining_ = true;
  for (Session* at = oldest_; at != nullptr;) std::exchange(at, at->next_)->Drain();
}

void Sessions::CloseAll() {
  for (Session* at = oldest_; at != nullptr;) std::exchange(at, at->next_)->Close();
}

void Sessions::CheckInvariants() const {
  size_t linked = 0;
  for (const Session* at = oldest_; at != nullptr; at = at->next_) {
    ++linked;
    CHECK(at->next_ != nullptr || newest_ == at);
  }
  CHECK(linked == size_);
  size_t counted = 0;
  for (const auto& [client, connections] : clients_) counted += connections;
  CHECK(counted == size_);
}

}  // namespace rouse::proxy
