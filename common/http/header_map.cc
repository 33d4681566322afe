#include "common/http/header_map.h"

#include <array>

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

/// The known names of each length, as ids; a length has at most kPerLength of them.
constexpr size_t kPerLength = 8;
struct ByLength {
  std::array<std::array<HeaderId, kPerLength>, kLongest + 1> ids{};
  std::array<uint8_t, kLongest + 1> count{};
};

constexpr ByLength GroupByLength() {
  ByLength groups;
  for (size_t i = 0; i < kKnown; ++i) {
    const size_t length = kNames[i].size();
    groups.ids[length][groups.count[length]++] = static_cast<HeaderId>(i);
  }
  return groups;
}
constexpr ByLength kByLength = GroupByLength();

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

HeaderId IdOf(std::string_view name) {
  if (name.size() > kLongest || name.empty()) return HeaderId::kOther;
  const char first = Lower(name[0]);
  const char last = Lower(name.back());
  const auto& ids = kByLength.ids[name.size()];
  for (size_t i = 0; i < kByLength.count[name.size()]; ++i) {
    const std::string_view known = kNames[static_cast<size_t>(ids[i])];
    if (known[0] == first && known.back() == last && EqualsIgnoreCase(known, name)) return ids[i];
  }
  return HeaderId::kOther;
}

std::string_view NameOf(HeaderId id) {
  return id == HeaderId::kOther ? std::string_view() : kNames[static_cast<size_t>(id)];
}

void HeaderMap::Append(std::string_view name, std::string_view value, HeaderId id) {
  fields_.push_back({static_cast<uint32_t>(name.data() - base_),
                     static_cast<uint32_t>(value.data() - base_),
                     static_cast<uint32_t>(value.size()), static_cast<uint16_t>(name.size()), id});
  if (id != HeaderId::kOther) known_ |= uint64_t{1} << static_cast<unsigned>(id);
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
