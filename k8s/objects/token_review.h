#pragma once
// What:  TokenReview (authentication.k8s.io/v1): whose token is this, says the API server.
// Owner: a value. Any thread.
// Never: keeps or prints the token.

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct TokenReview {
  static constexpr ResourceType kType{"authentication.k8s.io", "v1", "tokenreviews", "TokenReview"};

  bool authenticated = false;
  std::string username;                ///< `system:serviceaccount:NAMESPACE:NAME`
  std::vector<std::string> audiences;  ///< those asked for that the token is meant for

  [[nodiscard]] static absl::StatusOr<TokenReview> Decode(std::string_view json);
  /// The question, for create.
  [[nodiscard]] static std::string Ask(std::string_view token, std::string_view audience);
};

}  // namespace rouse::k8s
