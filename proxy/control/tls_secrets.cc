#include "proxy/control/tls_secrets.h"

#include <utility>

namespace rouse::proxy {

TlsSecrets::TlsSecrets(const Clock& clock, obs::Log& log, Adopt adopt)
    : clock_(clock), log_(log), adopt_(std::move(adopt)) {}

void TlsSecrets::SetWants(std::map<ObjectKey, Want> wants) {
  const std::map<ObjectKey, Want> before = std::exchange(wants_, std::move(wants));
  for (const auto& [service, want] : before)
    if (!wants_.contains(service)) adopt_(service, nullptr, {});
  for (const auto& [service, want] : wants_) {
    const auto old = before.find(service);
    if (old == before.end() || old->second != want) Tell(service);
  }
}

void TlsSecrets::OnUpsert(k8s::Secret secret) {
  const ObjectKey key = secret.meta.key();
  auto made = net::TlsCertificate::Make({.chain_pem = secret.certificate, .key_pem = secret.key},
                                        clock_.wall());
  if (!made.ok()) {
    const std::string why(made.status().message());
    log_.Warn("tls_secret_refused",
              {{"secret", key.text()}, {"error", why}, {"kept", "the one in force"}});
    return;
  }
  certificates_[key] = *std::move(made);
  TellUsersOf(key);
}

void TlsSecrets::OnDelete(const ObjectKey& key, const std::string&) {
  certificates_.erase(key);
  TellUsersOf(key);
}

void TlsSecrets::TellUsersOf(const ObjectKey& secret) {
  for (const auto& [service, want] : wants_)
    if (service.ns == secret.ns && want.secret == secret.name) Tell(service);
}

void TlsSecrets::Tell(const ObjectKey& service) {
  const Want& want = wants_.at(service);
  const auto found = certificates_.find({service.ns, want.secret});
  if (found == certificates_.end()) return adopt_(service, nullptr, {});
  adopt_(service, found->second, want.hosts);
}

}  // namespace rouse::proxy
