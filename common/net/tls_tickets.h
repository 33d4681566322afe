#pragma once
// What:      TlsTicketKeys, the keys that session tickets are sealed with: derived (HKDF, RFC 5869)
//            from a seed and the number of the 12 h epoch, so that replicas with one seed open each
//            other's tickets, and no key outlives two epochs.
// Owner:     shared_ptr; immutable. Any thread.
// Invariant: sealed with the current epoch's key; opened with that of the current, the previous or
//            (a replica's clock that runs ahead) the next epoch.
// Never:     shows a key.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace rouse::net {

class TlsTicketKeys {
 public:
  static constexpr std::chrono::hours kEpoch{12};
  static constexpr size_t kNameBytes = 16;
  struct Key {
    std::array<uint8_t, kNameBytes> name;
    std::array<uint8_t, 32> cipher;
    std::array<uint8_t, 32> mac;
  };

  /// `seed`: at least 32 secret bytes for a set of replicas.
  TlsTicketKeys(std::string_view seed, WallTime now);
  /// A seed of this process alone.
  [[nodiscard]] static std::string RandomSeed();

  /// What tickets are sealed with at `now`.
  [[nodiscard]] Key Sealing(WallTime now) const { return Of(EpochOf(now)); }
  /// The key of that name, if it may still be used at `now`.
  [[nodiscard]] std::optional<Key> Opening(const uint8_t* name, WallTime now) const;

 private:
  [[nodiscard]] static int64_t EpochOf(WallTime now);
  [[nodiscard]] Key Of(int64_t epoch) const;
  [[nodiscard]] Key Derive(int64_t epoch) const;

  std::string seed_;
  int64_t known_from_;        ///< the epoch of known_[0]
  std::array<Key, 4> known_;  ///< so that deriving is no part of a handshake; others are derived
};

}  // namespace rouse::net
