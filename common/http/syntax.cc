#include "common/http/syntax.h"

#include "common/http/header_map.h"

namespace rouse::http {

uint8_t HexValue(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  return kNotHex;
}

bool AllAre(std::string_view text, CharClass wanted) {
  uint8_t all = wanted;
  for (const char c : text) all &= internal::kClasses[static_cast<uint8_t>(c)];
  return all != 0;
}

std::optional<uint64_t> ParseContentLength(std::string_view text) {
  constexpr size_t kDigitsMax = 19;  // 2^63 - 1 has 19
  if (text.empty() || text.size() > kDigitsMax || !AllAre(text, kDigitChar)) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
  if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return value;
}

bool NextListMember(std::string_view& rest, std::string_view& member) {
  if (rest.data() == nullptr) return false;
  const size_t comma = rest.find(',');
  member = TrimOws(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  return true;
}

bool ListHas(std::string_view list, std::string_view token) {
  std::string_view member;
  while (NextListMember(list, member)) {
    if (EqualsIgnoreCase(member, token)) return true;
  }
  return false;
}

}  // namespace rouse::http
