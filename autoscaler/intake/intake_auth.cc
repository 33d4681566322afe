#include "autoscaler/intake/intake_auth.h"

#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

namespace rouse::autoscaler {
namespace {

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char differs = 0;
  for (size_t i = 0; i < a.size(); ++i) differs |= static_cast<unsigned char>(a[i] ^ b[i]);
  return differs == 0;
}

/// What follows `Bearer `; empty where nothing does.
std::string_view TokenOf(std::optional<std::string_view> authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization || authorization->size() <= kScheme.size()) return {};
  // RFC 9110 section 11.1: the scheme's name has no case.
  if (!absl::StartsWithIgnoreCase({authorization->data(), authorization->size()},
                                  {kScheme.data(), kScheme.size()}))
    return {};
  return authorization->substr(kScheme.size());
}

}  // namespace

std::optional<Verdict> IntakeAuth::Check(std::optional<std::string_view> authorization,
                                         TimePoint now) {
  if (reviews_ != nullptr) return reviews_->Known(TokenOf(authorization));
  if (token_file_.empty()) return Verdict::kAdmit;
  ReadIfDue(now);
  const bool same = !token_.empty() && EqualInConstantTime(TokenOf(authorization), token_);
  return same ? Verdict::kAdmit : Verdict::kRefuse;
}

void IntakeAuth::Ask(std::string_view authorization, TokenReviews::Decide decide) {
  reviews_->Ask(TokenOf(authorization), std::move(decide));
}

void IntakeAuth::ReadIfDue(TimePoint now) {
  if (read_at_ && now - *read_at_ < kReadEvery) return;
  read_at_ = now;
  absl::StatusOr<std::string> text = read_(token_file_);
  token_ = text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : std::string();
}

}  // namespace rouse::autoscaler
