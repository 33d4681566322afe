#include "proxy/downstream/session.h"

#include <cstring>
#include <utility>

#include <arpa/inet.h>

#include "common/base/check.h"
#include "common/http/h2_server.h"
#include "common/net/tls_peer.h"

namespace rouse::proxy {

http::H2Limits InternalLimits() {
  constexpr uint32_t kAny = 1u << 30;
  http::H2Limits limits;
  limits.resets_max = limits.window_updates_max = limits.empty_frames_max = kAny;
  limits.window_connection = 16 * 1024 * 1024;
  limits.unsent_bytes_max = 64 * 1024 * 1024;
  return limits;
}

Session::Session(Sessions& sessions, std::unique_ptr<net::Transport> transport,
                 const ListenerTraits& traits)
    : sessions_(sessions), traits_(traits), client_(Sessions::IdOf(transport->peer_address())) {
  if (!Opening::IsNeeded(*transport, traits)) {
    Connect(std::move(transport));
    return;
  }
  OpeningHandler& handler = *this;
  opening_ = std::make_unique<Opening>(sessions.shard_, sessions.pacer_, sessions.stats_, handler,
                                       std::move(transport), traits);
}

Session::~Session() = default;

void Session::Start() {
  if (connection_)
    connection_->Start();
  else
    opening_->Start();
}

void Session::Close() {
  if (connection_)
    connection_->Close();
  else
    opening_->Cancel();
}

bool Session::idle() const {
  if (connection_) return connection_->idle();
  return sessions_.shard_.now() - opening_->started() >= sessions_.options_.http1.fresh_for;
}

/// This and OnPreface are the places that settle the protocol.
void Session::Connect(std::unique_ptr<net::Transport> transport) {
  http::StreamHandler& handler = *this;
  const SessionOptions& options = sessions_.options_;
  const net::TlsPeer* const tls = transport->tls_peer();
  if (tls != nullptr && tls->protocol == "h2") {
    connection_ = std::make_unique<http::H2Server>(sessions_.shard_, std::move(transport), handler,
                                                   options.http1, options.http2);
  } else {
    connection_ = std::make_unique<http::H1Server>(sessions_.shard_, std::move(transport), handler,
                                                   options.http1);
  }
}

void Session::OnOpened(std::unique_ptr<net::Transport> transport) {
  const std::unique_ptr<Opening> over = std::move(opening_);  // the caller, whose last act this is
  // A PROXY header has told who the client is: it is that one's connections that are counted.
  const Sessions::ClientId client = Sessions::IdOf(transport->peer_address());
  if (client != client_) {
    if (!sessions_.CountFor(client)) {
      sessions_.Refused(transport->peer_address());
      return sessions_.Remove(*this);
    }
    sessions_.Uncount(client_);
    client_ = client;
  }
  Connect(std::move(transport));
  connection_->Start();
}

void Session::OnOpeningFailed() { sessions_.Remove(*this); }

void Session::OnStream(http::ServerStream& stream) {
  if (sessions_.newest_ != this) {
    sessions_.Unlink(*this);
    sessions_.Link(*this);
  }
  const net::TlsPeer* const tls = stream.peer().tls_peer;
  Exchange& exchange = sessions_.exchanges_.Take();
  if (traits_.internal) return exchange.StartHopped(stream);
  if (tls == nullptr && traits_.redirect_port != 0)
    return exchange.StartRedirect(stream, traits_.redirect_port);
  if (tls != nullptr && !tls->MayServe(stream.head().host))
    return exchange.StartRefused(
        stream, {ErrorKind::kMisdirected, Side::kDownstream, false, "another name was asked for"});
  exchange.Start(stream);
}

void Session::OnBadRequest(http::ServerStream& stream, const Error& error) {
  sessions_.exchanges_.Take().StartRefused(stream, error);
}

/// HTTP/2 by prior knowledge (RFC 9113 section 3.3), on the same port. Over TLS it is agreed by
/// ALPN or not spoken.
bool Session::OnPreface(std::unique_ptr<net::Transport>& transport, std::string_view bytes) {
  if (transport->tls_peer() != nullptr) return false;
  http::StreamHandler& handler = *this;
  const SessionOptions& options = sessions_.options_;
  auto server = std::make_unique<http::H2Server>(
      sessions_.shard_, std::move(transport), handler, options.http1,
      traits_.internal ? options.http2_internal : options.http2);
  http::H2Server& started = *server;
  // `bytes` lie in the old connection.
  const std::unique_ptr<http::ServerConnection> old = std::exchange(connection_, std::move(server));
  started.StartWith(bytes);
  if (sessions_.draining_) started.Drain();
  return true;
}

void Session::OnConnectionClosed() { sessions_.Remove(*this); }

Sessions::Sessions(net::Shard& shard, const SessionOptions& options, ExchangePool& exchanges,
                   ShardStats& stats, OnRefused on_refused)
    : shard_(shard),
      options_(options),
      exchanges_(exchanges),
      stats_(stats),
      on_refused_(std::move(on_refused)),
      pacer_(shard, stats) {}

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

void Sessions::Accept(std::unique_ptr<net::Transport> transport, const ListenerTraits& traits) {
  if (draining_) {
    stats_.connections_refused.Add();
    return transport->Close(true);
  }
  // Connections of a trusted proxy are counted once it has said whose they are; our own likes'
  // are no client's.
  const bool proxy = traits.internal || traits.proxies.Contains(transport->peer_address());
  const ClientId client = IdOf(transport->peer_address());
  if (proxy) {
    ++clients_[client];
  } else if (!CountFor(client)) {
    Refused(transport->peer_address());
    return transport->Close(true);
  }
  const double pressure = options_.pressure_share * static_cast<double>(options_.connections_max);
  if (static_cast<double>(size_) >= pressure) CloseOldestIdle();
  ++size_;
  stats_.connections.Add();
  auto session = std::make_unique<Session>(*this, std::move(transport), traits);
  Link(*session);
  session.release()->Start();  // linked: Remove deletes it
}

bool Sessions::CountFor(const ClientId& client) {
  uint32_t& count = clients_[client];
  if (options_.per_client_max != 0 && count >= options_.per_client_max) return false;
  ++count;
  return true;
}

void Sessions::Uncount(const ClientId& client) {
  const auto at = clients_.find(client);
  if (--at->second == 0) clients_.erase(at);
}

void Sessions::Refused(std::string_view client) {
  stats_.connections_refused.Add();
  if (!on_refused_ || shard_.now() < tell_again_) return;
  tell_again_ = Later(shard_.now(), kTellEvery);
  on_refused_(client);
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
  Uncount(session.client_);
  const std::unique_ptr<Session> gone(&session);
}

void Sessions::CloseOldestIdle() {
  for (int looked = 0; looked < kLookedAt && oldest_ != nullptr; ++looked) {
    Session& at = *oldest_;
    // In use, it has not been idle for longest. Closed, it goes from the loop; until then it must
    // not be found again.
    Unlink(at);
    Link(at);
    if (at.idle()) return at.Close();
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
