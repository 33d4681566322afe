#pragma once
// What:      AccessLog: one fixed-size record per exchange, kept and handed on in batches;
//            FormatRecord turns one into a line.
// Owner:     one per shard; on_batch reads the records on that shard and posts their lines to the
//            writer. The records stay here and are filled again.
// Limits:    kRing records: full = drop and count. Texts are cut to their fields.
// Never:     allocates per record, waits, or logs what a request carries beyond method, host and
//            path.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/short_copy.h"
#include "common/http/message.h"

namespace rouse::proxy {

/// A text of at most N bytes, cut beyond; `cut` says so.
template <size_t N>
struct ShortText {
  uint16_t size = 0;
  bool cut = false;
  std::array<char, N> bytes;
  void operator=(std::string_view text) {
    size = static_cast<uint16_t>(text.size() < N ? text.size() : N);
    cut = text.size() > N;
    ShortCopy(bytes.data(), text.substr(0, size));
  }
  [[nodiscard]] std::string_view view() const { return {bytes.data(), size}; }
};

/// Moments of a cold start; kNever where it did not happen.
struct ColdStartTimes {
  TimePoint parked = kNever;      ///< the exchange was parked
  TimePoint reported = kNever;    ///< the wake was sent
  TimePoint known = kNever;       ///< the first endpoint, starting or ready, came with a snapshot
  TimePoint ready = kNever;       ///< the first endpoint became usable
  TimePoint slot = kNever;        ///< this exchange got its slot
  TimePoint first_byte = kNever;  ///< of the response, from the pod
  bool probed = false;            ///< readiness came from an early probe
  bool cold = false;              ///< parked while no endpoint was usable

  [[nodiscard]] bool was_parked() const { return parked != kNever; }
};

struct AccessRecord {
  WallTime wall{};    ///< at the end
  TimePoint start{};  ///< the request head was complete
  TimePoint end{};
  ColdStartTimes cold;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  int status = 0;  ///< as sent to the client; 0: none
  http::Version version = http::Version::kHttp11;
  ErrorKind error = ErrorKind::kNone;
  uint8_t attempts = 0;
  bool tls = false;
  ShortText<16> method;
  ShortText<64> host;
  ShortText<256> path;
  ShortText<46> client;
  ShortText<128> workload;
  ShortText<64> pod;
  ShortText<64> request_id;
};

enum class AccessFormat : uint8_t { kText, kJson };
/// Appends one line with its newline; control characters and quotes escaped.
void FormatRecord(const AccessRecord& record, AccessFormat format, std::string& out);

class AccessLog {
 public:
  static constexpr size_t kRing = 512;
  using OnBatch = absl::AnyInvocable<void(std::span<const AccessRecord>)>;

  /// `on_batch` reads what has gathered; called by Flush.
  explicit AccessLog(OnBatch on_batch);

  /// A place to fill whole (it holds what was there before), or null where the ring is full
  /// (counted) or the log is off.
  [[nodiscard]] AccessRecord* Next();
  /// Hands the filled records on; the shard calls it each turn that made any, or on a timer.
  void Flush();
  [[nodiscard]] size_t pending() const { return pending_; }
  [[nodiscard]] uint64_t dropped() const { return dropped_; }
  void set_enabled(bool enabled) { enabled_ = enabled; }
  [[nodiscard]] bool enabled() const { return enabled_; }

 private:
  OnBatch on_batch_;
  std::unique_ptr<AccessRecord[]> ring_;  ///< made by the first record
  size_t pending_ = 0;
  uint64_t dropped_ = 0;
  bool enabled_ = true;
};

}  // namespace rouse::proxy
