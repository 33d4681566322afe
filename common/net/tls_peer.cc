#include "common/net/tls_peer.h"

#include <algorithm>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

namespace rouse::net {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

/// A longer description is cut to the hash, which always fits.
constexpr size_t kDescriptionMax = 4096;

bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != '\\';
  });
}

/// Values with the list's own delimiters stand in quotes.
void AppendValue(std::string& out, std::string_view key, std::string_view value) {
  if (!IsPlain(value)) return;
  const bool quote = value.find_first_of(",;=") != std::string_view::npos;
  const char* const mark = quote ? "\"" : "";
  absl::StrAppend(&out, ";", absl::string_view(key.data(), key.size()), "=", mark,
                  absl::string_view(value.data(), value.size()), mark);
}

/// RFC 2253, in quotes; OpenSSL escapes what is not printable ASCII.
void AppendSubject(std::string& out, X509* certificate) {
  const std::unique_ptr<BIO, Free> text(BIO_new(BIO_s_mem()));
  if (!text ||
      X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0)
    return;
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  out += ";Subject=\"";
  for (const char c : std::string_view(data, static_cast<size_t>(size))) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

std::string DescribeClient(x509_st* certificate, std::string_view by) {
  if (certificate == nullptr) return {};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  const std::string hash = absl::StrCat("Hash=", absl::BytesToHexString(absl::string_view(
                                                     reinterpret_cast<const char*>(digest), size)));
  std::string out;
  AppendValue(out, "By", by);
  if (!out.empty()) out = out.substr(1) + ";";
  out += hash;
  AppendSubject(out, certificate);
  const std::unique_ptr<GENERAL_NAMES, Free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (const int kind : {GEN_URI, GEN_DNS}) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type != kind) continue;
      AppendValue(out, kind == GEN_URI ? "URI" : "DNS",
                  {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.ia5)),
                   static_cast<size_t>(ASN1_STRING_length(name->d.ia5))});
    }
  }
  return out.size() <= kDescriptionMax ? out : hash;
}

}  // namespace rouse::net
