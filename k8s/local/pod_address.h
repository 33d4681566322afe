#pragma once
// What:      PodAddresses: an address (127.x.y.z) and a free port for each pod (design 15.13).
// Owner:     ProcessRunner. Control thread.
// Limits:    addresses 127.16.0.1 up; ports kPortFirst..kPortLast, below what the system gives to
//            callers.
// Invariant: no two pods hold the same address or the same port at once; one just freed is the last
//            to come again.

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "common/base/random.h"

namespace rouse::k8s::local {

class PodAddresses {
 public:
  static constexpr uint16_t kPortFirst = 18000;
  static constexpr uint16_t kPortLast = 31999;

  /// The seed decides where the search begins, so that two runners on one machine seldom meet.
  explicit PodAddresses(uint64_t seed);

  [[nodiscard]] std::string TakeAddress();
  void ReturnAddress(const std::string& address);
  /// A port on which nobody listens, on any address; nullopt where none is left.
  [[nodiscard]] std::optional<uint16_t> TakePort();
  /// One that somebody chose.
  void TakeFixedPort(uint16_t port) { ports_.insert(port); }
  void ReturnPort(uint16_t port) { ports_.erase(port); }

 private:
  uint32_t next_address_;
  std::set<std::string> addresses_;
  uint16_t next_port_;
  std::set<uint16_t> ports_;
};

}  // namespace rouse::k8s::local
