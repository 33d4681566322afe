#pragma once
// What:      ApiSession, what all calls of one ApiClient share: connections, credentials, budgets,
//            counters.
// Owner:     ApiClient. Control thread.
// Limits:    ApiLimits.
// Invariant: calls in progress keep the connections that they were made on, though the TLS material
//            has changed; new ones get new connections.

#include <list>
#include <memory>
#include <vector>

#include "common/control/channel.h"
#include "k8s/api_types.h"
#include "k8s/credentials.h"
#include "k8s/token_budget.h"

namespace rouse::k8s {

class ApiSession {
 public:
  struct Connections {
    std::unique_ptr<control::HttpClient> http;
    uint64_t generation = 0;
    size_t calls = 0;
  };

  ApiSession(control::Network& network, Credentials& creds, ApiClientOptions opts);

  /// The current connections, with one call more on them; made anew if the TLS material changed.
  [[nodiscard]] Connections* Connect();
  void Release(Connections* connections);
  [[nodiscard]] control::HttpRequest Prepare(const ApiRequest& request) const;
  /// For a call that was refused with what `generation` of the plugin gave, or that has nothing to
  /// go by: `told` comes later, once, unless the wait is destroyed. OK: begin (again).
  [[nodiscard]] CredentialWait Renew(uint64_t generation, CredentialTold told);
  [[nodiscard]] TokenBudget& budget(CallClass call_class);
  [[nodiscard]] control::Loop& loop() { return network_.loop(); }
  [[nodiscard]] TimePoint now() { return network_.loop().now(); }

  Credentials& credentials;
  const ApiClientOptions options;
  ApiCounters counters;

 private:
  control::Network& network_;
  std::vector<TokenBudget> budgets_;
  std::list<std::unique_ptr<Connections>> connections_;  ///< the current ones first
};

}  // namespace rouse::k8s
