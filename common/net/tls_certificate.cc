#include "common/net/tls_certificate.h"

#include <algorithm>
#include <utility>

#include <absl/strings/str_cat.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace rouse::net {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(OCSP_RESPONSE* response) const { OCSP_RESPONSE_free(response); }
  void operator()(OCSP_BASICRESP* basic) const { OCSP_BASICRESP_free(basic); }
  void operator()(OCSP_CERTID* id) const { OCSP_CERTID_free(id); }
  void operator()(TLS_FEATURE* feature) const { TLS_FEATURE_free(feature); }
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

/// A key behind a password must not ask for it on the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

/// Seconds since 1970; nothing where the text is no time.
bool ToWall(const ASN1_TIME* time, WallTime* into) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return false;
  *into = std::chrono::system_clock::from_time_t(timegm(&parts));
  return true;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

std::string_view TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

/// RFC 7633: the certificate says that it is only good together with a staple.
bool MustStaple(const X509* leaf) {
  const Owned<TLS_FEATURE> feature(
      static_cast<TLS_FEATURE*>(X509_get_ext_d2i(leaf, NID_tlsfeature, nullptr, nullptr)));
  if (!feature) return false;
  for (int i = 0; i < sk_ASN1_INTEGER_num(feature.get()); ++i)
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(feature.get(), i)) == TLSEXT_TYPE_status_request)
      return true;
  return false;
}

}  // namespace

struct TlsCertificate::Parts {
  Owned<X509> leaf;
  Owned<STACK_OF(X509)> chain;
  Owned<EVP_PKEY> key;
};

TlsCertificate::TlsCertificate() : parts_(std::make_unique<Parts>()) {}
TlsCertificate::~TlsCertificate() = default;

absl::StatusOr<TlsCertificatePtr> TlsCertificate::Make(const Source& source, WallTime now) {
  if (source.chain_pem.size() > kCertificatePemMax || source.key_pem.size() > kCertificatePemMax)
    return Bad("certificate or key is too long");
  auto made = std::make_shared<TlsCertificate>();
  Parts& parts = *made->parts_;
  const Owned<BIO> certificates = Reader(source.chain_pem);
  parts.leaf.reset(PEM_read_bio_X509(certificates.get(), nullptr, &NoPassword, nullptr));
  if (!parts.leaf) return Bad("no certificate (PEM) found");
  parts.chain.reset(sk_X509_new_null());
  const X509* below = parts.leaf.get();
  while (X509* const next = PEM_read_bio_X509(certificates.get(), nullptr, &NoPassword, nullptr)) {
    sk_X509_push(parts.chain.get(), next);
    if (X509_check_issued(next, const_cast<X509*>(below)) != X509_V_OK)
      return Bad("the chain is not in order: each certificate must be issued by the next");
    below = next;
  }
  const Owned<BIO> key = Reader(source.key_pem);
  parts.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, &NoPassword, nullptr));
  if (!parts.key) return Bad("no private key (PEM, without a password) found");
  if (X509_check_private_key(parts.leaf.get(), parts.key.get()) != 1)
    return Bad("the key does not belong to the certificate");
  WallTime not_before{};
  if (!ToWall(X509_get0_notBefore(parts.leaf.get()), &not_before) ||
      !ToWall(X509_get0_notAfter(parts.leaf.get()), &made->not_after_))
    return Bad("the certificate's dates cannot be read");
  if (now >= made->not_after_) return Bad("the certificate has expired");
  if (now < not_before) return Bad("the certificate is not valid yet");
  made->key_kind_ = EVP_PKEY_get_base_id(parts.key.get());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(parts.leaf.get(), EVP_sha256(), digest, &size) != 1)
    return Bad("the certificate cannot be hashed");
  made->fingerprint_.assign(reinterpret_cast<const char*>(digest), size);
  if (absl::Status status = made->ReadNames(); !status.ok()) return status;
  if (absl::Status status = made->TakeStaple(source.staple_der, now); !status.ok()) return status;
  ERR_clear_error();  // the end of the PEM leaves an entry
  return TlsCertificatePtr(std::move(made));
}

absl::Status TlsCertificate::ReadNames() {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(parts_->leaf.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS && name->type != GEN_URI) continue;
    const std::string_view text = TextOf(name->d.ia5);
    if (text.find('\0') != std::string_view::npos)
      return Bad("a name of the certificate has a zero byte in it");
    if (name->type == GEN_DNS)
      names_.push_back(Lower(text));
    else if (uri_.empty())
      uri_ = text;
  }
  return absl::OkStatus();
}

