#pragma once
// What:      TlsCertificate, a certificate with its chain, key and OCSP staple, fit to be served.
//            TlsCertificates, which of them answers to which name.
// Owner:     shared_ptr; immutable. Any thread.
// Limits:    kCertificatePemMax bytes of PEM each.
// Invariant: key and certificate belong together, the chain is in order, and the certificate was in
//            date when it was read. Per name at most one certificate of each kind of key.
// Never:     shows a key, in errors neither.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "common/base/clock.h"

struct x509_st;
struct evp_pkey_st;
struct ssl_st;

namespace rouse::net {

inline constexpr size_t kCertificatePemMax = 1 << 20;

class TlsCertificate {
 public:
  struct Source {
    std::string chain_pem = {};  ///< the certificate first, then what leads to its root
    std::string key_pem = {};
    std::string staple_der = {};  ///< an OCSP response; empty: none
  };
  /// kInvalidArgument says what is wrong: parts that do not belong together, a certificate out of
  /// date, or one that must be stapled and is not.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const TlsCertificate>> Make(
      const Source& source, WallTime now);
  TlsCertificate();  ///< for Make
  ~TlsCertificate();
  TlsCertificate(const TlsCertificate&) = delete;
  TlsCertificate& operator=(const TlsCertificate&) = delete;

  /// DNS names, lower case, `*.` ones among them.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// The first URI among its names: a SPIFFE id, or empty.
  [[nodiscard]] const std::string& uri() const { return uri_; }
  [[nodiscard]] WallTime not_after() const { return not_after_; }
  /// SHA-256 of the certificate.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  /// Certificates of one kind of key are alternatives; of different kinds they stand side by side.
  [[nodiscard]] int key_kind() const { return key_kind_; }
  /// Still good to be sent at `now`; empty: none.
  [[nodiscard]] std::string_view StapleAt(WallTime now) const {
    return now < staple_until_ ? std::string_view(staple_) : std::string_view();
  }
  /// Makes a handshake use it, beside those of other kinds of key.
  [[nodiscard]] bool InstallIn(ssl_st* handshake) const;
  [[nodiscard]] bool Is(const x509_st* certificate) const;

 private:
  struct Parts;
  absl::Status ReadNames();
  absl::Status TakeStaple(const std::string& der, WallTime now);

  std::unique_ptr<Parts> parts_;
  std::vector<std::string> names_;
  std::string uri_;
  std::string fingerprint_;
  std::string staple_;
  WallTime not_after_{};
  WallTime staple_until_{};
  int key_kind_ = 0;
};

using TlsCertificatePtr = std::shared_ptr<const TlsCertificate>;

/// What answers to one name: one certificate per kind of key.
struct TlsIdentity {
  std::vector<TlsCertificatePtr> certificates;
  /// Of the certificates; sessions of one digest may be resumed under it alone.
  std::string digest;
  /// Whether `host` (lower case) is among the names of what is served.
  [[nodiscard]] bool Covers(std::string_view host) const;
};

class TlsCertificates {
 public:
  struct Entry {
    TlsCertificatePtr certificate;
    /// The names that it may answer to; those that it does not carry itself are left out.
    std::vector<std::string> names;
  };
  /// The first entry is what a client without a server name gets. A second one for the same name
  /// and kind of key is not used.
  explicit TlsCertificates(const std::vector<Entry>& entries);

  /// The exact name, else `*.` and what follows its first label, else null. `name` lower case.
  [[nodiscard]] const std::shared_ptr<const TlsIdentity>* Find(std::string_view name) const;
  /// Null where there is no certificate at all.
  [[nodiscard]] const std::shared_ptr<const TlsIdentity>& first() const { return first_; }
  [[nodiscard]] size_t size() const { return by_name_.size(); }

 private:
  absl::flat_hash_map<std::string, std::shared_ptr<const TlsIdentity>> by_name_;
  std::shared_ptr<const TlsIdentity> first_;
};

/// `pattern` is a name or `*.` and a suffix that stands for exactly one label; both lower case.
[[nodiscard]] bool NameMatches(std::string_view pattern, std::string_view name);

}  // namespace rouse::net
