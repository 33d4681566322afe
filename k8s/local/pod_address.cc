#include "k8s/local/pod_address.h"

#include <absl/strings/str_cat.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rouse::k8s::local {

namespace {

constexpr uint32_t kAddresses = 64 * 256 * 254;  // 127.16.0.1 to 127.79.255.254

std::string AddressText(uint32_t index) {
  const uint32_t last = index % 254 + 1;
  const uint32_t rest = index / 254;
  return absl::StrCat("127.", 16 + rest / 256, ".", rest % 256, ".", last);
}

/// Whether one could listen on this port on every address.
bool IsFree(uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const int on = 1;
  // What only waits out its closing is no hindrance; a listener is.
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const bool free = bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(socket);
  return free;
}

}  // namespace

PodAddresses::PodAddresses(uint64_t seed) : next_address_(0), next_port_(kPortFirst) {
  Random random(seed);
  next_address_ = static_cast<uint32_t>(random.Below(kAddresses));
  next_port_ = static_cast<uint16_t>(kPortFirst + random.Below(kPortLast - kPortFirst + 1));
}

std::string PodAddresses::TakeAddress() {
  std::string address;
  do {
    address = AddressText(next_address_);
    next_address_ = (next_address_ + 1) % kAddresses;
  } while (!addresses_.insert(address).second);
  return address;
}

void PodAddresses::ReturnAddress(const std::string& address) { addresses_.erase(address); }

std::optional<uint16_t> PodAddresses::TakePort() {
  for (int tries = kPortLast - kPortFirst; tries >= 0; --tries) {
    const uint16_t port = next_port_;
    next_port_ = port == kPortLast ? kPortFirst : static_cast<uint16_t>(port + 1);
    if (!ports_.contains(port) && IsFree(port)) {
      ports_.insert(port);
      return port;
    }
  }
  return std::nullopt;
}

}  // namespace rouse::k8s::local
