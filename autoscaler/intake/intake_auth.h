#pragma once
// What:      IntakeAuth, who may report: anybody, whoever shows the bearer token of a file, or
//            whose token the API server takes for the proxies'.
// Owner:     intake_server. Control thread.
// Limits:    the file is read again kReadEvery at most, so a rotated token counts within that time.
// Invariant: with a file, an unreadable or empty one admits nobody; the comparison takes the same
//            time for every wrong token of one length.
// Never:     logs a token.

#include <optional>
#include <string>
#include <string_view>

#include "autoscaler/intake/token_reviews.h"
#include "common/base/clock.h"
#include "k8s/credentials.h"

namespace rouse::autoscaler {

class IntakeAuth {
 public:
  static constexpr Duration kReadEvery = std::chrono::seconds(10);

  /// An empty `token_file` admits everybody.
  explicit IntakeAuth(std::string token_file, k8s::FileReader read = k8s::ReadSmallFile)
      : token_file_(std::move(token_file)), read_(std::move(read)) {}

  /// `reviews` must outlive it.
  explicit IntakeAuth(TokenReviews& reviews) : reviews_(&reviews) {}

  /// `authorization` is the header's value. nullopt: only Ask can tell.
  [[nodiscard]] std::optional<Verdict> Check(std::optional<std::string_view> authorization,
                                             TimePoint now);
  /// Where Check does not know. `decide` runs once and never inline.
  void Ask(std::string_view authorization, TokenReviews::Decide decide);

 private:
  void ReadIfDue(TimePoint now);

  std::string token_file_;
  k8s::FileReader read_;
  std::string token_;
  std::optional<TimePoint> read_at_;
  TokenReviews* reviews_ = nullptr;
};

}  // namespace rouse::autoscaler
