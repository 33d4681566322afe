#include "k8s/api_session.h"

#include "common/base/check.h"

namespace rouse::k8s {
namespace {

/// Percent-encodes all but RFC 3986's unreserved characters.
void AppendEscaped(std::string& to, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      to += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    to += '%';
    to += kHex[byte >> 4];
    to += kHex[byte & 15];
  }
}

std::vector<TokenBudget> NewBudgets(const ApiLimits& limits) {
  // In the order of CallClass.
  return {TokenBudget(limits.lease), TokenBudget(limits.wake), TokenBudget(limits.write),
          TokenBudget(limits.watch), TokenBudget(limits.read), TokenBudget(limits.event)};
}

}  // namespace

ApiSession::ApiSession(control::Network& network, Credentials& creds, ApiClientOptions opts)
    : credentials(creds),
      options(std::move(opts)),
      network_(network),
      budgets_(NewBudgets(options.limits)) {
  CHECK(budgets_.size() == kCallClasses);
}

ApiSession::Connections* ApiSession::Connect() {
  credentials.RefreshIfDue();
  const uint64_t generation = credentials.tls_generation();
  if (connections_.empty() || connections_.front()->generation != generation) {
    connections_.remove_if([](const auto& each) { return each->calls == 0; });
    connections_.push_front(std::make_unique<Connections>(
        Connections{network_.NewClient(credentials.origin()), generation, 0}));
  }
  Connections* current = connections_.front().get();
  ++current->calls;
  return current;
}

void ApiSession::Release(Connections* connections) {
  if (--connections->calls > 0 || connections == connections_.front().get()) return;
  connections_.remove_if([&](const auto& each) { return each.get() == connections; });
}

CredentialWait ApiSession::Renew(uint64_t generation, CredentialTold told) {
  CredentialWait wait = std::make_shared<CredentialTold>(std::move(told));
  // Where the plugin has given something newer meanwhile, that is tried.
  const bool newer = credentials.usable() && credentials.plugin_generation() != generation;
  if (!newer && credentials.Renew(wait)) return wait;
  loop().Post([weak = std::weak_ptr<CredentialTold>(wait)] {
    if (const CredentialWait still = weak.lock()) (*still)(absl::OkStatus());
  });
  return wait;
}

TokenBudget& ApiSession::budget(CallClass call_class) {
  return budgets_[static_cast<size_t>(call_class)];
}

control::HttpRequest ApiSession::Prepare(const ApiRequest& request) const {
  control::HttpRequest http;
  http.method = request.method;
  http.target = credentials.base_path() + request.path;
  char separator = '?';
  for (const auto& [key, value] : request.query) {
    http.target += separator;
    separator = '&';
    AppendEscaped(http.target, key);
    http.target += '=';
    AppendEscaped(http.target, value);
  }
  http.headers.push_back(
      {"User-Agent", "rouse/" + options.version + " (linux/amd64) " + options.component});
  http.headers.push_back({"Accept", "application/json"});
  if (const auto authorization = credentials.authorization()) {
    http.headers.push_back(*authorization);
  }
  if (!request.body.empty()) http.headers.push_back({"Content-Type", request.content_type});
  http.body = request.body;
  return http;
}

}  // namespace rouse::k8s
