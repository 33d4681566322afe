#include "common/control/tcp.h"

#include <deque>
#include <set>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

namespace rouse::control {
namespace {
namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using Error = boost::system::error_code;
using TlsSocket = ssl::stream<tcp::socket>;

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kHandshakesMost = 256;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // when descriptors have run out

// A watch may be silent for hours; a dead peer must be found in half a minute.
constexpr int kKeepaliveIdleSeconds = 15;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr int kKeepaliveProbes = 3;
constexpr unsigned kUserTimeoutMs = 30'000;

void SetOptions(int socket) {
  const auto set = [socket](int level, int name, int value) {
    ::setsockopt(socket, level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(kUserTimeoutMs));
}

/// An IPv4 address in IPv6 clothes prints as IPv4.
std::string TextOf(const tcp::endpoint& endpoint) {
  asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  const std::string port = std::to_string(endpoint.port());
  return address.is_v6() ? "[" + address.to_string() + "]:" + port
                         : address.to_string() + ":" + port;
}

absl::Status Unavailable(const std::string& what, const Error& error) {
  return absl::UnavailableError(what + ": " + error.message());
}

// ---- an open connection -------------------------------------------------------------------------

/// What an operation under way needs, kept alive by it; the SocketStream may be gone by then.
template <typename Socket>
struct Inner {
  explicit Inner(Socket s) : socket(std::move(s)) {}
  Socket socket;
  bool cut = false;
  ByteStream::OnRead on_read;
  ByteStream::OnWrite on_write;
  std::vector<char> in = std::vector<char>(kReadBytes);
  std::string out;
};

void EndWriting(const std::shared_ptr<Inner<tcp::socket>>& inner) {
  Error ignored;
  inner->socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void EndWriting(const std::shared_ptr<Inner<TlsSocket>>& inner) {
  inner->socket.async_shutdown([inner](Error) {
    Error ignored;
    inner->socket.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
  });
}

std::string SubjectOf(tcp::socket&) { return {}; }

/// Who a certificate is for: its subject (RFC 2253); where that is empty, the first of its other
/// names.
bool PrintName(const X509* certificate, BIO* text) {
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  if (X509_NAME_entry_count(subject) > 0)
    return X509_NAME_print_ex(text, subject, 0, XN_FLAG_RFC2253) >= 0;
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  const bool some = sk_GENERAL_NAME_num(names) > 0 &&
                    GENERAL_NAME_print(text, sk_GENERAL_NAME_value(names, 0)) == 1;
  GENERAL_NAMES_free(names);
  return some;
}

std::string SubjectOf(TlsSocket& socket) {
  X509* certificate = SSL_get1_peer_certificate(socket.native_handle());
  if (certificate == nullptr) return {};
  std::string subject;
  BIO* text = BIO_new(BIO_s_mem());
  if (SSL_get_verify_result(socket.native_handle()) == X509_V_OK && text != nullptr &&
      PrintName(certificate, text)) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(text, &data);
    subject.assign(data, static_cast<size_t>(size));
  }
  BIO_free(text);
  X509_free(certificate);
  return subject;
}

template <typename Socket>
class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(Socket socket)
      : inner_(std::make_shared<Inner<Socket>>(std::move(socket))) {
    Error ignored;
    const auto& lowest = inner_->socket.lowest_layer();
    peer_ = TextOf(lowest.remote_endpoint(ignored));
    local_ = TextOf(lowest.local_endpoint(ignored));
  }

  ~SocketStream() override {
    inner_->cut = true;
    Error ignored;
    inner_->socket.lowest_layer().close(ignored);
    // Moved out first: what they own may look at this stream while it goes.
    const OnRead on_read = std::move(inner_->on_read);
    const OnWrite on_write = std::move(inner_->on_write);
  }

  void Read(OnRead on_read) override {
    inner_->on_read = std::move(on_read);
    inner_->socket.async_read_some(
        asio::buffer(inner_->in), [inner = inner_](Error error, size_t size) {
          if (inner->cut) return;
          OnRead told = std::move(inner->on_read);
          if (error == asio::error::eof) {
            told(absl::OkStatus(), {});
          } else if (error) {
            told(Unavailable("read", error), {});
          } else {
            told(absl::OkStatus(), std::string_view(inner->in.data(), size));
          }
        });
  }

  void Write(std::string data, OnWrite on_write) override {
    inner_->on_write = std::move(on_write);
    inner_->out = std::move(data);
    asio::async_write(inner_->socket, asio::buffer(inner_->out),
                      [inner = inner_](Error error, size_t) {
                        if (inner->cut) return;
                        OnWrite told = std::move(inner->on_write);
                        inner->out.clear();
                        told(error ? Unavailable("write", error) : absl::OkStatus());
                      });
  }

  void FinishWriting() override { EndWriting(inner_); }
  [[nodiscard]] std::string peer() const override { return peer_; }
  [[nodiscard]] std::string local() const override { return local_; }
  [[nodiscard]] std::string peer_subject() const override { return SubjectOf(inner_->socket); }

 private:
  std::shared_ptr<Inner<Socket>> inner_;
  std::string peer_;
  std::string local_;
};

// ---- dialling -----------------------------------------------------------------------------------

/// Resolving -> connecting to one address after another -> shaking hands -> told.
struct DialState : std::enable_shared_from_this<DialState> {
  DialState(AsioLoop& l, const Origin& o, TlsContext t, Duration timeout, OnDialed told)
      : loop(l),
        origin(o),
        tls(std::move(t)),
        deadline(Later(l.now(), timeout)),
        on_dialed(std::move(told)),
        resolver(l.io()) {}

