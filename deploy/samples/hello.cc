// A sample function in C++: plain HTTP/1.1 on $PORT, one thread a connection, nothing but the
// system's library. It knows nothing of Rouse.
//
//   /            greets, naming its pod
//   /?ms=50      the same, after 50 ms of pretended work
//   /?every=8    the same, one answer every 8 ms in the order in which the requests came
//   /stats       {"served": ..., "in_flight_max": ...} as the function itself counts
//
// Each answer tells how long the function took from its first instruction to listening
// (x-exec-to-listening-ms) and in which place its request came (x-place).
//
// START_DELAY_MS makes it slow to start. On SIGTERM it stops accepting, finishes what runs, and
// exits; with EXIT_AT_ONCE it is gone at once. CALL_LOG names a file to which it writes each
// request's x-call, a line each, before it answers.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr double kDrainMs = 500;
std::atomic<bool> draining{false};
std::atomic<double> drain_began_ms{0};
std::atomic<int> in_flight{0};
std::atomic<int> in_flight_max{0};
std::atomic<long> served{0};
std::atomic<int> connections{0};
std::atomic<long> places{0};
std::atomic<double> first_ms{0};  // when the first request came
double start_ms = 0;              // from main to listening
int call_log = -1;

double NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// The drain has lasted long enough for everybody to have heard of it.
bool Leaving() { return draining && NowMs() - drain_began_ms > kDrainMs; }

/// An environment variable's number, or `otherwise` where it is unset.
long NumberFrom(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atol(text);
}

/// The number behind `key` in a request's head, such as "ms=" or "content-length: "; 0 where
/// absent.
long NumberIn(const std::string& head, const char* key) {
  const size_t at = head.find(key);
  return at == std::string::npos ? 0 : std::atol(head.c_str() + at + std::string(key).size());
}

/// One write, so that nothing is lost if the process is killed right after it.
void LogCall(const std::string& head) {
  if (call_log < 0) return;
  const std::string line = std::to_string(NumberIn(head, "\nx-call: ")) + "\n";
  if (write(call_log, line.data(), line.size()) < 0) std::perror("CALL_LOG");
}

std::string LowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// The pretended work of the request that came in `place`.
void Work(const std::string& line, long place) {
  constexpr double kBeforeTheFirstMs = 100;
  double wait = static_cast<double>(NumberIn(line, "ms="));
  if (const long every = NumberIn(line, "every="); every > 0) {
    double none = 0;
    first_ms.compare_exchange_strong(none, NowMs());
    wait = first_ms + kBeforeTheFirstMs + static_cast<double>(every * place) - NowMs();
  }
  if (wait > 0) poll(nullptr, 0, static_cast<int>(std::min(wait, 60e3)));
}

/// `last` tells whether the answer says that the connection ends.
std::string Answer(const std::string& head, bool& last) {
  // The kubelet's probes are no traffic.
  const bool probe = head.find("user-agent: kube-probe") != std::string::npos;
  if (!probe) LogCall(head);
  const long place = probe ? -1 : places++;
  const int now = probe ? 0 : ++in_flight;
  for (int most = in_flight_max; now > most && !in_flight_max.compare_exchange_weak(most, now);) {
  }
  Work(head.substr(0, head.find('\n')), place);
  if (!probe) {
    --in_flight;
    ++served;
  }
  last = draining;
  std::string body;
  if (head.find(" /stats") != std::string::npos) {
    body = "{\"served\": " + std::to_string(served) +
           ", \"in_flight_max\": " + std::to_string(in_flight_max) + "}\n";
  } else {
    const char* pod = std::getenv("POD_NAME");
    body = std::string("hello from ") + (pod == nullptr ? "a pod" : pod) + "\n";
  }
  return "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\nx-exec-to-listening-ms: " + std::to_string(start_ms) +
         "\r\nx-place: " + std::to_string(place) + (last ? "\r\nconnection: close" : "") +
         "\r\n\r\n" + body;
}

/// Reads one head and its body (by content-length) into `buffer`; false at the end of the
/// connection.
bool ReadRequest(int socket, std::string& buffer, std::string& head) {
  char bytes[16384];
  for (;;) {
    const size_t end = buffer.find("\r\n\r\n");
    if (end != std::string::npos) {
      head = LowerCase(buffer.substr(0, end + 4));
      const size_t whole = end + 4 + static_cast<size_t>(NumberIn(head, "\ncontent-length: "));
      if (buffer.size() >= whole) {
        buffer.erase(0, whole);
        return true;
      }
    }
    // An idle connection is left when the pod is told to go.
    pollfd readable{socket, POLLIN, 0};
    if (poll(&readable, 1, 100) == 0) {
      if (Leaving() && buffer.empty()) return false;
      continue;
    }
    const ssize_t n = recv(socket, bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer.append(bytes, static_cast<size_t>(n));
  }
}

void Serve(int socket) {
  std::string buffer;
  std::string head;
  while (ReadRequest(socket, buffer, head)) {
    bool last = false;
    const std::string answer = Answer(head, last);
    if (send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0 || last) break;
  }
  close(socket);
  --connections;
}

}  // namespace

int main() {
  const double began = NowMs();
  const bool at_once = NumberFrom("EXIT_AT_ONCE", 0) != 0;
  if (const char* path = std::getenv("CALL_LOG"); path != nullptr) {
    call_log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (!at_once)
    signal(SIGTERM, [](int) {
      drain_began_ms = NowMs();
      draining = true;
    });
  if (const long delay = NumberFrom("START_DELAY_MS", 0); delay > 0) {
    poll(nullptr, 0, static_cast<int>(delay));
  }
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<uint16_t>(NumberFrom("PORT", 8080)));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 1024) != 0) {
    std::perror("bind");
    return 1;
  }
  start_ms = NowMs() - began;
  while (!Leaving()) {
    pollfd readable{listener, POLLIN, 0};
    if (poll(&readable, 1, 100) <= 0) continue;
    const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    ++connections;
    std::thread(Serve, socket).detach();
  }
  close(listener);
  for (int i = 0; i < 200 && connections > 0; ++i) poll(nullptr, 0, 50);
  return 0;
}
