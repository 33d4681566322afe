#pragma once
// What:  AddressRanges, a list of ranges such as `10.0.0.0/8` or `fd00::/8` that holds an address
//        or does not.
// Owner: a value; immutable once made. Any thread.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace rouse::net {

class AddressRanges {
 public:
  AddressRanges() = default;
  /// An address alone is a range of one. kInvalidArgument names the text that is no range.
  [[nodiscard]] static absl::StatusOr<AddressRanges> Parse(const std::vector<std::string>& texts);

  /// `address` as a number, without a port.
  [[nodiscard]] bool Contains(std::string_view address) const;
  [[nodiscard]] bool empty() const { return ranges_.empty(); }

 private:
  using Bytes = std::array<uint8_t, 16>;  ///< IPv4 as v4-mapped
  struct Range {
    Bytes prefix;
    int bits;
  };
  static bool Read(std::string_view text, Bytes& bytes, bool& v6);

  std::vector<Range> ranges_;
};

}  // namespace rouse::net
