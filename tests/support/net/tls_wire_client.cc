#include "tests/support/net/tls_wire_client.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/net/socket_address.h"

namespace rouse::net::testing {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Reader(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace

TlsWireClient::TlsWireClient(uint16_t port, const TlsWish& wish)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      context_(SSL_CTX_new(TLS_client_method())) {
  const SocketAddress to = SocketAddress::Loopback(port);
  // OpenSSL writes to its socket without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  // The kernel accepts by itself; only then the socket becomes non-blocking.
  CHECK(connect(socket_.get(), to.data(), to.size()) == 0);
  CHECK(fcntl(socket_.get(), F_SETFL, O_NONBLOCK) == 0);
  Configure(wish);
}

TlsWireClient::~TlsWireClient() {
  // Else OpenSSL takes the session for bad, and it could not be resumed.
  SSL_set_shutdown(tls_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(tls_);
  SSL_CTX_free(context_);
}

void TlsWireClient::Configure(const TlsWish& wish) {
  SSL_CTX_set_security_level(context_, 0);  // the server is to refuse, not we
  SSL_CTX_set_min_proto_version(context_, wish.version_least);
  SSL_CTX_set_max_proto_version(context_, wish.version_most);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, &OnSession);
  if (!wish.ciphers.empty()) CHECK(SSL_CTX_set_cipher_list(context_, wish.ciphers.c_str()) == 1);
  if (!wish.signatures.empty())
    CHECK(SSL_CTX_set1_sigalgs_list(context_, wish.signatures.c_str()) == 1);
  if (!wish.ca_pem.empty()) {
    const Owned<BIO> reader = Reader(wish.ca_pem);
    const Owned<X509> authority(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), authority.get());
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  }
  if (!wish.certificate_pem.empty()) {
    const Owned<BIO> reader = Reader(wish.certificate_pem);
    const Owned<BIO> key_reader = Reader(wish.key_pem);
    const Owned<X509> leaf(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
    const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_reader.get(), nullptr, nullptr, nullptr));
    CHECK(SSL_CTX_use_certificate(context_, leaf.get()) == 1);
    CHECK(SSL_CTX_use_PrivateKey(context_, key.get()) == 1);
  }
  tls_ = SSL_new(context_);
  SSL_set_app_data(tls_, this);
  SSL_set_info_callback(tls_, &OnInfo);
  SSL_set_fd(tls_, socket_.get());
  SSL_set_connect_state(tls_);
  if (!wish.server_name.empty()) SSL_set_tlsext_host_name(tls_, wish.server_name.c_str());
  if (wish.ask_staple) SSL_set_tlsext_status_type(tls_, TLSEXT_STATUSTYPE_ocsp);
  std::string wire;
  for (const std::string& protocol : wish.protocols)
    wire += static_cast<char>(protocol.size()) + protocol;
  if (!wire.empty())
    SSL_set_alpn_protos(tls_, reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned int>(wire.size()));
  if (wish.session) SSL_set_session(tls_, wish.session.get());
}

int TlsWireClient::OnSession(ssl_st* tls, ssl_session_st* session) {
  static_cast<TlsWireClient*>(SSL_get_app_data(tls))->session_ = {session, &SSL_SESSION_free};
  return 1;  // the reference is ours
}

void TlsWireClient::OnInfo(const ssl_st* tls, int where, int value) {
  if ((where & SSL_CB_ALERT) == 0 || (where & SSL_CB_READ) == 0) return;
  auto& client = *static_cast<TlsWireClient*>(SSL_get_app_data(tls));
  if ((value & 0xff) == SSL_AD_CLOSE_NOTIFY)
    client.notified_ = true;
  else
    client.alert_ = value & 0xff;
}

void TlsWireClient::Step() {
  ERR_clear_error();
  if (!raw_.empty()) {
    raw_only_ = true;
    const ssize_t sent = send(socket_.get(), raw_.data(), raw_.size(), MSG_NOSIGNAL);
    if (sent > 0) raw_.erase(0, static_cast<size_t>(sent));
  }
  if (raw_only_ && !established_) {
    char bytes[4096];
    const ssize_t got = recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got > 0) received_.append(bytes, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN)) ended_ = true;
    return;
  }
  if (failed_) return;
  if (!established_) {
    const int done = SSL_do_handshake(tls_);
    const int why = SSL_get_error(tls_, done);
    if (done == 1)
      established_ = true;
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
      failed_ = ended_ = true;
    if (!established_) return;
  }
  if (!unsent_.empty()) {
    size_t written = 0;
    if (SSL_write_ex(tls_, unsent_.data(), unsent_.size(), &written) == 1)
      unsent_.erase(0, written);
  }
  Pull();
}

void TlsWireClient::Pull() {
  char bytes[16384];
  for (;;) {
    size_t got = 0;
    ERR_clear_error();
    if (SSL_read_ex(tls_, bytes, sizeof bytes, &got) == 1) {
      received_.append(bytes, got);
      continue;
    }
    const int why = SSL_get_error(tls_, 0);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) ended_ = true;
    return;
  }
}

void TlsWireClient::UpdateKeys(size_t times) {
  for (size_t i = 0; i < times; ++i) {
    if (SSL_key_update(tls_, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return;
    if (SSL_do_handshake(tls_) != 1) return;
  }
}

void TlsWireClient::Renegotiate() {
  SSL_renegotiate(tls_);
  (void)SSL_do_handshake(tls_);
}

void TlsWireClient::End(bool notify) {
  if (notify) (void)SSL_shutdown(tls_);
  shutdown(socket_.get(), SHUT_WR);
}

size_t TlsWireClient::responses() const {
  size_t count = 0;
  for (size_t at = received_.find("HTTP/1.1 "); at != std::string::npos;
       at = received_.find("HTTP/1.1 ", at + 1))
    ++count;
  return count;
}

std::string TlsWireClient::version() const { return SSL_get_version(tls_); }
std::string TlsWireClient::cipher() const { return SSL_get_cipher_name(tls_); }
bool TlsWireClient::resumed() const { return SSL_session_reused(tls_) == 1; }

std::string TlsWireClient::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(tls_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool TlsWireClient::peer_is_rsa() const {
  X509* const certificate = SSL_get0_peer_certificate(tls_);
  return certificate != nullptr &&
         EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_RSA;
}

std::string TlsWireClient::peer_name() const {
  X509* const certificate = SSL_get0_peer_certificate(tls_);
  char name[256] = {};
  if (certificate != nullptr)
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
  return name;
}

uint32_t TlsWireClient::early_data_most() const {
  return SSL_SESSION_get_max_early_data(session_.get());
}

std::string TlsWireClient::staple() const {
  const unsigned char* bytes = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(tls_, &bytes);
  return size > 0 ? std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size))
                  : std::string();
}

}  // namespace rouse::net::testing
