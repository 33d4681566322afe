#include "autoscaler/intake/intake_auth.h"

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

}  // namespace

bool IntakeAuth::Admits(std::optional<std::string_view> authorization, TimePoint now) {
  if (token_file_.empty()) return true;
  ReadIfDue(now);
  constexpr std::string_view kScheme = "Bearer ";
  if (token_.empty() || !authorization || authorization->size() <= kScheme.size()) return false;
  // RFC 9110 section 11.1: the scheme's name has no case.
  const absl::string_view scheme(authorization->data(), kScheme.size());
  if (!absl::EqualsIgnoreCase(scheme, {kScheme.data(), kScheme.size()})) return false;
  return EqualInConstantTime(authorization->substr(kScheme.size()), token_);
}

void IntakeAuth::ReadIfDue(TimePoint now) {
  if (read_at_ && now - *read_at_ < kReadEvery) return;
  read_at_ = now;
  absl::StatusOr<std::string> text = read_(token_file_);
  token_ = text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : std::string();
}

}  // namespace rouse::autoscaler
