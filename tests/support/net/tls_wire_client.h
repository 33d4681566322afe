#pragma once
// What:      TlsWireClient, a TLS client straight on OpenSSL and a socket, so that ours is not its
//            own judge; it can also send raw bytes below TLS.
// Owner:     the test; does its work in Step(), on the test's thread.
// Invariant: never blocks.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/descriptor.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

namespace rouse::net::testing {

struct TlsWish {
  std::string server_name = {};
  std::vector<std::string> protocols = {};
  std::string ca_pem = {};  ///< empty: nothing is verified
  std::string certificate_pem = {};
  std::string key_pem = {};
  int version_least = 0;  ///< 0x0303 is TLS 1.2
  int version_most = 0;
  std::string ciphers = {};  ///< of TLS 1.2 and below
  std::string signatures = {};
  bool ask_staple = false;
  std::shared_ptr<ssl_session_st> session = {};  ///< to be resumed
};

class TlsWireClient {
 public:
  TlsWireClient(uint16_t port, const TlsWish& wish);
  ~TlsWireClient();

  void Step();
  void Send(std::string_view bytes) { unsent_ += bytes; }
  /// Below TLS. Stops the handshake and everything after it on our side.
  void SendRaw(std::string_view bytes) { raw_ += bytes; }
  void UpdateKeys(size_t times);
  void Renegotiate();
  /// FIN, with close_notify before it or not.
  void End(bool notify);

  [[nodiscard]] bool established() const { return established_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] int alert() const { return alert_; }  ///< that came in; -1: none
  [[nodiscard]] bool notified() const { return notified_; }
  [[nodiscard]] bool ended() const { return ended_; }  ///< nothing more can come
  [[nodiscard]] const std::string& received() const { return received_; }
  void Forget() { received_.clear(); }
  [[nodiscard]] size_t responses() const;

  [[nodiscard]] std::string version() const;
  [[nodiscard]] std::string cipher() const;
  [[nodiscard]] std::string protocol() const;
  [[nodiscard]] bool resumed() const;
  [[nodiscard]] bool peer_is_rsa() const;
  /// CN of the server's certificate.
  [[nodiscard]] std::string peer_name() const;
  [[nodiscard]] std::string staple() const;
  /// The last session that a ticket came for; null: none.
  [[nodiscard]] std::shared_ptr<ssl_session_st> session() const { return session_; }
  /// Bytes of early data that its ticket allows.
  [[nodiscard]] uint32_t early_data_most() const;

 private:
  void Configure(const TlsWish& wish);
  void Pull();
  static int OnSession(ssl_st* tls, ssl_session_st* session);
  static void OnInfo(const ssl_st* tls, int where, int value);

  Descriptor socket_;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* tls_ = nullptr;
  std::string unsent_;
  std::string raw_;
  std::string received_;
  std::shared_ptr<ssl_session_st> session_;
  int alert_ = -1;
  bool raw_only_ = false;
  bool established_ = false;
  bool failed_ = false;
  bool notified_ = false;
  bool ended_ = false;
};

}  // namespace rouse::net::testing