  void Start() {
    Error error;
    const asio::ip::address address = asio::ip::make_address(origin.host, error);
    whole_timer = loop.At(deadline, [self = weak_from_this()] {
      if (const auto it = self.lock()) it->TimedOut();
    });
    if (!error) {
      addresses.emplace_back(address, origin.port);
      loop.Post([self = shared_from_this()] { self->Next(); });
      return;
    }
    resolver.async_resolve(
        origin.host, std::to_string(origin.port),
        [self = shared_from_this()](Error failed, const tcp::resolver::results_type& found) {
          if (self->done) return;
          if (failed) return self->End(Unavailable("resolve " + self->origin.host, failed));
          for (const auto& entry : found) self->addresses.push_back(entry.endpoint());
          self->Next();
        });
  }

  void Next() {
    if (done) return;
    if (addresses.empty()) return End(last_failure);
    const tcp::endpoint target = addresses.front();
    addresses.pop_front();
    socket = std::make_unique<tcp::socket>(loop.io());
    if (!addresses.empty()) {  // more to try: this one may have its share of the time only
      const Duration share = (deadline - loop.now()) / static_cast<int64_t>(addresses.size() + 1);
      loop.Cancel(share_timer);
      share_timer = loop.At(loop.now() + share, [self = weak_from_this()] {
        Error ignored;
        if (const auto it = self.lock(); it && it->socket) it->socket->close(ignored);
      });
    }
    socket->async_connect(target, [self = shared_from_this(), target](Error error) {
      if (self->done) return;
      self->loop.Cancel(self->share_timer);
      if (error) {
        self->last_failure = Unavailable("connect " + TextOf(target), error);
        return self->Next();
      }
      self->Connected();
    });
  }

  void Connected() {
    SetOptions(socket->native_handle());
    if (!tls) return End(std::make_unique<SocketStream<tcp::socket>>(std::move(*socket)));
    secure = std::make_unique<TlsSocket>(std::move(*socket), *tls);
    const absl::Status named = NameServer();
    if (!named.ok()) return End(named);
    secure->async_handshake(ssl::stream_base::client, [self = shared_from_this()](Error error) {
      if (self->done) return;
      if (error) return self->End(self->HandshakeFailed(error));
      self->End(std::make_unique<SocketStream<TlsSocket>>(std::move(*self->secure)));
    });
  }

