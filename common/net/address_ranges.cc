#include "common/net/address_ranges.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>

namespace rouse::net {

absl::StatusOr<AddressRanges> AddressRanges::Parse(const std::vector<std::string>& texts) {
  AddressRanges made;
  for (const std::string& text : texts) {
    const size_t slash = text.find('/');
    Range range{};
    bool v6 = false;
    bool good = Read(std::string_view(text).substr(0, slash), range.prefix, v6);
    const int most = v6 ? 128 : 32;
    range.bits = most;
    if (slash != std::string::npos) {
      const char* const end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data() + slash + 1, end, range.bits);
      good = good && error == std::errc() && at == end && range.bits >= 0 && range.bits <= most;
    }
    if (!good)
      return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no range of addresses"));
    if (!v6) range.bits += 96;
    made.ranges_.push_back(range);
  }
  return made;
}

bool AddressRanges::Contains(std::string_view address) const {
  Bytes bytes;
  bool v6 = false;
  if (!Read(address, bytes, v6)) return false;
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    const auto whole = static_cast<size_t>(range.bits / 8);
    if (std::memcmp(bytes.data(), range.prefix.data(), whole) != 0) return false;
    if (range.bits % 8 == 0) return true;
    const auto mask = static_cast<uint8_t>(0xff << (8 - range.bits % 8));
    return ((bytes[whole] ^ range.prefix[whole]) & mask) == 0;
  });
}

bool AddressRanges::Read(std::string_view text, Bytes& bytes, bool& v6) {
  char zeroed[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof zeroed) return false;
  std::copy(text.begin(), text.end(), zeroed);
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  v6 = inet_pton(AF_INET6, zeroed, bytes.data()) == 1;
  return v6 || inet_pton(AF_INET, zeroed, bytes.data() + 12) == 1;
}

}  // namespace rouse::net