absl::Status TlsCertificate::TakeStaple(const std::string& der, WallTime now) {
  if (der.empty()) {
    return MustStaple(parts_->leaf.get()) ? Bad("the certificate must be stapled, and is not")
                                          : absl::OkStatus();
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Owned<OCSP_RESPONSE> response(
      d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  if (!response || OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return Bad("the staple is no successful OCSP response (DER)");
  const Owned<OCSP_BASICRESP> basic(OCSP_response_get1_basic(response.get()));
  X509* const issuer = sk_X509_num(parts_->chain.get()) > 0 ? sk_X509_value(parts_->chain.get(), 0)
                                                            : parts_->leaf.get();
  const Owned<OCSP_CERTID> id(OCSP_cert_to_id(nullptr, parts_->leaf.get(), issuer));
  int status = 0;
  int reason = 0;
  ASN1_GENERALIZEDTIME* revoked = nullptr;
  ASN1_GENERALIZEDTIME* from = nullptr;
  ASN1_GENERALIZEDTIME* until = nullptr;
  if (!basic || !id ||
      OCSP_resp_find_status(basic.get(), id.get(), &status, &reason, &revoked, &from, &until) != 1)
    return Bad("the staple is not about this certificate");
  if (status != V_OCSP_CERTSTATUS_GOOD) return Bad("the staple does not say good");
  if (!ToWall(until, &staple_until_) || now >= staple_until_)
    return Bad("the staple is out of date");
  staple_ = der;
  return absl::OkStatus();
}

bool TlsCertificate::InstallIn(ssl_st* handshake) const {
  return SSL_use_cert_and_key(handshake, parts_->leaf.get(), parts_->key.get(), parts_->chain.get(),
                              1) == 1;
}

bool TlsCertificate::Is(const x509_st* certificate) const {
  return certificate != nullptr && X509_cmp(certificate, parts_->leaf.get()) == 0;
}

bool NameMatches(std::string_view pattern, std::string_view name) {
  if (pattern == name) return true;
  if (!pattern.starts_with("*.")) return false;
  const size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && name.substr(dot) == pattern.substr(1);
}

bool TlsIdentity::Covers(std::string_view host) const {
  for (const TlsCertificatePtr& certificate : certificates)
    for (const std::string& name : certificate->names())
      if (NameMatches(name, host)) return true;
  return false;
}

namespace {

bool Carries(const TlsCertificate& certificate, std::string_view wanted) {
  const std::vector<std::string>& names = certificate.names();
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return NameMatches(name, wanted); });
}

}  // namespace

TlsCertificates::TlsCertificates(const std::vector<Entry>& entries) {
  absl::flat_hash_map<std::string, std::shared_ptr<TlsIdentity>> building;
  const auto add = [](TlsIdentity& identity, const TlsCertificatePtr& certificate) {
    for (const TlsCertificatePtr& each : identity.certificates)
      if (each->key_kind() == certificate->key_kind()) return;
    identity.certificates.push_back(certificate);
    identity.digest += certificate->fingerprint();
  };
  for (const Entry& entry : entries) {
    for (const std::string& name : entry.names) {
      if (!Carries(*entry.certificate, name)) continue;
      std::shared_ptr<TlsIdentity>& identity = building[name];
      if (!identity) identity = std::make_shared<TlsIdentity>();
      add(*identity, entry.certificate);
    }
  }
  for (auto& [name, identity] : building) by_name_.emplace(name, std::move(identity));
  if (entries.empty()) return;
  const Entry& front = entries.front();
  if (!front.names.empty()) {
    const auto* const found = Find(front.names.front());
    if (found != nullptr) first_ = *found;
  }
  if (first_) return;
  const auto nameless = std::make_shared<TlsIdentity>();
  add(*nameless, front.certificate);
  first_ = nameless;
}

const std::shared_ptr<const TlsIdentity>* TlsCertificates::Find(std::string_view name) const {
  const absl::string_view exact(name.data(), name.size());
  if (const auto at = by_name_.find(exact); at != by_name_.end()) return &at->second;
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return nullptr;
  const std::string_view suffix = name.substr(dot);
  const std::string wildcard = absl::StrCat("*", absl::string_view(suffix.data(), suffix.size()));
  const auto at = by_name_.find(wildcard);
  return at == by_name_.end() ? nullptr : &at->second;
}

}  // namespace rouse::net