  /// What the certificate must say (RFC 9525), and which one we would like (SNI, RFC 6066 section
  /// 3).
  absl::Status NameServer() {
    const ClientTls& options = *origin.tls;
    const std::string& name = options.server_name.empty() ? origin.host : options.server_name;
    SSL* native = secure->native_handle();
    Error error;
    asio::ip::make_address(name, error);
    const bool is_address = !error;
    X509_VERIFY_PARAM* rules = SSL_get0_param(native);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str())
                               : X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size());
    if (set != 1) return absl::InvalidArgumentError("tls: cannot verify the name " + name);
    if (!is_address) SSL_set_tlsext_host_name(native, name.c_str());
    return absl::OkStatus();
  }

  absl::Status HandshakeFailed(const Error& error) {
    std::string why = error.message();
    const long verified = SSL_get_verify_result(secure->native_handle());
    if (verified != X509_V_OK) why = X509_verify_cert_error_string(verified);
    return absl::UnavailableError("tls handshake with " + origin.host + ": " + why);
  }

  void TimedOut() {
    std::string message = "connect timeout: " + origin.host + ":" + std::to_string(origin.port);
    if (!last_failure.ok()) message += " (" + std::string(last_failure.message()) + ")";
    End(absl::DeadlineExceededError(message));
  }

  void End(absl::StatusOr<std::unique_ptr<ByteStream>> outcome) {
    OnDialed told = std::move(on_dialed);
    Cut();
    told(std::move(outcome));
  }

  void Cut() {
    done = true;
    loop.Cancel(whole_timer);
    loop.Cancel(share_timer);
    resolver.cancel();
    Error ignored;
    if (secure) secure->lowest_layer().close(ignored);
    if (socket) socket->close(ignored);
  }

  AsioLoop& loop;
  const Origin origin;
  const TlsContext tls;
  const TimePoint deadline;
  OnDialed on_dialed;
  tcp::resolver resolver;
  std::deque<tcp::endpoint> addresses;
  std::unique_ptr<tcp::socket> socket;
  std::unique_ptr<TlsSocket> secure;
  absl::Status last_failure = absl::UnavailableError("no address");
  TimerId whole_timer = 0;
  TimerId share_timer = 0;
  bool done = false;
};

class DialHandle final : public Dialing {
 public:
  explicit DialHandle(std::shared_ptr<DialState> state) : state_(std::move(state)) {}
  ~DialHandle() override {
    if (!state_->done) state_->Cut();
  }

 private:
  std::shared_ptr<DialState> state_;
};

// ---- accepting ----------------------------------------------------------------------------------

struct AcceptState : std::enable_shared_from_this<AcceptState> {
  AcceptState(AsioLoop& l, obs::Log& g, const ListenOptions& options, TlsContext t, OnAccepted told)
      : loop(l),
        log(g),
        handshake_timeout(options.head_timeout),
        tls(std::move(t)),
        tls_again(options.tls_again),
        tls_again_after(options.tls_again_after),
        tls_at(l.now()),
        on_accepted(std::move(told)),
        acceptor(l.io()) {}

  absl::Status Open(const std::string& host, uint16_t port) {
    const std::string where = host + ":" + std::to_string(port);
    Error error;
    const asio::ip::address address = asio::ip::make_address(host, error);
    if (error) return absl::FailedPreconditionError("listen on " + where + ": not an address");
    tcp::endpoint endpoint(address, port);
    acceptor.open(endpoint.protocol(), error);
    if (error == asio::error::address_family_not_supported &&
        address == asio::ip::address_v6::any()) {
      endpoint = tcp::endpoint(tcp::v4(), port);
      acceptor.open(endpoint.protocol(), error);
    }
    if (!error && endpoint.protocol() == tcp::v6())
      acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return absl::FailedPreconditionError("listen on " + where + ": " + error.message());
    return absl::OkStatus();
  }

