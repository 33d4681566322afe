#include "autoscaler/intake/token_reviews.h"

#include <algorithm>
#include <utility>

#include "k8s/objects/token_review.h"

namespace rouse::autoscaler {

TokenReviews::TokenReviews(k8s::ApiClient& client, std::string audience, std::string username,
                           ReviewLimits limits)
    : client_(client),
      audience_(std::move(audience)),
      username_(std::move(username)),
      limits_(limits) {}

TokenReviews::~TokenReviews() = default;

std::optional<Verdict> TokenReviews::Known(std::string_view token) const {
  if (token.empty() || token.size() > limits_.token_bytes_max) return Verdict::kRefuse;
  const auto found = remembered_.find(token);
  const bool fresh =
      found != remembered_.end() && client_.loop().now() - found->second.at < limits_.remember;
  if (fresh) return found->second.admit ? Verdict::kAdmit : Verdict::kRefuse;
  const bool asked = reviews_.contains(token);
  if (!asked && reviews_.size() >= limits_.in_flight_max) return Verdict::kUnavailable;
  return std::nullopt;
}

void TokenReviews::Ask(std::string_view text, Decide decide) {
  const std::string token(text);
  Review& review = reviews_[token];
  review.waiting.push_back(std::move(decide));
  if (review.call) return;
  k8s::ApiRequest request;
  request.method = "POST";
  request.path = k8s::CollectionPath(k8s::TokenReview::kType, "");
  request.body = k8s::TokenReview::Ask(token, audience_);
  // Until it is answered, a proxy's wakes are not heard.
  request.call_class = k8s::CallClass::kWake;
  review.call = client_.Send(
      std::move(request),
      [this, token](const absl::StatusOr<std::string>& body) { OnAnswer(token, body); });
}

void TokenReviews::OnAnswer(const std::string& token, const absl::StatusOr<std::string>& body) {
  // The call ends here, from inside its own handler.
  Review review = std::move(reviews_.extract(token).mapped());
  Verdict verdict = Verdict::kUnavailable;
  if (body.ok()) {
    const absl::StatusOr<k8s::TokenReview> answer = k8s::TokenReview::Decode(*body);
    const bool admit = answer.ok() && answer->authenticated && answer->username == username_ &&
                       std::ranges::find(answer->audiences, audience_) != answer->audiences.end();
    Remember(token, admit);
    verdict = admit ? Verdict::kAdmit : Verdict::kRefuse;
  }
  for (Decide& decide : review.waiting) decide(verdict);
}

void TokenReviews::Remember(const std::string& token, bool admit) {
  if (remembered_.size() >= limits_.remembered_max && !remembered_.contains(token)) {
    remembered_.erase(
        std::ranges::min_element(remembered_, {}, [](const auto& each) { return each.second.at; }));
  }
  remembered_[token] = {admit, client_.loop().now()};
}

}  // namespace rouse::autoscaler
