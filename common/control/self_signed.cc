#include "common/control/self_signed.h"

#include <memory>

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace rouse::control {

namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

constexpr long kHour = 3600;
constexpr long kYear = 365 * 24 * kHour;

bool AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[8];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  uint64_t number = 0;
  for (unsigned char byte : bytes) number = number << 8 | byte;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1 | 1) == 1;
}

/// A certificate without its extensions and signature.
Certificate Blank(const char* common_name, EVP_PKEY* key, X509* issuer, WallTime now) {
  Certificate certificate(X509_new());
  const std::time_t at = std::chrono::system_clock::to_time_t(now);
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetSerial(certificate.get()) ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), at - kHour) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), at + kYear) == nullptr ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return nullptr;
  }
  X509_NAME* name = X509_get_subject_name(certificate.get());
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(common_name), -1, -1,
                                 0) != 1) {
    return nullptr;
  }
  X509_NAME* issuer_name = issuer == nullptr ? name : X509_get_subject_name(issuer);
  if (X509_set_issuer_name(certificate.get(), issuer_name) != 1) return nullptr;
  return certificate;
}

std::string AlternativeNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    unsigned char address[16];
    const bool ip = inet_pton(AF_INET, name.c_str(), address) == 1 ||
                    inet_pton(AF_INET6, name.c_str(), address) == 1;
    absl::StrAppend(&text, text.empty() ? "" : ",", ip ? "IP:" : "DNS:", name);
  }
  return text;
}

template <typename Write>
std::string Pem(Write write) {
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || write(bio.get()) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

absl::StatusOr<SelfSigned> MakeSelfSigned(const std::vector<std::string>& names, WallTime now) {
  absl::Status failed = absl::InternalError("cannot make a certificate");
  const Key ca_key(EVP_EC_gen("P-256"));
  const Key key(EVP_EC_gen("P-256"));
  if (ca_key == nullptr || key == nullptr) return failed;
  const Certificate ca = Blank("rouse local authority", ca_key.get(), nullptr, now);
  if (ca == nullptr ||
      !AddExtension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE") ||
      !AddExtension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(ca.get(), ca.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(ca.get(), ca_key.get(), EVP_sha256()) == 0) {
    return failed;
  }
  const Certificate server = Blank("rouse local server", key.get(), ca.get(), now);
  if (server == nullptr ||
      !AddExtension(server.get(), ca.get(), NID_subject_alt_name, AlternativeNames(names)) ||
      !AddExtension(server.get(), ca.get(), NID_ext_key_usage, "serverAuth") ||
      !AddExtension(server.get(), ca.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(server.get(), ca_key.get(), EVP_sha256()) == 0) {
    return failed;
  }
  SelfSigned made;
  made.ca_pem = Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, ca.get()); });
  made.certificate_pem = Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, server.get()); });
  made.key_pem = Pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (made.ca_pem.empty() || made.certificate_pem.empty() || made.key_pem.empty()) return failed;
  return made;
}

}  // namespace rouse::control
