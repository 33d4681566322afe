#pragma once
// What:      SendBytes and ReceiveBytes: send(2) and recv(2) without being points of cancellation.
//            The C library's own are, and where a process has threads that costs each call two
//            locked instructions; nothing here cancels threads.
// Owner:     pure functions over a descriptor. Any thread.
// Invariant: results and errno as of the library's calls.

#include <cstddef>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace rouse::net {

inline ssize_t SendBytes(int fd, const char* bytes, size_t size, int flags = 0) {
  return syscall(SYS_sendto, fd, bytes, size, MSG_NOSIGNAL | flags, nullptr, 0);
}

inline ssize_t ReceiveBytes(int fd, char* into, size_t size) {
  return syscall(SYS_recvfrom, fd, into, size, 0, nullptr, nullptr);
}

}  // namespace rouse::net
