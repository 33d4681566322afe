// echo_upstream BODY_BYTES: the pod of the benches. It listens on a free port of 127.0.0.1, prints
// the port, and answers every HTTP/1.1 request, once its body (by Content-Length) is whole:
//   /N             N bytes; any other path BODY_BYTES
//   /last-arrival  when the last request with a body of BODY_BYTES came, in nanoseconds of
//                  CLOCK_MONOTONIC
//   /healthz       "queue", as Knative's queue-proxy answers the activator's probe
// It does as little as it can, so that it never is what limits.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr int kEvents = 256;
constexpr size_t kInputBytes = 65536;
constexpr size_t kBodyBytesMax = 64 << 20;
constexpr size_t kBodySizesMax = 64;
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kLength = "content-length:";

struct Connection {
  int fd = -1;
  size_t size = 0;       // bytes of `input` in use
  size_t body = 0;       // bytes of the request's body still to come
  std::string_view due;  // the answer once the body is whole
  char input[kInputBytes];
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

std::string Response(std::string_view body) {
  return "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

size_t Number(std::string_view text) {
  size_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The value of the head's Content-Length; 0 where it has none.
size_t BodyLength(std::string_view head) {
  for (size_t line = head.find("\r\n"); line != std::string_view::npos;
       line = head.find("\r\n", line + 2)) {
    std::string_view field = head.substr(line + 2);
    if (field.size() < kLength.size()) break;
    if (strncasecmp(field.data(), kLength.data(), kLength.size()) != 0) continue;
    field.remove_prefix(kLength.size());
    while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
    return Number(field);
  }
  return 0;
}

/// What is answered to which path.
class Answers {
 public:
  explicit Answers(size_t body) : usual_(Response(std::string(body, 'x'))) {}

  std::string_view For(std::string_view head) {
    const size_t slash = head.find(" /");
    if (slash == std::string_view::npos) return usual_;
    const std::string_view path = head.substr(slash + 2, head.find(' ', slash + 2) - slash - 2);
    if (!path.empty() && path.front() >= '0' && path.front() <= '9') return OfSize(Number(path));
    if (path == "healthz") return healthz_;
    if (path == "last-arrival") return last_ = Response(std::to_string(last_arrival_));
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    last_arrival_ = now.tv_sec * 1'000'000'000L + now.tv_nsec;
    return usual_;
  }

 private:
  std::string_view OfSize(size_t bytes) {
    const auto found = sized_.find(bytes);
    if (found != sized_.end()) return found->second;
    if (bytes > kBodyBytesMax || sized_.size() == kBodySizesMax) return usual_;
    return sized_.emplace(bytes, Response(std::string(bytes, 'x'))).first->second;
  }

  const std::string usual_;
  const std::string healthz_ = Response("queue");
  std::string last_;
  std::map<size_t, std::string> sized_;
  long last_arrival_ = 0;
};

/// Answers each request that is whole; false when the connection is over.
bool Serve(Connection& connection, Answers& answers) {
  const ssize_t got =
      read(connection.fd, connection.input + connection.size, kInputBytes - connection.size);
  if (got <= 0) return false;
  connection.size += static_cast<size_t>(got);
  std::string_view rest(connection.input, connection.size);
  while (!rest.empty()) {
    if (connection.due.empty()) {
      const size_t end = rest.find(kEndOfHead);
      if (end == std::string_view::npos) break;
      const std::string_view head = rest.substr(0, end + kEndOfHead.size());
      connection.due = answers.For(head);
      connection.body = head.front() == 'P' ? BodyLength(head) : 0;
      rest.remove_prefix(head.size());
    }
    const size_t taken = std::min(connection.body, rest.size());
    connection.body -= taken;
    rest.remove_prefix(taken);
    if (connection.body > 0) break;
    if (!SendAll(connection.fd, std::exchange(connection.due, {}))) return false;
  }
  std::char_traits<char>::move(connection.input, rest.data(), rest.size());
  connection.size = rest.size();
  return connection.size < kInputBytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: echo_upstream BODY_BYTES\n");
    return 2;
  }
  Answers answers(Number(argv[1]));
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
          auto next = std::make_unique_for_overwrite<Connection>();  // `input` stays untouched
          next->fd = fd;
          Add(epoll, fd, next.release());
        }
      } else if (!Serve(*connection, answers)) {
        close(connection->fd);
        const std::unique_ptr<Connection> gone(connection);
      }
    }
  }
}
