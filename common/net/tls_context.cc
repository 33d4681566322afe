#include "common/net/tls_context.h"

#include <algorithm>
#include <cstring>

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/net/tls_callbacks.h"

namespace rouse::net {
namespace {

/// ECDHE with AEAD, 128 bits first: as strong as is needed, and the cheaper ones.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kSuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr int kSecurityLevel = 2;
constexpr int kChainDepthMost = 8;
/// A client's hello and certificates; OpenSSL's own default is 100 KiB.
constexpr long kHandshakeBytesMost = 64 * 1024;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

absl::Status Bad(std::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

Owned<BIO> Reader(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int NoPassword(char*, int, int, void*) { return 0; }

/// What both roles have in common.
bool SetCommon(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One read of the socket takes whole records, instead of a header and then its record.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, kHandshakeBytesMost);
  SSL_CTX_set_verify_depth(context, kChainDepthMost);
  SSL_CTX_set_default_passwd_cb(context, &NoPassword);
  return SSL_CTX_set_cipher_list(context, kCiphers) == 1 &&
         SSL_CTX_set_ciphersuites(context, kSuites) == 1;
}

/// Authorities into the store, and where `named` as those that clients are asked for.
absl::Status TakeAuthorities(SSL_CTX* context, const std::string& pem, bool named) {
  const Owned<BIO> reader = Reader(pem);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  bool some = false;
  while (
      const Owned<X509> authority{PEM_read_bio_X509(reader.get(), nullptr, &NoPassword, nullptr)}) {
    some = true;
    if (X509_STORE_add_cert(store, authority.get()) != 1 ||
        (named && SSL_CTX_add_client_CA(context, authority.get()) != 1))
      return Bad("an authority cannot be used");
  }
  ERR_clear_error();
  return some ? absl::OkStatus() : Bad("no authority (PEM) found");
}

absl::StatusOr<std::string> WireForm(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return Bad("a protocol's name is empty or too long");
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

std::string Sha256(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

}  // namespace

TlsServerContext::TlsServerContext() : context_(SSL_CTX_new(TLS_server_method())) {}
TlsServerContext::~TlsServerContext() { SSL_CTX_free(context_); }

absl::StatusOr<std::shared_ptr<const TlsServerContext>> TlsServerContext::Make(
    const TlsServerPolicy& policy) {
  auto made = std::make_shared<TlsServerContext>();
  SSL_CTX* const context = made->context_;
  if (context == nullptr || !SetCommon(context)) return Bad("OpenSSL lacks what we need");
  const bool modern = policy.profile == TlsProfile::kModern;
  SSL_CTX_set_min_proto_version(context, modern ? TLS1_3_VERSION : TLS1_2_VERSION);
  if (SSL_CTX_set1_groups_list(context, policy.groups.c_str()) != 1)
    return Bad("the groups are unknown");
  SSL_CTX_set_num_tickets(context, 1);
  if (policy.client_auth != TlsClientAuth::kNone) {
    if (policy.client_ca_pem.empty()) return Bad("client certificates need an authority");
    absl::Status status = TakeAuthorities(context, policy.client_ca_pem, true);
    if (!status.ok()) return status;
    const int must =
        policy.client_auth == TlsClientAuth::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | must, nullptr);
  }
  absl::StatusOr<std::string> protocols = WireForm(policy.protocols);
  if (!protocols.ok()) return protocols.status();
  made->protocols_ = *std::move(protocols);
  made->strict_names_ = policy.strict_names;
  made->digest_ =
      Sha256(absl::StrCat(policy.scope, "|", made->protocols_, "|",
                          static_cast<int>(policy.client_auth), "|", policy.client_ca_pem));
  InstallServerCallbacks(context);
  return std::shared_ptr<const TlsServerContext>(std::move(made));
}

TlsClientContext::TlsClientContext() : context_(SSL_CTX_new(TLS_client_method())) {}
TlsClientContext::~TlsClientContext() { SSL_CTX_free(context_); }

absl::StatusOr<std::shared_ptr<const TlsClientContext>> TlsClientContext::Make(
    const TlsClientPolicy& policy) {
  auto made = std::make_shared<TlsClientContext>();
  SSL_CTX* const context = made->context_;
  if (context == nullptr || !SetCommon(context)) return Bad("OpenSSL lacks what we need");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  made->server_name_ = policy.server_name;
  made->names_ = policy.names;
  made->verify_ = policy.verify;
  if (made->names_.empty() && !policy.server_name.empty()) made->names_ = {policy.server_name};
  if (policy.verify) {
    if (made->names_.empty()) return Bad("verifying needs a name to verify");
    if (policy.ca_pem.empty()) {
      if (SSL_CTX_set_default_verify_paths(context) != 1) return Bad("no system roots found");
    } else if (absl::Status status = TakeAuthorities(context, policy.ca_pem, false); !status.ok()) {
      return status;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (!policy.certificate_pem.empty()) {
    const Owned<BIO> certificates = Reader(policy.certificate_pem);
    const Owned<BIO> key_reader = Reader(policy.key_pem);
    const Owned<X509> leaf(PEM_read_bio_X509(certificates.get(), nullptr, &NoPassword, nullptr));
    const Owned<EVP_PKEY> key(
        PEM_read_bio_PrivateKey(key_reader.get(), nullptr, &NoPassword, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
      return Bad("our certificate cannot be used");
    while (X509* const next = PEM_read_bio_X509(certificates.get(), nullptr, &NoPassword, nullptr))
      SSL_CTX_add0_chain_cert(context, next);
    if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1)
      return Bad("our key does not belong to our certificate");
  }
  InstallClientCallbacks(context);
  ERR_clear_error();
  return std::shared_ptr<const TlsClientContext>(std::move(made));
}

namespace {

/// URIs are compared as bytes with their length, so that a zero byte hides nothing.
bool HasUri(X509* certificate, const std::string& uri) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const auto size = static_cast<size_t>(ASN1_STRING_length(name->d.ia5));
    if (size == uri.size() &&
        std::memcmp(ASN1_STRING_get0_data(name->d.ia5), uri.data(), size) == 0)
      return true;
  }
  return false;
}

}  // namespace

bool TlsClientContext::Accepts(x509_st* certificate) const {
  constexpr unsigned kFlags =
      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) {
    unsigned char address[16];
    if (name.find("://") != std::string::npos) return HasUri(certificate, name);
    if (inet_pton(AF_INET, name.c_str(), address) == 1 ||
        inet_pton(AF_INET6, name.c_str(), address) == 1)
      return X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
    return X509_check_host(certificate, name.data(), name.size(), kFlags, nullptr) == 1;
  });
}

}  // namespace rouse::net
