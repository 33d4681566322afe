#pragma once
// What:  ShortCopy, memcpy for texts that are mostly short: a header's name or value. Up to 32
//        bytes go by two overlapping moves, without a call.
// Owner: pure function. Any thread.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace rouse {

/// Copies `from` to `to`, which it must not overlap; returns the place behind it.
[[gnu::always_inline]] inline char* ShortCopy(char* to, std::string_view from) {
  struct Sixteen {
    char bytes[16];
  };
  const size_t size = from.size();
  const char* const bytes = from.data();
  const auto both = [&](auto part) {
    auto last = part;
    std::memcpy(&part, bytes, sizeof part);
    std::memcpy(&last, bytes + size - sizeof last, sizeof last);
    std::memcpy(to, &part, sizeof part);
    std::memcpy(to + size - sizeof last, &last, sizeof last);
  };
  if (size > 32) {
    std::memcpy(to, bytes, size);
  } else if (size >= 16) {
    both(Sixteen{});
  } else if (size >= 8) {
    both(uint64_t{});
  } else if (size >= 4) {
    both(uint32_t{});
  } else if (size > 0) {
    to[0] = bytes[0];
    to[size / 2] = bytes[size / 2];
    to[size - 1] = bytes[size - 1];
  }
  return to + size;
}

}  // namespace rouse
