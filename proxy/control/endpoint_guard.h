#pragma once
// What:  EndpointGuard, which addresses the proxy may dial at all. An EndpointSlice can name any
//        address (CVE-2021-25740 and its like), so loopback, link-local, multicast and unspecified
//        ones are refused unless a range is opened for them (`--allow-endpoint-cidr`).
// Owner: SnapshotBuilder; immutable. Any thread.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace rouse::proxy {

class EndpointGuard {
 public:
  /// `allowed` are ranges such as `127.0.0.0/8` or `fd00::/8`; `refused` single addresses (the API
  /// server, ourselves). kInvalidArgument names the range that is none.
  [[nodiscard]] static absl::StatusOr<EndpointGuard> Make(
      const std::vector<std::string>& allowed, const std::vector<std::string>& refused = {});

  [[nodiscard]] bool Allows(std::string_view address) const;

 private:
  using Bytes = std::array<uint8_t, 16>;  ///< IPv4 as v4-mapped
  struct Range {
    Bytes prefix;
    int bits;
  };
  static bool Parse(std::string_view text, Bytes& bytes);
  static bool In(const Bytes& address, const Range& range);

  std::vector<Range> allowed_;
  std::vector<Bytes> refused_;
};

}  // namespace rouse::proxy
