// paced_client PORT PATH CONNECTIONS RATE AMOUNT [FIELD...]: asks 127.0.0.1:PORT for PATH.
//   RATE > 0: an open loop of AMOUNT seconds, RATE requests a second on a fixed schedule of ticks
//             of 250 us: what falls due within one is wanted at its end, together. A latency begins
//             when the schedule wanted the request sent, so waiting for a connection counts.
//   RATE = 0: a closed loop of AMOUNT requests, one at a time on each connection (CONNECTIONS = 1
//             is lockstep). A latency begins when the request is sent.
// Each FIELD ("Name: value") is added to the requests. Prints one line of JSON; exits 1 if an
// answer was anything but 200 with a Content-Length.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr int kEvents = 256;
constexpr size_t kInputBytes = 65536;
constexpr long kSecond = 1'000'000'000;
constexpr long kTick = 250'000;  // waking for each request alone would cost the origin its CPU
constexpr long kPatience = 10 * kSecond;  // without any answer
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kLength = "content-length:";

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "paced_client: %s\n", what);
  std::exit(1);
}

long Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

struct Connection {
  int fd = -1;
  long since = 0;    // where the latency of the request in flight begins
  size_t body = 0;   // bytes of the answer's body still to come
  std::string head;  // of the answer, until it is whole
};

int Dial(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    Fail("no connection");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/// The bytes of body that a whole head announces.
size_t BodyOf(std::string_view head) {
  if (!head.starts_with("HTTP/1.1 200")) Fail(std::string(head.substr(0, 40)).c_str());
  for (size_t line = head.find("\r\n"); line != std::string_view::npos;
       line = head.find("\r\n", line + 2)) {
    std::string_view field = head.substr(line + 2);
    if (field.size() < kLength.size() ||
        strncasecmp(field.data(), kLength.data(), kLength.size()) != 0) {
      continue;
    }
    field.remove_prefix(field.find_first_of("0123456789"));
    size_t value = 0;
    (void)std::from_chars(field.data(), field.data() + field.size(), value);
    return value;
  }
  Fail("an answer without Content-Length");
}

/// Takes what has come; true when the answer is whole.
bool Take(Connection& connection) {
  static char input[kInputBytes];
  const ssize_t got = read(connection.fd, input, sizeof input);
  if (got <= 0) Fail("the proxy closed a connection");
  std::string_view data(input, static_cast<size_t>(got));
  if (connection.body == 0) {
    connection.head += data;
    const size_t end = connection.head.find(kEndOfHead);
    if (end == std::string::npos) return false;
    const size_t begun = connection.head.size() - end - kEndOfHead.size();
    const size_t body = BodyOf(std::string_view(connection.head).substr(0, end + 2));
    connection.head.clear();
    if (begun > body) Fail("more bytes than the answer has");
    connection.body = body - begun;
  } else {
    if (data.size() > connection.body) Fail("more bytes than the answer has");
    connection.body -= data.size();
  }
  return connection.body == 0;
}

class Client {
 public:
  Client(int port, size_t connections, std::string request)
      : epoll_(epoll_create1(0)), request_(std::move(request)), connections_(connections) {
    for (Connection& one : connections_) {
      one.fd = Dial(port);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &one;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, one.fd, &event);
      idle_.push_back(&one);
    }
  }

  /// The fixed schedule: request k is wanted at the first tick from start + k / rate on.
  void RunOpen(double rate, double seconds) {
    const auto total = static_cast<size_t>(rate * seconds);
    latencies_.reserve(total);
    const long start = Now();
    const auto wanted = [&](size_t k) {
      const auto due = static_cast<long>(static_cast<double>(k) / rate * kSecond);
      return start + (due + kTick - 1) / kTick * kTick;
    };
    for (size_t next = 0; latencies_.size() < total;) {
      const long now = Now();
      while (next < total && wanted(next) <= now && !idle_.empty()) Send(wanted(next++));
      const bool due = next < total && !idle_.empty();
      Wait(due ? std::max(0L, wanted(next) - now) : kPatience, due);
    }
  }

  void RunClosed(size_t total) {
    latencies_.reserve(total);
    for (size_t sent = 0; latencies_.size() < total;) {
      while (sent < total && !idle_.empty()) {
        Send(Now());
        ++sent;
      }
      Wait(kPatience, false);
    }
  }

  void Print() {
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = [&](double share) {
      const auto place = static_cast<size_t>(share * static_cast<double>(latencies_.size()));
      return static_cast<double>(latencies_[std::min(place, latencies_.size() - 1)]) / 1000;
    };
    if (latencies_.empty()) Fail("no request");
    std::printf("{\"requests\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
                latencies_.size(), at(0.5), at(0.99), at(0.999));
  }

 private:
  void Send(long since) {
    Connection& one = *idle_.front();
    idle_.pop_front();
    one.since = since;
    if (send(one.fd, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      Fail("a request was not taken");
    }
  }

  void Wait(long nanoseconds, bool pacing) {
    epoll_event events[kEvents];
    const timespec most{nanoseconds / kSecond, nanoseconds % kSecond};
    const int count = epoll_pwait2(epoll_, events, kEvents, &most, nullptr);
    if (count == 0 && !pacing) Fail("no answer for ten seconds");
    for (int i = 0; i < count; ++i) {
      auto* const one = static_cast<Connection*>(events[i].data.ptr);
      if (!Take(*one)) continue;
      latencies_.push_back(Now() - one->since);
      idle_.push_back(one);
    }
  }

  const int epoll_;
  const std::string request_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::vector<long> latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: paced_client PORT PATH CONNECTIONS RATE AMOUNT [FIELD...]\n");
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  std::string request = std::string("GET ") + argv[2] + " HTTP/1.1\r\n";
  for (int i = 6; i < argc; ++i) request += std::string(argv[i]) + "\r\n";
  if (request.find("\r\nHost:") == std::string::npos) request += "Host: 127.0.0.1\r\n";
  Client client(std::atoi(argv[1]), static_cast<size_t>(std::atol(argv[3])), request + "\r\n");
  const double rate = std::atof(argv[4]);
  if (rate > 0) {
    client.RunOpen(rate, std::atof(argv[5]));
  } else {
    client.RunClosed(static_cast<size_t>(std::atol(argv[5])));
  }
  client.Print();
}
