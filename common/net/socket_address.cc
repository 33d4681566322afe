#include "common/net/socket_address.h"

#include <charconv>
#include <cstring>

#include <arpa/inet.h>

#include "common/base/check.h"

namespace rouse::net {

SocketAddress::SocketAddress() {
  std::memset(&address_, 0, sizeof address_);
  address_.v4.sin_family = AF_INET;
}

SocketAddress::SocketAddress(const sockaddr_storage& address) {
  CHECK(address.ss_family == AF_INET || address.ss_family == AF_INET6);
  static_assert(sizeof address_ <= sizeof address);
  std::memcpy(&address_, &address, sizeof address_);
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  const bool brackets = ip.size() > 2 && ip.front() == '[' && ip.back() == ']';
  if (brackets) ip = ip.substr(1, ip.size() - 2);
  auto address = Parse(ip, port);
  if (!address || address->is_v6() != brackets) return std::nullopt;
  return address;
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view ip, uint16_t port) {
  char text[kTextMax];
  if (ip.size() >= sizeof text) return std::nullopt;
  std::memcpy(text, ip.data(), ip.size());
  text[ip.size()] = '\0';
  SocketAddress address;
  if (inet_pton(AF_INET, text, &address.address_.v4.sin_addr) != 1) {
    std::memset(&address.address_, 0, sizeof address.address_);
    address.address_.v6.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, text, &address.address_.v6.sin6_addr) != 1) return std::nullopt;
  }
  address.set_port(port);
  return address;
}

SocketAddress SocketAddress::Loopback(uint16_t port) {
  SocketAddress address;
  address.address_.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.set_port(port);
  return address;
}

SocketAddress SocketAddress::OfSocket(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return SocketAddress(address);
}

uint16_t SocketAddress::port() const {
  return ntohs(is_v6() ? address_.v6.sin6_port : address_.v4.sin_port);
}

void SocketAddress::set_port(uint16_t port) {
  (is_v6() ? address_.v6.sin6_port : address_.v4.sin_port) = htons(port);
}

std::string_view SocketAddress::Ip(char (&text)[kTextMax]) const {
  const bool mapped = is_v6() && IN6_IS_ADDR_V4MAPPED(&address_.v6.sin6_addr);
  const bool as_v4 = !is_v6() || mapped;
  const uint8_t* const bytes = ip_bytes() + (mapped ? 12 : 0);
  if (!as_v4) {
    CHECK(inet_ntop(AF_INET6, bytes, text, sizeof text) != nullptr);
    return text;
  }
  // Once per connection; inet_ntop goes through printf.
  char* at = text;
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, text + sizeof text, static_cast<unsigned>(bytes[i])).ptr;
  }
  *at = '\0';
  return {text, static_cast<size_t>(at - text)};
}

std::string SocketAddress::text() const {
  char ip[kTextMax];
  const std::string_view address = Ip(ip);
  std::string result;
  const bool brackets = address.find(':') != std::string_view::npos;
  if (brackets) result += '[';
  result += address;
  if (brackets) result += ']';
  result += ':';
  result += std::to_string(port());
  return result;
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return is_v6() == other.is_v6() && port() == other.port() &&
         std::memcmp(ip_bytes(), other.ip_bytes(), is_v6() ? 16 : 4) == 0;
}

const uint8_t* SocketAddress::ip_bytes() const {
  return is_v6() ? reinterpret_cast<const uint8_t*>(&address_.v6.sin6_addr)
                 : reinterpret_cast<const uint8_t*>(&address_.v4.sin_addr);
}

}  // namespace rouse::net
