#include "k8s/objects/token_review.h"

#include <boost/json.hpp>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<TokenReview> TokenReview::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode status = document.root()["status"];
  TokenReview review;
  review.authenticated = status["authenticated"].Flag();
  review.username = status["user"]["username"].Text();
  review.audiences = status["audiences"].TextList();
  if (!document.status().ok()) return document.status();
  return review;
}

std::string TokenReview::Ask(std::string_view token, std::string_view audience) {
  const boost::json::object spec{{"token", token}, {"audiences", boost::json::array{audience}}};
  return boost::json::serialize(boost::json::object{
      {"apiVersion", kType.api_version()}, {"kind", "TokenReview"}, {"spec", spec}});
}

}  // namespace rouse::k8s
