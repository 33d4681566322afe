#pragma once
// What:  the two searches that a head's bytes go through, sixteen bytes a step where the machine
//        has SSE2 (every amd64 does), else byte by byte.
// Owner: pure functions. Any thread.
// Never: reads beyond the text.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rouse::http {

/// The first control character other than HT (DEL counts) at or after `from`; text.size() where
/// there is none.
[[nodiscard]] inline size_t FindControl(std::string_view text, size_t from) {
  size_t at = from;
#ifdef __SSE2__
  const __m128i below = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  const auto controls = [&](size_t place) {  // one bit for each of sixteen bytes
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + place));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, below), bytes);
    const __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low);
    const __m128i illegal = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, del));
    return static_cast<unsigned>(_mm_movemask_epi8(illegal));
  };
  for (; at + 16 <= text.size(); at += 16) {
    const unsigned mask = controls(at);
    if (mask != 0) return at + static_cast<size_t>(std::countr_zero(mask));
  }
  if (text.size() >= 16 && at < text.size()) {
    // The rest is shorter than a step: the last sixteen bytes, without those seen already.
    const size_t last = text.size() - 16;
    const unsigned mask = controls(last) >> (at - last);
    return mask == 0 ? text.size() : at + static_cast<size_t>(std::countr_zero(mask));
  }
#endif
  for (; at < text.size(); ++at) {
    const auto c = static_cast<uint8_t>(text[at]);
    if ((c < 0x20 && c != '\t') || c == 0x7f) break;
  }
  return at;
}

/// How many letters, digits and hyphens `bytes` begins with; it may count fewer where it is shorter
/// than sixteen bytes, or they end close to its end.
[[nodiscard]] inline size_t SkipAlnumHyphen(std::span<const char> bytes) {
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

}  // namespace rouse::http
