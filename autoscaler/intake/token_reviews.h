#pragma once
// What:      TokenReviews, whether a bearer token is the proxies': asked of the API server, and
//            remembered for a while.
// Owner:     app; the client must outlive it. Control thread.
// Limits:    ReviewLimits; a full memory forgets the verdict that is oldest.
// Invariant: a token is admitted only while a review of the last `remember` said that it is meant
//            for our audience and belongs to our account; no answer admits nobody.
// Never:     logs a token.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "k8s/api_client.h"

namespace rouse::autoscaler {

struct ReviewLimits {
  Duration remember = std::chrono::seconds(60);
  size_t remembered_max = 1024;
  size_t in_flight_max = 64;
  size_t token_bytes_max = 16 << 10;
};

enum class Verdict : uint8_t { kAdmit, kRefuse, kUnavailable };

class TokenReviews {
 public:
  using Decide = absl::AnyInvocable<void(Verdict)>;

  /// `username` is who may report: `system:serviceaccount:NAMESPACE:NAME`.
  TokenReviews(k8s::ApiClient& client, std::string audience, std::string username,
               ReviewLimits limits = {});
  ~TokenReviews();

  /// What is known without asking; nullopt: ask.
  [[nodiscard]] std::optional<Verdict> Known(std::string_view token) const;
  /// `decide` runs once and never inline. Askers for one token share a call.
  void Ask(std::string_view token, Decide decide);

 private:
  struct Remembered {
    bool admit;
    TimePoint at;
  };
  struct Review {
    std::unique_ptr<k8s::ApiCall> call;
    std::vector<Decide> waiting;
  };

  void OnAnswer(const std::string& token, const absl::StatusOr<std::string>& body);
  void Remember(const std::string& token, bool admit);

  k8s::ApiClient& client_;
  std::string audience_;
  std::string username_;
  ReviewLimits limits_;
  std::map<std::string, Remembered, std::less<>> remembered_;
  std::map<std::string, Review, std::less<>> reviews_;
};

}  // namespace rouse::autoscaler
