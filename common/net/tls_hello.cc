#include "common/net/tls_hello.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "common/net/tls_callbacks.h"

namespace rouse::net {
namespace {

/// From the full handshake on, however often it was renewed since.
constexpr std::chrono::hours kTicketLifetime{24};

TlsHello& HelloOf(SSL* handshake) { return *static_cast<TlsHello*>(SSL_get_app_data(handshake)); }

bool IsHostNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/// Resumption is looked at after this, and compares the context that is set here.
bool SetSessionScope(SSL* handshake, const TlsHello& hello) {
  const std::string scope = hello.server->context->digest() + hello.identity->digest;
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(scope.data()), scope.size(), digest);
  return SSL_set_session_id_context(handshake, digest, sizeof digest) == 1;
}

int OnClientHello(SSL* handshake, int* alert, void*) {
  TlsHello& hello = HelloOf(handshake);
  const unsigned char* extension = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(handshake, TLSEXT_TYPE_server_name, &extension, &size) == 1) {
    std::optional<std::string> name =
        ParseServerName({reinterpret_cast<const char*>(extension), size});
    if (!name) {
      *alert = SSL_AD_ILLEGAL_PARAMETER;
      return SSL_CLIENT_HELLO_ERROR;
    }
    hello.server_name = *std::move(name);
  }
  const TlsCertificates& certificates = *hello.server->certificates;
  const auto* const found = certificates.Find(hello.server_name);
  if (found != nullptr)
    hello.identity = *found;
  else if (!hello.server->context->strict_names())
    hello.identity = certificates.first();
  if (!hello.identity) {
    hello.unknown_name = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (SetSessionScope(handshake, hello)) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

/// So that the server's hello acknowledges the name, and sessions remember it.
int OnServerName(SSL*, int*, void*) { return SSL_TLSEXT_ERR_OK; }

int OnCertificate(SSL* handshake, void*) {
  const TlsHello& hello = HelloOf(handshake);
  if (!hello.identity) return 0;
  bool some = false;
  for (const TlsCertificatePtr& certificate : hello.identity->certificates)
    some = certificate->InstallIn(handshake) || some;
  return some ? 1 : 0;
}

int OnProtocols(SSL* handshake, const unsigned char** chosen, unsigned char* size,
                const unsigned char* offered, unsigned int offered_size, void*) {
  const std::string& ours = HelloOf(handshake).server->context->protocols();
  unsigned char* match = nullptr;
  const int outcome =
      SSL_select_next_proto(&match, size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  *chosen = match;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int OnStatusRequest(SSL* handshake, void*) {
  const TlsHello& hello = HelloOf(handshake);
  if (!hello.identity) return SSL_TLSEXT_ERR_NOACK;
  const X509* const chosen = SSL_get_certificate(handshake);
  for (const TlsCertificatePtr& certificate : hello.identity->certificates) {
    if (!certificate->Is(chosen)) continue;
    const std::string_view staple = certificate->StapleAt(hello.clock->wall());
    if (staple.empty()) break;
    void* const copy = OPENSSL_memdup(staple.data(), staple.size());
    SSL_set_tlsext_status_ocsp_resp(handshake, copy, static_cast<long>(staple.size()));
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int64_t SecondsOf(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// The ticket remembers when the full handshake was.
int OnSealing(SSL* handshake, void*) {
  SSL_SESSION* const session = SSL_get_session(handshake);
  void* data = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(session, &data, &size);
  if (SSL_session_reused(handshake) == 1 && size == sizeof(int64_t)) return 1;
  const int64_t now = SecondsOf(HelloOf(handshake).clock->wall());
  return SSL_SESSION_set1_ticket_appdata(session, &now, sizeof now);
}

SSL_TICKET_RETURN OnOpened(SSL* handshake, SSL_SESSION* session, const unsigned char*, size_t,
                           SSL_TICKET_STATUS status, void*) {
  const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!opened) return SSL_TICKET_RETURN_IGNORE_RENEW;
  void* data = nullptr;
  size_t size = 0;
  int64_t since = 0;
  SSL_SESSION_get0_ticket_appdata(session, &data, &size);
  if (size != sizeof since) return SSL_TICKET_RETURN_IGNORE_RENEW;
  std::memcpy(&since, data, sizeof since);
  const std::chrono::seconds age(SecondsOf(HelloOf(handshake).clock->wall()) - since);
  if (age > kTicketLifetime) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

bool SetMacKey(EVP_MAC_CTX* mac, const TlsTicketKeys::Key& key) {
  std::array<uint8_t, 32> bytes = key.mac;
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes.data(), bytes.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/// Encrypt, then MAC (RFC 5077 section 4). 0: not our ticket; 2: ours, and to be renewed.
int OnTicket(SSL* handshake, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
             EVP_MAC_CTX* mac, int seal) {
  const TlsHello& hello = HelloOf(handshake);
  if (!hello.server->tickets) return 0;
  const TlsTicketKeys& keys = *hello.server->tickets;
  const WallTime now = hello.clock->wall();
  const TlsTicketKeys::Key current = keys.Sealing(now);
  if (seal == 1) {
    std::copy(current.name.begin(), current.name.end(), name);
    if (RAND_bytes(iv, 16) != 1) return -1;
    const bool ready =
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, current.cipher.data(), iv) == 1 &&
        SetMacKey(mac, current);
    return ready ? 1 : -1;
  }
  const std::optional<TlsTicketKeys::Key> key = keys.Opening(name, now);
  if (!key) return 0;
  if (!SetMacKey(mac, *key) ||
      EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) != 1)
    return -1;
  return key->name == current.name ? 1 : 2;
}

/// Counts what costs the receiver more than the sender.
void OnMessage(int written, int, int type, const void* bytes, size_t size, SSL* handshake, void*) {
  if (written == 1 || type != SSL3_RT_HANDSHAKE || size == 0) return;
  if (*static_cast<const unsigned char*>(bytes) != SSL3_MT_KEY_UPDATE) return;
  TlsHello& hello = HelloOf(handshake);
  if (hello.flooded()) return;
  const TimePoint now = hello.clock->now();
  if (now - hello.key_updates_from >= std::chrono::seconds(1)) {
    hello.key_updates = 0;
    hello.key_updates_from = now;
  }
  ++hello.key_updates;
}

}  // namespace

void InstallServerCallbacks(ssl_ctx_st* context) {
  SSL_CTX_set_client_hello_cb(context, &OnClientHello, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context, &OnServerName);
  SSL_CTX_set_cert_cb(context, &OnCertificate, nullptr);
  SSL_CTX_set_alpn_select_cb(context, &OnProtocols, nullptr);
  SSL_CTX_set_tlsext_status_cb(context, &OnStatusRequest);
  SSL_CTX_set_session_ticket_cb(context, &OnSealing, &OnOpened, nullptr);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &OnTicket);
  SSL_CTX_set_msg_callback(context, &OnMessage);
  SSL_CTX_set_timeout(context, std::chrono::seconds(kTicketLifetime).count());
}

void InstallClientCallbacks(ssl_ctx_st* context) { SSL_CTX_set_msg_callback(context, &OnMessage); }

void BindHello(ssl_st* handshake, TlsHello& hello) {
  SSL_set_app_data(handshake, &hello);
  if (!hello.server || hello.server->tickets) return;
  SSL_set_options(handshake, SSL_OP_NO_TICKET);
  SSL_set_num_tickets(handshake, 0);
}

bool IsHostName(std::string_view name) {
  constexpr size_t kNameMax = 253;
  if (name.empty() || name.size() > kNameMax || name.front() == '.') return false;
  if (!std::all_of(name.begin(), name.end(), &IsHostNameByte)) return false;
  // An IPv4 address ends in a number, which no name does; an IPv6 one has colons.
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return !std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::string> ParseServerName(std::string_view extension) {
  const auto number = [&](size_t at) {
    return static_cast<size_t>(static_cast<unsigned char>(extension[at])) << 8 |
           static_cast<unsigned char>(extension[at + 1]);
  };
  // ServerNameList: its length, then one entry: type host_name (0), length, name.
  if (extension.size() < 5 || number(0) != extension.size() - 2 || extension[2] != 0 ||
      number(3) != extension.size() - 5)
    return std::nullopt;
  std::string name(extension.substr(5));
  if (!name.empty() && name.back() == '.') name.pop_back();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!IsHostName(name)) return std::nullopt;
  return name;
}

}  // namespace rouse::net
