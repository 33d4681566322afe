#pragma once
// What:      TlsSecrets, certificates of Services from Secrets of their namespace (15.14): joins
//            what Services want with what is there, and tells what has changed.
// Owner:     KubernetesSide. Control thread.
// Limits:    as many as Services want.
// Invariant: a Secret that cannot be used leaves in force what was; one that is gone takes its
//            certificate with it. A certificate serves hosts of its Service alone.
// Never:     logs what is in a Secret.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/object_key.h"
#include "common/net/tls_certificate.h"
#include "common/obs/log.h"
#include "k8s/objects/secret.h"
#include "k8s/watcher.h"

namespace rouse::proxy {

class TlsSecrets final : public k8s::WatchListener<k8s::Secret> {
 public:
  struct Want {
    std::string secret;  ///< in the Service's namespace
    std::vector<std::string> hosts;
    bool operator==(const Want&) const = default;
  };
  /// The Service's certificate from now on, for these hosts; null: none.
  using Adopt =
      std::function<void(const ObjectKey&, net::TlsCertificatePtr, std::vector<std::string>)>;

  TlsSecrets(const Clock& clock, obs::Log& log, Adopt adopt);

  /// All that is wanted.
  void SetWants(std::map<ObjectKey, Want> wants);

  void OnUpsert(k8s::Secret secret) override;
  void OnDelete(const ObjectKey& key, const std::string& uid) override;
  void OnSynced() override {}

 private:
  void Tell(const ObjectKey& service);
  void TellUsersOf(const ObjectKey& secret);

  const Clock& clock_;
  obs::Log& log_;
  Adopt adopt_;
  std::map<ObjectKey, Want> wants_;
  std::map<ObjectKey, net::TlsCertificatePtr> certificates_;  ///< by Secret
};

}  // namespace rouse::proxy
