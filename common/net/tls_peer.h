#pragma once
// What:      TlsPeer, what a handshake has settled: version, names, the protocol chosen, and who
//            the other side is.
// Owner:     the TlsTransport; lives as long as the connection.

#include <memory>
#include <string>
#include <string_view>

#include "common/net/tls_certificate.h"

namespace rouse::net {

struct TlsPeer {
  std::string_view version;  ///< "TLSv1.2" or "TLSv1.3"
  std::string server_name;   ///< as the client named it, lower case; empty: it did not
  std::string protocol;      ///< by ALPN, such as "http/1.1"; empty: none was offered
  /// The client's certificate as an element of X-Forwarded-Client-Cert; empty: it has none.
  std::string client_certificate;
  std::shared_ptr<const TlsIdentity> served;  ///< server's role: what we answered with
  bool resumed = false;

  /// Whether requests for `host` (lower case, no port) belong on this connection (RFC 9110 section
  /// 7.4): the client named it, or named none, or what we showed is good for it too.
  [[nodiscard]] bool MayServe(std::string_view host) const {
    return server_name.empty() || server_name == host || (served && served->Covers(host));
  }
};

/// A certificate as Envoy writes it into X-Forwarded-Client-Cert: By (ours, a URI), Hash, Subject,
/// URI and DNS names. Empty for null. Names that are no plain text are left out.
[[nodiscard]] std::string DescribeClient(x509_st* certificate, std::string_view by);

}  // namespace rouse::net
