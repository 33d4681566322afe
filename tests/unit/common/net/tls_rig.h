#pragma once
// What:  TlsRig, a server of ours on loopback whose handshakes and echoes run by hand, for clients
//        that are not ours.
// Owner: the test. One thread.

#include <memory>
#include <string>
#include <vector>

#include "common/net/tls_transport.h"
#include "tests/support/net/loopback.h"
#include "tests/support/net/test_pki.h"
#include "tests/support/net/tls_wire_client.h"

namespace rouse::net::testing {

class TlsRig {
 public:
  explicit TlsRig(const TlsServerPolicy& policy = {}) {
    auto context = TlsServerContext::Make(policy);
    CHECK(context.ok());
    server_->context = *context;
    server_->tickets = std::make_shared<TlsTicketKeys>(std::string(32, 's'), clock_.wall());
    Serve({authority_.Issue({.names = {"a.example", "*.w.example"}, .common_name = "ecdsa"})});
  }

  /// In this order; the first one is for those who name none.
  void Serve(const std::vector<TestCertificate>& certificates, const std::string& staple = {}) {
    std::vector<TlsCertificates::Entry> entries;
    for (const TestCertificate& each : certificates) {
      const auto made = TlsCertificate::Make({each.chain_pem, each.key_pem, staple}, clock_.wall());
      CHECK(made.ok());
      entries.push_back({*made, (*made)->names()});
    }
    auto next = std::make_shared<TlsServer>(*server_);
    next->certificates = std::make_shared<TlsCertificates>(entries);
    server_ = next;
  }
  void SetTickets(std::shared_ptr<const TlsTicketKeys> keys) {
    auto next = std::make_shared<TlsServer>(*server_);
    next->tickets = std::move(keys);
    server_ = next;
  }

  [[nodiscard]] TestAuthority& authority() { return authority_; }
  [[nodiscard]] Loopback& loopback() { return loopback_; }
  [[nodiscard]] uint16_t port() { return loopback_.acceptor().port(); }

  struct Served {
    std::unique_ptr<TlsTransport> transport = {};
    std::string received = {};
    bool failed = false;
    bool ended = false;
    bool broken = false;
  };
  [[nodiscard]] std::vector<Served>& served() { return served_; }
  [[nodiscard]] Served& last() { return served_.back(); }
  void Quiet(bool quiet) { quiet_ = quiet; }

  /// One turn, and what each connection can do: shake hands, read, echo.
  void Step() {
    (void)loopback_.shard().Turn(std::chrono::milliseconds(1));
    for (auto& each : loopback_.accepted())
      served_.push_back({.transport = std::make_unique<TlsTransport>(loopback_.shard(),
                                                                     std::move(each), server_)});
    loopback_.accepted().clear();
    for (Served& each : served_) Advance(each);
  }
  template <typename Done>
  [[nodiscard]] bool Until(Done done) {
    const TimePoint give_up = Later(clock_.now(), Loopback::kPatience);
    while (!done()) {
      if (clock_.now() > give_up) return false;
      Step();
    }
    return true;
  }
  template <typename Done>
  [[nodiscard]] bool Until(TlsWireClient& client, Done done) {
    return Until([&] {
      client.Step();
      return done();
    });
  }
  /// Shakes hands; false where either side refuses.
  [[nodiscard]] bool Shake(TlsWireClient& client) {
    const size_t number = served_.size();
    return Until(client,
                 [&] {
                   return (served_.size() > number && served_[number].failed) || client.failed() ||
                          (client.established() && served_.size() > number &&
                           served_[number].transport->tls_peer() != nullptr);
                 }) &&
           client.established() && !served_[number].failed;
  }
  /// Says something and hears it again: so that the tickets have come, too.
  [[nodiscard]] bool Echo(TlsWireClient& client, const std::string& text = "hello") {
    client.Forget();
    client.Send(text);
    return Until(client, [&] { return client.received() == text || client.ended(); }) &&
           client.received() == text;
  }

 private:
  void Advance(Served& each) {
    TlsTransport& transport = *each.transport;
    if (each.failed || each.ended || each.broken) return;
    if (transport.tls_peer() == nullptr) {
      each.failed = transport.Handshake() == TlsTransport::Step::kFailed;
      if (each.failed) transport.ShutdownWrite();
      return;
    }
    char bytes[8192];
    while (transport.readable()) {
      const IoResult read = transport.Read(bytes);
      if (read.status == IoStatus::kMustWait) break;
      each.ended = read.status == IoStatus::kEnd;
      each.broken = read.status == IoStatus::kBroken;
      if (read.status != IoStatus::kDone) return;
      each.received.append(bytes, read.bytes);
      const std::string_view part(bytes, read.bytes);
      if (!quiet_) CHECK(transport.Write(std::span(&part, 1)).bytes == part.size());
    }
  }

  SteadyClock clock_;
  TestAuthority authority_;
  Loopback loopback_;
  std::shared_ptr<TlsServer> server_ = std::make_shared<TlsServer>();
  std::vector<Served> served_;
  bool quiet_ = false;
};

}  // namespace rouse::net::testing
