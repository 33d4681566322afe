#pragma once
// What:      TlsServerContext, the rules by which a listener shakes hands; TlsServer, these with
//            the certificates of the moment. TlsClientContext, the rules towards pods.
// Owner:     shared_ptr; immutable. Any thread: shards share them, and a reload makes new ones.
// Limits:    TLS 1.2 and 1.3, AEAD with forward secrecy only; no renegotiation, no compression, no
//            early data; one ticket per handshake.
// Never:     says what is in a key.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "common/net/tls_certificate.h"
#include "common/net/tls_tickets.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace rouse::net {

enum class TlsProfile : uint8_t {
  kModern,        ///< TLS 1.3 alone
  kIntermediate,  ///< and TLS 1.2, ECDHE with AEAD
};
enum class TlsClientAuth : uint8_t { kNone, kOptional, kRequired };

struct TlsServerPolicy {
  TlsProfile profile = TlsProfile::kIntermediate;
  TlsClientAuth client_auth = TlsClientAuth::kNone;
  std::string client_ca_pem = {};
  /// What the listener speaks, the one it likes best first.
  std::vector<std::string> protocols = {"h2", "http/1.1"};
  /// Key exchange groups, the one we like best first.
  std::string groups = "X25519:P-256:P-384";
  /// A name that no certificate is for, or none: `unrecognized_name` instead of the first
  /// certificate.
  bool strict_names = false;
  /// Sessions are resumed within one scope only: the listener's address.
  std::string scope = {};
};

class TlsServerContext {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const TlsServerContext>> Make(
      const TlsServerPolicy& policy);
  TlsServerContext();  ///< for Make
  ~TlsServerContext();

  [[nodiscard]] ssl_ctx_st* get() const { return context_; }
  [[nodiscard]] bool strict_names() const { return strict_names_; }
  /// The protocols in the form of the wire: a length byte before each.
  [[nodiscard]] const std::string& protocols() const { return protocols_; }
  /// Of scope, protocols and rules for clients: what a resumed session must have in common.
  [[nodiscard]] const std::string& digest() const { return digest_; }

 private:
  ssl_ctx_st* context_ = nullptr;
  std::string protocols_;
  std::string digest_;
  bool strict_names_ = false;
};

/// What one handshake goes by, from its first byte.
struct TlsServer {
  std::shared_ptr<const TlsServerContext> context;
  std::shared_ptr<const TlsCertificates> certificates;
  std::shared_ptr<const TlsTicketKeys> tickets;  ///< null: no tickets
};
using TlsServerPtr = std::shared_ptr<const TlsServer>;

struct TlsClientPolicy {
  /// Who may sign; empty with `verify`: the system's roots.
  std::string ca_pem = {};
  /// Our own certificate; empty: none.
  std::string certificate_pem = {};
  std::string key_pem = {};
  /// Sent as SNI, and what the certificate must be for unless `names` says otherwise. May be empty.
  std::string server_name = {};
  /// One of these must be in the certificate: DNS names, `spiffe://` URIs, IP addresses.
  std::vector<std::string> names = {};
  bool verify = true;
};

class TlsClientContext {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const TlsClientContext>> Make(
      const TlsClientPolicy& policy);
  TlsClientContext();  ///< for Make
  ~TlsClientContext();

  [[nodiscard]] ssl_ctx_st* get() const { return context_; }
  [[nodiscard]] const std::string& server_name() const { return server_name_; }
  [[nodiscard]] bool verify() const { return verify_; }
  /// Whether the certificate is for one of the names asked for, byte for byte.
  [[nodiscard]] bool Accepts(x509_st* certificate) const;

 private:
  ssl_ctx_st* context_ = nullptr;
  std::string server_name_;
  std::vector<std::string> names_;
  bool verify_ = true;
};
using TlsClientPtr = std::shared_ptr<const TlsClientContext>;

}  // namespace rouse::net
