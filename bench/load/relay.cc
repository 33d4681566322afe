// rouse_relay UPSTREAM_PORT: a raw TCP relay on 127.0.0.1, the least that a proxy in user space can
// cost. Every byte is read once and written once, nothing is parsed, each client has an upstream
// connection of its own. It prints the port it listens on. Sockets block, so it is for messages
// smaller than a socket's buffer.
//
// It shares no code with the proxy, so that the yardstick does not move with what it measures.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int kEvents = 256;
constexpr size_t kBufferBytes = 65536;

/// One socket of a pair. Both die together, at the end of the turn.
struct Side {
  int fd = -1;
  Side* other = nullptr;
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int ListenAnywhere() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) Fail("bind");
  if (listen(fd, 4096) != 0) Fail("listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void Add(int epoll, int fd, void* data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = data;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) Fail("epoll_ctl");
}

void AcceptAll(int epoll, int listener, const sockaddr_in& upstream) {
  while (true) {
    const int client = accept4(listener, nullptr, nullptr, 0);
    if (client < 0) return;
    NoDelay(client);
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    NoDelay(server);
    if (connect(server, reinterpret_cast<const sockaddr*>(&upstream), sizeof upstream) != 0) {
      close(client);
      close(server);
      continue;
    }
    auto down = std::make_unique<Side>(Side{client, nullptr});
    auto up = std::make_unique<Side>(Side{server, down.get()});
    down->other = up.get();
    Add(epoll, client, down.release());
    Add(epoll, server, up.release());
  }
}

/// Moves what one side has sent; false when the pair is over.
bool Forward(const Side& from, char* buffer) {
  const ssize_t got = read(from.fd, buffer, kBufferBytes);
  if (got <= 0) return false;
  for (ssize_t done = 0; done < got;) {
    const ssize_t put =
        send(from.other->fd, buffer + done, static_cast<size_t>(got - done), MSG_NOSIGNAL);
    if (put < 0) return false;
    done += put;
  }
  return true;
}

void ClosePair(Side& side, std::vector<std::unique_ptr<Side>>& gone) {
  for (Side* const one : {side.other, &side}) {
    close(one->fd);
    one->fd = -1;
    gone.emplace_back(one);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: rouse_relay UPSTREAM_PORT\n");
    return 2;
  }
  const sockaddr_in upstream = Loopback(std::atoi(argv[1]));
  const int listener = ListenAnywhere();
  const int epoll = epoll_create1(0);
  Add(epoll, listener, nullptr);
  const auto buffer = std::make_unique<char[]>(kBufferBytes);
  epoll_event events[kEvents];
  std::vector<std::unique_ptr<Side>> gone;
  while (true) {
    const int count = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      auto* const side = static_cast<Side*>(events[i].data.ptr);
      if (side == nullptr) {
        AcceptAll(epoll, listener, upstream);
      } else if (side->fd >= 0 && !Forward(*side, buffer.get())) {
        ClosePair(*side, gone);
      }
    }
    gone.clear();
  }
}
