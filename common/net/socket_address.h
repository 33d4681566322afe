#pragma once
// What:  SocketAddress, an IPv4 or IPv6 address with a port.
// Owner: a value, trivially copyable. Any thread.
// Never: resolves names.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

namespace rouse::net {

class SocketAddress {
 public:
  /// Long enough for any address without port, and its terminating zero.
  static constexpr size_t kTextMax = INET6_ADDRSTRLEN;

  /// 0.0.0.0:0
  SocketAddress();
  /// `address` as the system gave it.
  explicit SocketAddress(const sockaddr_storage& address);

  /// "10.0.0.1:80" or "[::1]:80"; numbers only.
  [[nodiscard]] static std::optional<SocketAddress> Parse(std::string_view text);
  /// "10.0.0.1" or "::1".
  [[nodiscard]] static std::optional<SocketAddress> Parse(std::string_view ip, uint16_t port);
  [[nodiscard]] static SocketAddress Loopback(uint16_t port);
  /// The address that a socket is bound to.
  [[nodiscard]] static SocketAddress OfSocket(int fd);

  [[nodiscard]] bool is_v6() const { return address_.v4.sin_family == AF_INET6; }
  [[nodiscard]] int family() const { return address_.v4.sin_family; }
  [[nodiscard]] uint16_t port() const;
  void set_port(uint16_t port);
  /// The address without port; an IPv4 address in IPv6 clothes prints as IPv4.
  std::string_view Ip(char (&text)[kTextMax]) const;
  [[nodiscard]] std::string text() const;

  [[nodiscard]] const sockaddr* data() const {
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  [[nodiscard]] socklen_t size() const {
    return is_v6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }

  bool operator==(const SocketAddress& other) const;
  template <typename H>
  friend H AbslHashValue(H state, const SocketAddress& address) {
    return H::combine(
        H::combine_contiguous(std::move(state), address.ip_bytes(), address.is_v6() ? 16 : 4),
        address.port());
  }

 private:
  [[nodiscard]] const uint8_t* ip_bytes() const;

  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address_;
};

}  // namespace rouse::net
