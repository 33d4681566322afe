#pragma once
// What:  ListenerConfig, one listening address as it is configured: in the file's `listeners`, or
//        by the options listen, listen-tls and tls-*.
// Owner: Config. Any thread, immutable once parsed.
// Never: holds what is in a certificate or key: those are files, named here.

#include <cstdint>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "common/app/config_node.h"
#include "common/app/options.h"
#include "common/net/tls_context.h"

namespace rouse::proxy {

struct CertificateFiles {
  std::string certificate;
  std::string key;
  std::string staple;  ///< an OCSP response; may be empty
};

struct TlsConfig {
  std::vector<CertificateFiles> certificates;  ///< the first is for clients that name none
  std::string client_ca;                       ///< file
  std::string client_auth = "none";            ///< none, optional, required
  std::string profile = "intermediate";        ///< modern, intermediate
  std::string groups = "X25519:P-256:P-384";
  bool strict_names = false;

  /// Without what stands in files.
  [[nodiscard]] net::TlsServerPolicy Policy(const std::string& address) const;
};

struct ListenerConfig {
  std::string address;
  bool secure = false;
  TlsConfig tls;
  uint16_t redirect_port = 0;
  std::vector<std::string> proxies;  ///< ranges of peers that begin with a PROXY header
};

/// What the options say, beside the file's `listeners`.
struct ListenerOptions {
  std::vector<std::string> listen = {"0.0.0.0:8080"};
  std::vector<std::string> listen_tls;
  std::vector<std::string> certificates;  ///< CERT:KEY or CERT:KEY:STAPLE each
  TlsConfig tls;
  uint16_t redirect_port = 0;
  std::vector<std::string> proxies;
  std::string ticket_seed_file;
  Duration watch_interval = std::chrono::seconds(1);
  Duration handshake_timeout = std::chrono::seconds(10);
  /// Of the file's `listeners`; in force unless `listen` was said otherwise.
  std::vector<ListenerConfig> from_file;
};

void AddListenerOptions(app::Options& options, ListenerOptions& listeners);
/// `listeners: [{address, tls: {...}, https_redirect, proxy_protocol_from}]`.
[[nodiscard]] absl::Status TakeListeners(const app::ConfigNode& node, ListenerOptions& listeners);

/// All of them.
[[nodiscard]] std::vector<ListenerConfig> ListenersOf(const ListenerOptions& options);
/// What can be said without reading a certificate.
[[nodiscard]] absl::Status CheckListeners(const ListenerOptions& options);

}  // namespace rouse::proxy
