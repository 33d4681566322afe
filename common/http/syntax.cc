#include "common/http/syntax.h"

#include <bit>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

size_t FindControl(std::string_view text, size_t from) {
  size_t at = from;
#ifdef __SSE2__
  const __m128i below = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, below), bytes);
    const __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low);
    const __m128i illegal = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, del));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(illegal));
    if (mask != 0) return at + static_cast<size_t>(std::countr_zero(mask));
  }
#endif
  for (; at < text.size(); ++at) {
    const auto c = static_cast<uint8_t>(text[at]);
    if ((c < 0x20 && c != '\t') || c == 0x7f) break;
  }
  return at;
}

size_t SkipAlnumHyphen(std::span<const char> bytes) {
  size_t at = 0;
#ifdef __SSE2__
  const auto most = [](__m128i value, char limit) {  // unsigned value <= limit
    return _mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(limit)), value);
  };
  for (; at + 16 <= bytes.size(); at += 16) {
    const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
    const __m128i lower = _mm_or_si128(text, _mm_set1_epi8(0x20));
    const __m128i letter = most(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 'z' - 'a');
    const __m128i digit = most(_mm_sub_epi8(text, _mm_set1_epi8('0')), 9);
    const __m128i hyphen = _mm_cmpeq_epi8(text, _mm_set1_epi8('-'));
    const __m128i ours = _mm_or_si128(_mm_or_si128(letter, digit), hyphen);
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(ours)) ^ 0xffff;
    if (mask != 0) return at + static_cast<size_t>(std::countr_zero(mask));
  }
#endif
  return at;
}

std::string_view TrimOws(std::string_view text) {
  while (!text.empty() && IsOws(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsOws(text.back())) text.remove_suffix(1);
  return text;
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