  void Next() {
    acceptor.async_accept([self = shared_from_this()](Error error, tcp::socket socket) {
      if (self->closed) return;
      if (error) return self->Pause(error);
      self->Take(std::move(socket));
      if (!self->closed) self->Next();
    });
  }

  void Pause(const Error& error) {
    if (error != asio::error::connection_aborted) {
      log.Warn("accept_failed", {{"error", error.message()}});
    }
    loop.At(loop.now() + kAcceptPause, [self = weak_from_this()] {
      if (const auto it = self.lock(); it && !it->closed) it->Next();
    });
  }

  void Take(tcp::socket socket) {
    SetOptions(socket.native_handle());
    if (!tls) return on_accepted(std::make_unique<SocketStream<tcp::socket>>(std::move(socket)));
    if (handshakes.size() >= kHandshakesMost) return;
    if (tls_again && loop.now() - tls_at >= tls_again_after) RenewTls();
    const auto secure = std::make_shared<TlsSocket>(std::move(socket), *tls);
    handshakes.insert(secure);
    const TimerId timer =
        loop.At(Later(loop.now(), handshake_timeout), [self = weak_from_this(), secure] {
          Error ignored;
          secure->lowest_layer().close(ignored);
        });
    secure->async_handshake(
        ssl::stream_base::server, [self = shared_from_this(), secure, timer](Error error) {
          self->loop.Cancel(timer);
          self->handshakes.erase(secure);
          if (error || self->closed) return;
          self->on_accepted(std::make_unique<SocketStream<TlsSocket>>(std::move(*secure)));
        });
  }

  void RenewTls() {
    tls_at = loop.now();
    absl::StatusOr<ServerTls> given = tls_again();
    absl::StatusOr<TlsContext> made =
        given.ok() ? NewServerContext(*given) : absl::StatusOr<TlsContext>(given.status());
    if (made.ok()) {
      tls = *std::move(made);
      return;
    }
    log.Warn("certificate_refused",
             {{"error", made.status().ToString()}, {"kept", "the one in force"}});
  }

  void Close() {
    closed = true;
    Error ignored;
    acceptor.close(ignored);
    for (const auto& secure : handshakes) secure->lowest_layer().close(ignored);
  }

  AsioLoop& loop;
  obs::Log& log;
  const Duration handshake_timeout;
  TlsContext tls;
  const std::function<absl::StatusOr<ServerTls>()> tls_again;
  const Duration tls_again_after;
  TimePoint tls_at;
  OnAccepted on_accepted;
  tcp::acceptor acceptor;
  std::set<std::shared_ptr<TlsSocket>> handshakes;
  bool closed = false;
};

class AcceptHandle final : public Accepting {
 public:
  explicit AcceptHandle(std::shared_ptr<AcceptState> state) : state_(std::move(state)) {}
  ~AcceptHandle() override { state_->Close(); }
  [[nodiscard]] uint16_t port() const override {
    Error ignored;
    return state_->acceptor.local_endpoint(ignored).port();
  }

 private:
  std::shared_ptr<AcceptState> state_;
};

}  // namespace

std::unique_ptr<Dialing> Dial(AsioLoop& loop, const Origin& origin, TlsContext tls,
                              Duration timeout, OnDialed on_dialed) {
  auto state =
      std::make_shared<DialState>(loop, origin, std::move(tls), timeout, std::move(on_dialed));
  state->Start();
  return std::make_unique<DialHandle>(std::move(state));
}

absl::StatusOr<std::unique_ptr<Accepting>> Accept(AsioLoop& loop, obs::Log& log,
                                                  const ListenOptions& options, TlsContext tls,
                                                  OnAccepted on_accepted) {
  auto state =
      std::make_shared<AcceptState>(loop, log, options, std::move(tls), std::move(on_accepted));
  absl::Status opened = state->Open(options.host, options.port);
  if (!opened.ok()) return opened;
  state->Next();
  return std::make_unique<AcceptHandle>(std::move(state));
}

}  // namespace rouse::control
