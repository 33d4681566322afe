#pragma once
// What:      HomeClaim, what one proxy tells another about the workloads that it takes itself for
//            home to; both the question and the answer. Its bytes: protobuf.
// Owner:     values; pure functions. Any thread.
// Limits:    kClaimBytesMax, kMembersMax, kHeldMax; names of at most kNameMax printable bytes.
// Invariant: DecodeClaim(EncodeClaim(x)) == x for every x within the limits.
// Never:     accepts a part of a malformed message.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace rouse::wire {

inline constexpr size_t kClaimBytesMax = 4 << 20;
inline constexpr size_t kMembersMax = 1024;
inline constexpr size_t kHeldMax = 16 * 1024;
inline constexpr size_t kClaimNameMax = 512;

/// Requests in flight at one pod, for a workload whose home is known by `key`.
struct HeldSlot {
  std::string key = {};
  std::string pod_uid = {};
  uint16_t port = 0;
  uint32_t count = 0;

  bool operator==(const HeldSlot&) const = default;
};

struct HomeClaim {
  std::string from = {};                  ///< the sender's address among the proxies
  uint64_t life = 0;                      ///< of the sender's process
  uint64_t round = 0;                     ///< grows within a life
  std::vector<std::string> members = {};  ///< by whom the sender decides who is home
  std::vector<HeldSlot> held = {};        ///< in an answer: of workloads that the asker claims

  bool operator==(const HomeClaim&) const = default;
};

[[nodiscard]] std::string EncodeClaim(const HomeClaim& claim);
/// kInvalidArgument where the bytes are no such message or break a limit; the text says which.
[[nodiscard]] absl::StatusOr<HomeClaim> DecodeClaim(std::string_view bytes);

}  // namespace rouse::wire
