#include "common/net/listener.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/net/socket_options.h"

namespace rouse::net {
namespace {

absl::Status Failed(const char* call, const SocketAddress& address, int code) {
  return absl::UnavailableError(std::string(call) + " " + address.text() + ": " +
                                std::generic_category().message(code));
}

bool IsAnyV6(const SocketAddress& address) {
  return address == *SocketAddress::Parse("::", address.port());
}

/// Before listen: the window scale is settled by the handshake. Linux takes one segment back from a
/// window of more than two that fills its buffer. Until as much has arrived (64 KiB on loopback:
/// 1 600 requests of 41 bytes) every segment of ours announces another window, and its receiver
/// leaves the fast path, in our time; README, Decisions of 2026-11-26.
void SetReceiveWindow(int listener, int window) {
  constexpr int kSegmentMost = 64 * 1024;
  const int asked = window + kSegmentMost;
  CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked) == 0);
  int granted = 0;  // at most net.core.rmem_max; Linux tells the double, for its own use
  socklen_t size = sizeof granted;
  CHECK(getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &granted, &size) == 0);
  granted /= 2;
  if (granted > 2 * kSegmentMost) window = std::min(window, granted - kSegmentMost);
  CHECK(setsockopt(listener, IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof window) == 0);
}

}  // namespace

absl::StatusOr<Descriptor> Listen(const SocketAddress& address, const ListenOptions& options) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket && errno == EAFNOSUPPORT && IsAnyV6(address))
    return Listen(*SocketAddress::Parse("0.0.0.0", address.port()), options);
  if (!socket) return Failed("socket", address, errno);
  const int on = 1;
  const int off = 0;
  if (address.is_v6())
    CHECK(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
  CHECK(setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  CHECK(setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
  if (options.client_receive_buffer > 0) {
    SetReceiveWindow(socket.get(), options.client_receive_buffer);
  }
  if (options.defer_accept) {
    const int seconds = static_cast<int>(kDeferred.count());
    CHECK(setsockopt(socket.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
  }
  SetConnectionOptions(socket.get());
  if (bind(socket.get(), address.data(), address.size()) != 0) {
    return Failed("bind", address, errno);
  }
  if (listen(socket.get(), options.backlog) != 0) return Failed("listen", address, errno);
  return socket;
}

bool DefersAccept(int listener) {
  int seconds = 0;
  socklen_t size = sizeof seconds;
  CHECK(getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size) == 0);
  return seconds > 0;
}

}  // namespace rouse::net
