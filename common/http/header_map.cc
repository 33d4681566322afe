#include "common/http/header_map.h"

#include <array>
#include <cstring>

namespace rouse::http {
namespace {

constexpr size_t kKnown = static_cast<size_t>(HeaderId::kOther);

constexpr std::array<std::string_view, kKnown> kNames = {
#define ROUSE_HEADER_NAME(id, name) name,
    ROUSE_HEADERS(ROUSE_HEADER_NAME)
#undef ROUSE_HEADER_NAME
};

constexpr size_t LongestName() {
  size_t longest = 0;
  for (const std::string_view name : kNames)
    longest = name.size() > longest ? name.size() : longest;
  return longest;
}
constexpr size_t kLongest = LongestName();

/// A known name as words of eight bytes, and the bits by which a byte of it may differ: 0x20 where
/// it is a letter.
constexpr size_t kRoom = 32;
static_assert(kLongest <= kRoom);
struct Known {
  std::array<char, kRoom> lower{};
  std::array<char, kRoom> folds{};
  uint8_t size = 0;
  HeaderId id = HeaderId::kOther;
};

/// Perfect for the names above: their length and three of their letters tell them apart.
constexpr size_t kPlaceBits = 8;
constexpr size_t PlaceOf(std::string_view name, uint32_t factor) {
  const auto letter = [&](size_t i) { return static_cast<uint32_t>(name[i] | 0x20) & 0xff; };
  const size_t size = name.size();
  const uint32_t mix = letter(0) | (letter(size / 2) << 8) | (letter(size * 3 / 4) << 16) |
                       (static_cast<uint32_t>(size) << 24);
  return (mix * factor) >> (32 - kPlaceBits);
}
constexpr bool TellsApart(uint32_t factor) {
  std::array<bool, 1 << kPlaceBits> taken{};
  for (const std::string_view name : kNames) {
    bool& place = taken[PlaceOf(name, factor)];
    if (place) return false;
    place = true;
  }
  return true;
}
constexpr uint32_t FindFactor() {
  constexpr int kTriesMost = 500;
  uint32_t factor = 0x9e3779b1;
  for (int i = 0; i < kTriesMost && !TellsApart(factor); ++i) factor = factor * 5 + 2;
  return factor;
}
constexpr uint32_t kFactor = FindFactor();
static_assert(TellsApart(kFactor), "pick other letters in PlaceOf");

constexpr std::array<Known, 1 << kPlaceBits> MakePlaces() {
  std::array<Known, 1 << kPlaceBits> places{};
  for (size_t i = 0; i < kKnown; ++i) {
    Known& known = places[PlaceOf(kNames[i], kFactor)];
    known.size = static_cast<uint8_t>(kNames[i].size());
    known.id = static_cast<HeaderId>(i);
    for (size_t at = 0; at < kNames[i].size(); ++at) {
      const char c = kNames[i][at];
      known.lower[at] = c;
      known.folds[at] = c >= 'a' && c <= 'z' ? 0x20 : 0;
    }
  }
  return places;
}
constexpr std::array<Known, 1 << kPlaceBits> kPlaces = MakePlaces();

template <typename Word>
Word Load(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// The bytes at `at` are the known ones, letters in either case.
template <typename Word>
bool SameAt(const Known& known, std::string_view name, size_t at) {
  return (Load<Word>(name.data() + at) | Load<Word>(known.folds.data() + at)) ==
         Load<Word>(known.lower.data() + at);
}

/// Eight bytes a step; the last step may overlap the one before.
bool Is(const Known& known, std::string_view name) {
  const size_t size = name.size();
  if (size >= 8) {
    for (size_t at = 0; at + 8 < size; at += 8)
      if (!SameAt<uint64_t>(known, name, at)) return false;
    return SameAt<uint64_t>(known, name, size - 8);
  }
  if (size >= 4) return SameAt<uint32_t>(known, name, 0) && SameAt<uint32_t>(known, name, size - 4);
  for (size_t at = 0; at < size; ++at)
    if (!SameAt<uint8_t>(known, name, at)) return false;
  return true;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// Eight letters in lower case; bytes that are no capital letters stay.
uint64_t Lowered(uint64_t word) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const uint64_t low = word & (kEach * 0x7f);
  const uint64_t from_a = low + kEach * (0x80 - 'A');
  const uint64_t beyond_z = low + kEach * (0x7f - 'Z');
  const uint64_t capital = from_a & ~beyond_z & ~word & (kEach * 0x80);
  return word | (capital >> 2);
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const size_t size = a.size();
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    if (Lowered(Load<uint64_t>(a.data() + at)) != Lowered(Load<uint64_t>(b.data() + at)))
      return false;
  }
  for (; at < size; ++at)
    if (Lower(a[at]) != Lower(b[at])) return false;
  return true;
}

HeaderId IdOf(std::string_view name) {
  if (name.size() > kLongest || name.empty()) return HeaderId::kOther;
  const Known& known = kPlaces[PlaceOf(name, kFactor)];
  return known.size == name.size() && Is(known, name) ? known.id : HeaderId::kOther;
}

std::optional<std::string_view> HeaderMap::Find(HeaderId id) const {
  if (!has(id)) return std::nullopt;
  for (size_t i = 0; i < size(); ++i) {
    if (fields_[i].id == id) return value(i);
  }
  return std::nullopt;
}

std::optional<std::string_view> HeaderMap::Find(std::string_view wanted) const {
  for (size_t i = 0; i < size(); ++i) {
    if (EqualsIgnoreCase(name(i), wanted)) return value(i);
  }
  return std::nullopt;
}

size_t HeaderMap::heap_bytes() const {
  return fields_.capacity() > kInlineFields ? fields_.capacity() * sizeof(Field) : 0;
}

}  // namespace rouse::http
