// echo_upstream BODY_BYTES: the pod of the benches. It answers every HTTP/1.1 request head on
// 127.0.0.1 with the same response and prints its port. Requests must have no body. It
// does as little as it can, so that it never is what limits.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int kEvents = 256;
constexpr size_t kHeadBytes = 16384;
constexpr std::string_view kEndOfHead = "\r\n\r\n";

struct Connection {
  int fd = -1;
  size_t size = 0;
  char head[kHeadBytes];
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int ListenAnywhere() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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

bool SendAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t put = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (put < 0) return false;
    data.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

/// Answers each head that is complete; false when the connection is over.
bool Serve(Connection& connection, std::string_view response) {
  const ssize_t got =
      read(connection.fd, connection.head + connection.size, kHeadBytes - connection.size);
  if (got <= 0) return false;
  connection.size += static_cast<size_t>(got);
  std::string_view rest(connection.head, connection.size);
  for (size_t end = rest.find(kEndOfHead); end != std::string_view::npos;
       end = rest.find(kEndOfHead)) {
    if (!SendAll(connection.fd, response)) return false;
    rest.remove_prefix(end + kEndOfHead.size());
  }
  std::char_traits<char>::move(connection.head, rest.data(), rest.size());
  connection.size = rest.size();
  return connection.size < kHeadBytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: echo_upstream BODY_BYTES\n");
    return 2;
  }
  const auto body = static_cast<size_t>(std::atol(argv[1]));
  const std::string response =
      "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " + std::to_string(body) +
      "\r\n\r\n" + std::string(body, 'x');
  const int listener = ListenAnywhere();
  const int epoll = epoll_create1(0);
  Add(epoll, listener, nullptr);
  epoll_event events[kEvents];
  while (true) {
    const int count = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      auto* const connection = static_cast<Connection*>(events[i].data.ptr);
      if (connection == nullptr) {
        for (int fd = accept4(listener, nullptr, nullptr, 0); fd >= 0;
             fd = accept4(listener, nullptr, nullptr, 0)) {
          auto next = std::make_unique<Connection>();
          next->fd = fd;
          Add(epoll, fd, next.release());
        }
      } else if (!Serve(*connection, response)) {
        close(connection->fd);
        const std::unique_ptr<Connection> gone(connection);
      }
    }
  }
}
