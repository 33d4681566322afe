#pragma once
// What:  the character classes of RFC 9110 and RFC 3986 as tables, and the scans that rest on them.
// Owner: pure functions. Any thread.
// Never: lenient: a byte is in its class or the message is refused.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/http/scan.h"

namespace rouse::http {

enum CharClass : uint8_t {
  kTokenChar = 1,   ///< RFC 9110 section 5.6.2
  kTargetChar = 2,  ///< of a path or query: RFC 3986 pchar, '/', '?', and '%' (checked apart)
  kHostChar = 4,    ///< of a name that DNS or a cluster could know, stricter than RFC 3986
  kDigitChar = 8,
  kHexChar = 16,
};

namespace internal {

constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> classes{};
  const auto add = [&](std::string_view chars, uint8_t bit) {
    for (const char c : chars) classes[static_cast<uint8_t>(c)] |= bit;
  };
  for (int c = 'a'; c <= 'z'; ++c) {
    classes[static_cast<size_t>(c)] |= kTokenChar | kTargetChar | kHostChar;
    classes[static_cast<size_t>(c - 32)] |= kTokenChar | kTargetChar | kHostChar;
  }
  for (int c = '0'; c <= '9'; ++c) {
    classes[static_cast<size_t>(c)] |= kTokenChar | kTargetChar | kHostChar | kDigitChar | kHexChar;
  }
  add("!#$%&'*+-.^_`|~", kTokenChar);
  // unreserved, sub-delims, ':', '@', '/', '?', '%', and '[' ']' as queries carry them in practice.
  add("-._~!$&'()*+,;=:@/?%[]", kTargetChar);
  add("-._~", kHostChar);
  add("abcdefABCDEF", kHexChar);
  return classes;
}
inline constexpr std::array<uint8_t, 256> kClasses = MakeClasses();

}  // namespace internal

[[nodiscard]] inline bool IsA(char c, CharClass wanted) {
  return (internal::kClasses[static_cast<uint8_t>(c)] & wanted) != 0;
}
[[nodiscard]] inline bool IsOws(char c) { return c == ' ' || c == '\t'; }
/// 0-15; kNotHex where it is no hexadecimal digit.
inline constexpr uint8_t kNotHex = 0xff;
[[nodiscard]] uint8_t HexValue(char c);
[[nodiscard]] constexpr char LowerCase(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// Every byte is of the class; true for an empty text.
[[nodiscard]] bool AllAre(std::string_view text, CharClass wanted);
[[nodiscard]] inline bool IsToken(std::string_view text) {
  return !text.empty() && AllAre(text, kTokenChar);
}
/// No control character but HT: a field's value (RFC 9110 section 5.5).
[[nodiscard]] inline bool IsFieldValue(std::string_view text) {
  return FindControl(text, 0) == text.size();
}
/// Without leading and trailing spaces and tabs.
[[nodiscard]] inline std::string_view TrimOws(std::string_view text) {
  while (!text.empty() && IsOws(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsOws(text.back())) text.remove_suffix(1);
  return text;
}
/// Digits only, no leading zero, below 2^63.
[[nodiscard]] std::optional<uint64_t> ParseContentLength(std::string_view text);

/// Walks a comma-separated list: sets `member` (trimmed, may be empty) and shortens `rest`. False
/// at the end.
[[nodiscard]] bool NextListMember(std::string_view& rest, std::string_view& member);
/// A list holds this token, compared without case.
[[nodiscard]] bool ListHas(std::string_view list, std::string_view token);

}  // namespace rouse::http
