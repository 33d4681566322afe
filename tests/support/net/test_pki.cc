#include "tests/support/net/test_pki.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"

namespace rouse::net::testing {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(OCSP_BASICRESP* basic) const { OCSP_BASICRESP_free(basic); }
  void operator()(OCSP_RESPONSE* response) const { OCSP_RESPONSE_free(response); }
  void operator()(ASN1_TIME* time) const { ASN1_TIME_free(time); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

void AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

Owned<X509> Blank(const std::string& name, EVP_PKEY* key, X509* issuer, long from, long until) {
  static long serial = 1000;
  Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                   0) == 1);
  X509_set_issuer_name(certificate.get(),
                       issuer == nullptr ? subject : X509_get_subject_name(issuer));
  return certificate;
}

template <typename Write>
std::string Pem(Write write) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string Names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    unsigned char address[16];
    const bool ip = inet_pton(AF_INET, name.c_str(), address) == 1 ||
                    inet_pton(AF_INET6, name.c_str(), address) == 1;
    const bool uri = name.find("://") != std::string::npos;
    text += (text.empty() ? "" : ",") + std::string(ip ? "IP:" : uri ? "URI:" : "DNS:") + name;
  }
  return text;
}

}  // namespace

struct TestAuthority::Parts {
  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
};

TestAuthority::TestAuthority(const std::string& name) : parts_(std::make_unique<Parts>()) {
  constexpr long kYear = 365 * 24 * 3600;
  parts_->key.reset(EVP_EC_gen("P-256"));
  parts_->certificate = Blank(name, parts_->key.get(), nullptr, -kYear, kYear);
  X509* const self = parts_->certificate.get();
  AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
  AddExtension(self, self, NID_subject_key_identifier, "hash");
  CHECK(X509_sign(self, parts_->key.get(), EVP_sha256()) != 0);
  pem_ = Pem([self](BIO* bio) { return PEM_write_bio_X509(bio, self); });
}

TestAuthority::~TestAuthority() = default;

TestCertificate TestAuthority::Issue(const CertificateWish& wish) {
  const Owned<EVP_PKEY> key(wish.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  X509* const issuer = parts_->certificate.get();
  const Owned<X509> made =
      Blank(wish.common_name, key.get(), issuer, wish.from_seconds, wish.until_seconds);
  if (!wish.names.empty())
    AddExtension(made.get(), issuer, NID_subject_alt_name, Names(wish.names));
  AddExtension(made.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(made.get(), issuer, NID_authority_key_identifier, "keyid");
  if (wish.must_staple) AddExtension(made.get(), issuer, NID_tlsfeature, "status_request");
  CHECK(X509_sign(made.get(), parts_->key.get(), EVP_sha256()) != 0);
  return {.chain_pem = Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, made.get()); }) + pem_,
          .key_pem = Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string TestAuthority::Staple(const TestCertificate& certificate, bool good,
                                  long until_seconds) {
  const Owned<BIO> reader(BIO_new_mem_buf(certificate.chain_pem.data(),
                                          static_cast<int>(certificate.chain_pem.size())));
  const Owned<X509> leaf(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
  const Owned<OCSP_BASICRESP> basic(OCSP_BASICRESP_new());
  OCSP_CERTID* const id = OCSP_cert_to_id(nullptr, leaf.get(), parts_->certificate.get());
  const Owned<ASN1_TIME> from(X509_gmtime_adj(nullptr, -7200));
  const Owned<ASN1_TIME> until(X509_gmtime_adj(nullptr, until_seconds));
  const Owned<ASN1_TIME> revoked(X509_gmtime_adj(nullptr, -7200));
  CHECK(OCSP_basic_add1_status(basic.get(), id,
                               good ? V_OCSP_CERTSTATUS_GOOD : V_OCSP_CERTSTATUS_REVOKED, 0,
                               good ? nullptr : revoked.get(), from.get(), until.get()) != nullptr);
  OCSP_CERTID_free(id);
  CHECK(OCSP_basic_sign(basic.get(), parts_->certificate.get(), parts_->key.get(), EVP_sha256(),
                        nullptr, 0) == 1);
  const Owned<OCSP_RESPONSE> response(
      OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  unsigned char* der = nullptr;
  const int size = i2d_OCSP_RESPONSE(response.get(), &der);
  CHECK(size > 0);
  const std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace rouse::net::testing
