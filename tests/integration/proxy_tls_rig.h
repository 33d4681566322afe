#pragma once
// What:  TlsProxyRig, a ProxyRig with a TLS listener beside its plain one, and clients that speak
//        TLS by themselves.
// Owner: the test. One thread.

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/proxy_rig.h"
#include "tests/support/net/test_pki.h"
#include "tests/support/net/tls_wire_client.h"

namespace rouse::proxy::testing {

using net::testing::TestAuthority;
using net::testing::TestCertificate;
using net::testing::TlsWireClient;
using net::testing::TlsWish;

class TlsProxyRig : public ProxyRig {
 public:
  explicit TlsProxyRig(const net::TlsServerPolicy& policy = {},
                       const DataPlaneOptions& options = Defaults(), ListenerTraits traits = {})
      : ProxyRig(options) {
    auto context = net::TlsServerContext::Make(policy);
    CHECK(context.ok());
    server_.context = *context;
    server_.tickets = std::make_shared<net::TlsTicketKeys>(std::string(32, 's'), now_);
    Certify({authority_.Issue({.names = {"fn.example", "*.w.example"}, .common_name = "fn"}),
             authority_.Issue({.names = {"other.example"}, .common_name = "other"})});
    traits.tls = true;
    traits.server = std::make_shared<net::TlsServer>(server_);
    listener_ = &Listen(std::move(traits));
  }

  /// Another listener, by its port.
  Listener& Listen(ListenerTraits traits) {
    auto sockets = OpenListeners("127.0.0.1:0", 1, {.defer_accept = true});
    CHECK(sockets.ok());
    Listener& listener = plane().AddListener(std::move(sockets->front()), std::move(traits));
    listener.Start();
    return listener;
  }
  /// What the next handshakes of the TLS listener get.
  void Certify(const std::vector<TestCertificate>& certificates) {
    std::vector<net::TlsCertificates::Entry> entries;
    for (const TestCertificate& each : certificates) {
      const auto made = net::TlsCertificate::Make({each.chain_pem, each.key_pem, {}}, now_);
      CHECK(made.ok());
      entries.push_back({*made, (*made)->names()});
    }
    server_.certificates = std::make_shared<net::TlsCertificates>(entries);
    if (listener_ != nullptr) listener_->AdoptTls(std::make_shared<net::TlsServer>(server_));
  }
  [[nodiscard]] TestAuthority& authority() { return authority_; }
  [[nodiscard]] uint16_t tls_port() const { return listener_->port(); }
  [[nodiscard]] const net::TlsServer& server() const { return server_; }

  /// A client that takes part in every Step from now on.
  TlsWireClient& Dial(const TlsWish& wish) {
    tls_clients_.push_back(std::make_unique<TlsWireClient>(tls_port(), wish));
    return *tls_clients_.back();
  }
  bool Until(const std::function<bool()>& done) {
    return RunUntil([&] {
      for (const auto& client : tls_clients_) client->Step();
      return done();
    });
  }
  /// Sends a request and waits for one more answer, or the end.
  std::string AskTls(TlsWireClient& client, std::string_view bytes) {
    client.Forget();
    client.Send(bytes);
    (void)Until([&] { return client.ended() || (client.responses() >= 1 && Quiet()); });
    (void)Until(
        [&] { return client.ended() || client.received().find("\r\n\r\n") != std::string::npos; });
    return client.received();
  }

 private:
  const WallTime now_ = SteadyClock().wall();
  TestAuthority authority_;
  net::TlsServer server_;
  Listener* listener_ = nullptr;
  std::vector<std::unique_ptr<TlsWireClient>> tls_clients_;
};

}  // namespace rouse::proxy::testing
