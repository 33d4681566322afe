#pragma once
// What:      TlsMaterial, what stands in certificate files, for all listeners: read at start,
//            looked at again every so often, and handed out anew where a file has changed. Ticket
//            keys.
// Owner:     the program. Control thread.
// Limits:    a file of net::kCertificatePemMax; certificates as many as are configured.
// Invariant: what cannot be used leaves in force what was, and is told once per change: a file that
//            is seen half written is looked at once more before that.
// Never:     logs what is in a file.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "common/control/channel.h"
#include "common/net/tls_context.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "proxy/listener_config.h"

namespace rouse::proxy {

class TlsMaterial {
 public:
  /// What the listener's next handshakes go by.
  using Adopt = std::function<void(size_t listener, net::TlsServerPtr)>;
  /// Certificates that are shown one by one in the metrics; the rest only in the count.
  static constexpr size_t kShownMost = 1000;

  TlsMaterial(control::Loop& loop, obs::Log& log, const ListenerOptions& options, Adopt adopt);
  ~TlsMaterial();

  /// Reads everything; the first thing that cannot be used, with its file. Then watches.
  [[nodiscard]] absl::Status Start();
  /// Reads what has changed.
  void Look();
  /// A certificate that is not from a file: a Secret's, for the hosts of its Service. Null: gone.
  void SetExtra(const std::string& name, net::TlsCertificatePtr certificate,
                std::vector<std::string> hosts);
  /// The seed of the ticket keys, if it comes from elsewhere than a file.
  void SetTicketSeed(const std::string& seed);

  void AddTo(obs::MetricPage& page) const;
  [[nodiscard]] uint64_t loads() const { return loads_.value; }
  [[nodiscard]] uint64_t failures() const { return failures_.value; }
  /// The rows of the README's table.
  [[nodiscard]] static std::string MetricTable();

 private:
  /// What tells a file that was replaced or written to.
  struct Stamp {
    int64_t device = 0;
    int64_t inode = 0;
    int64_t size = -1;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Pair {
    CertificateFiles files;
    net::TlsCertificatePtr certificate;
    std::vector<Stamp> good;   ///< of what is in force
    std::vector<Stamp> tried;  ///< of what was read last
    bool told = false;         ///< that the files cannot be used
  };
  struct Listener {
    ListenerConfig config;
    std::shared_ptr<const net::TlsServerContext> context;
    Stamp client_ca;
  };
  struct Extra {
    net::TlsCertificatePtr certificate;
    std::vector<std::string> hosts;
  };

  static Stamp StampOf(const std::string& file);
  static std::vector<Stamp> StampsOf(const CertificateFiles& files);
  absl::Status Load(Pair& pair);
  absl::Status LoadContext(Listener& listener);
  absl::Status LoadSeed();
  bool LookAt(Pair& pair);
  bool LookAt(Listener& listener);
  void HandOut();
  void LookLater();
  [[nodiscard]] std::shared_ptr<const net::TlsCertificates> CertificatesOf(
      const Listener& listener) const;

  control::Loop& loop_;
  obs::Log& log_;
  const ListenerOptions& options_;
  Adopt adopt_;
  std::vector<std::unique_ptr<Listener>> listeners_;  ///< null: no TLS
  std::map<std::string, Pair> pairs_;                 ///< by the certificate's file and the key's
  std::map<std::string, Extra> extras_;
  std::shared_ptr<const net::TlsTicketKeys> tickets_;
  obs::Counter loads_;
  obs::Counter failures_;
  bool hand_out_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rouse::proxy
