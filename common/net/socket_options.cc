#include "common/net/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/base/check.h"

namespace rouse::net {
namespace {

constexpr int kKeepaliveIdleSeconds = 30;
constexpr int kKeepaliveEverySeconds = 10;
constexpr int kKeepaliveProbes = 3;
constexpr int kUserTimeoutMilliseconds = 20'000;

void Set(int fd, int level, int name, int value) {
  CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
}

}  // namespace

void SetConnectionOptions(int fd) {
  Set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  Set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveEverySeconds);
  Set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMilliseconds);
}

}  // namespace rouse::net
