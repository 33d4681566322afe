#pragma once
// What:      what one hop drops from and adds to a head (RFC 9110 section 7.6): hop-by-hop fields,
//            what an untrusted client may not say, our forwarding fields; and the request id.
// Owner:     the exchange; pure functions over its head, values built in its ValueStore.
// Limits:    additions fit HeadPatch's inline room, values ValueStore's block, or they go to the
//            heap.
// Invariant: framing fields and Host are always dropped: the codec writes them from the validated
//            head.
// Never:     touches the bytes that came in; decides where a request goes.

#include <array>
#include <forward_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "common/http/message.h"
#include "common/http/stream.h"
#include "common/net/frame_pool.h"

namespace rouse::proxy {

/// What to do with a field name that holds an underscore (security.md N11): CGI-like servers read
/// `X_Foo` as `X-Foo`.
enum class Underscores : uint8_t { kDrop, kPass, kReject };

/// The fields by which a hop says where a message came from.
inline constexpr std::array<http::HeaderId, 7> kForwardFields = {
    http::HeaderId::kXForwardedFor,  http::HeaderId::kXForwardedProto,
    http::HeaderId::kXForwardedHost, http::HeaderId::kXForwardedPort,
    http::HeaderId::kForwarded,      http::HeaderId::kVia,
    http::HeaderId::kXRequestId};
constexpr uint64_t BitsOf(std::span<const http::HeaderId> ids) {
  uint64_t bits = 0;
  for (const http::HeaderId id : ids) bits |= http::BitOf(id);
  return bits;
}

struct ForwardPolicy {
  /// Proxies in front of us whose forwarding fields are believed; 0: none is, all are replaced.
  uint32_t trusted_hops = 0;
  Underscores underscores = Underscores::kDrop;
  /// Our name in Via; a request that carries it twice has looped (RFC 9110 section 7.6.3).
  std::string via = "rouse";
  /// Of kForwardFields, a bit for each that goes out: as ours, or a believed peer's with it. The
  /// others are removed, whoever sent them. Without Via no loop is found.
  uint64_t adds = BitsOf(kForwardFields);

  [[nodiscard]] bool Adds(http::HeaderId id) const { return (adds & http::BitOf(id)) != 0; }
};

/// Bytes of values built for one exchange. Views stay valid until Clear. The first few are its own,
/// enough for a request id of ours, so that a parked exchange holds no more; then a pooled block;
/// and what does not fit there goes to the heap.
class ValueStore {
 public:
  static constexpr size_t kFirstBytes = 32;
  static constexpr size_t kBlockBytes = 256;
  ValueStore() = default;
  ~ValueStore() { Clear(); }
  ValueStore(const ValueStore&) = delete;
  ValueStore& operator=(const ValueStore&) = delete;

  /// Room for `bytes` bytes, to be filled at once.
  [[nodiscard]] char* Take(size_t bytes) {
    if (static_cast<size_t>(end_ - at_) < bytes) return TakeMore(bytes);
    return std::exchange(at_, at_ + bytes);
  }
  /// The last `bytes` of what was just taken at `begin` were not needed.
  void GiveBack(const char* begin, size_t taken, size_t bytes) {
    if (begin + taken == at_) at_ -= bytes;
  }
  [[nodiscard]] std::string_view Copy(std::string_view text);
  [[nodiscard]] std::string_view Concat(std::initializer_list<std::string_view> parts);
  /// Gives back all but `kept`, one of its own, and returns where that is now.
  [[nodiscard]] std::string_view ClearBut(std::string_view kept);
  void Clear() {
    if (block_ != nullptr) net::FramePool::Give(std::exchange(block_, nullptr), kBlockBytes);
    at_ = first_.data();
    end_ = at_ + kFirstBytes;
    if (!overflow_.empty()) overflow_.clear();
  }

 private:
  char* TakeMore(size_t bytes);
  std::array<char, kFirstBytes> first_;
  char* at_ = first_.data();
  char* end_ = first_.data() + kFirstBytes;
  char* block_ = nullptr;
  std::forward_list<std::string> overflow_;
};

/// What is left of the client's own deadlines at the moment of sending; zero: the field is not
/// forwarded.
struct RemainingTime {
  Duration grpc{};
  Duration request{};
  Duration envoy{};
};

/// The client's id where the peer is trusted and it is valid (1-128 of [A-Za-z0-9._-]), else a
/// fresh one of 32 hex digits.
[[nodiscard]] std::string_view RequestIdOf(const http::RequestHead& head,
                                           const ForwardPolicy& policy, Random& random,
                                           ValueStore& values);

/// The client's address: the peer's, or with trusted hops that entry of X-Forwarded-For from the
/// right.
[[nodiscard]] std::string_view ClientAddressOf(const http::RequestHead& head,
                                               const http::PeerInfo& peer,
                                               const ForwardPolicy& policy);

/// kLoopDetected; kBadRequest where the policy rejects an underscore; else kNone.
[[nodiscard]] Error MayForward(const http::RequestHead& head, const ForwardPolicy& policy);

/// Fills `patch` for the way up.
void PatchRequest(const http::RequestHead& head, const http::PeerInfo& peer,
                  const ForwardPolicy& policy, std::string_view request_id,
                  const RemainingTime& remaining, ValueStore& values, http::HeadPatch& patch);

/// Fills `patch` for the way down. A 101 keeps what names its protocol.
void PatchResponse(const http::ResponseHead& head, const ForwardPolicy& policy,
                   std::string_view request_id, ValueStore& values, http::HeadPatch& patch);

/// `1*8DIGIT` and a unit, as gRPC writes it: never more than eight digits, rounded down.
[[nodiscard]] std::string_view GrpcTimeoutText(Duration timeout, ValueStore& values);

}  // namespace rouse::proxy
