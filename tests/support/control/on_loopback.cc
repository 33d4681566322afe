#include "tests/support/control/on_loopback.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"

namespace rouse::control {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

obs::Log::Options LogInto(std::vector<std::string>& lines) {
  obs::Log::Options options;
  options.level = obs::Level::kDebug;
  options.sink = [&lines](std::string_view line) { lines.emplace_back(line); };
  return options;
}

}  // namespace

OnLoopback::OnLoopback() : log(clock, LogInto(log_lines)), network(NewRealNetwork(clock, log)) {}

bool OnLoopback::Until(absl::FunctionRef<bool()> done, Duration most) {
  return network->RunUntil(done, most);
}

void OnLoopback::For(Duration time) {
  network->RunUntil([] { return false; }, time);
}

size_t OnLoopback::Logged(std::string_view text) {
  log.Flush();  // lines are written by a thread of the log's own
  return static_cast<size_t>(
      std::count_if(log_lines.begin(), log_lines.end(),
                    [&](const std::string& line) { return line.find(text) != std::string::npos; }));
}

std::unique_ptr<HttpListener> OnLoopback::Listen(HttpService& service, ListenOptions options) {
  auto listener = network->Listen(std::move(options), service);
  CHECK(listener.ok());
  return *std::move(listener);
}

Origin OnLoopback::At(uint16_t port) {
  Origin origin;
  origin.host = "127.0.0.1";
  origin.port = port;
  return origin;
}

RawSocket::~RawSocket() { Close(); }

RawSocket& RawSocket::operator=(RawSocket&& other) noexcept {
  Close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  received_ = std::move(other.received_);
  ended_ = other.ended_;
  return *this;
}

void RawSocket::Close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

RawSocket RawSocket::Connect(uint16_t port) {
  RawSocket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  // On loopback this ends at once: the listening socket's queue takes it.
  CHECK(::connect(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == 0);
  return socket;
}

RawSocket RawSocket::Listen(uint16_t* port) {
  RawSocket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = Loopback(0);
  CHECK(::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
        0);
  CHECK(::listen(socket.descriptor_, 64) == 0);
  socklen_t size = sizeof address;
  CHECK(::getsockname(socket.descriptor_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *port = ntohs(address.sin_port);
  return socket;
}

RawSocket RawSocket::Accept() {
  return RawSocket(::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
}

void RawSocket::Send(std::string_view data) const {
  while (!data.empty()) {
    const ssize_t sent = ::send(descriptor_, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the peer may have ended: the test looks at that by Ended()
    data.remove_prefix(static_cast<size_t>(sent));
  }
}

void RawSocket::EndSending() const { ::shutdown(descriptor_, SHUT_WR); }

const std::string& RawSocket::Received() {
  char buffer[65536];
  while (descriptor_ >= 0 && !ended_) {
    const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) {
      received_.append(buffer, static_cast<size_t>(got));
    } else {
      ended_ = got == 0 || (errno != EAGAIN && errno != EINTR);
      break;
    }
  }
  return received_;
}

bool RawSocket::Ended() {
  Received();
  return ended_;
}

void ScriptedService::Serve(IncomingRequest request, std::unique_ptr<HttpResponder> responder) {
  Taken each{std::move(request), std::move(responder)};
  if (on_request) return on_request(std::move(each));
  taken.push_back(std::move(each));
}

HttpHandlers Recorder::Handlers() {
  HttpHandlers handlers;
  handlers.on_head = [this](int got, const Headers& fields) {
    status = got;
    headers = fields;
  };
  handlers.on_data = [this](std::string_view data) {
    body += data;
    pieces.emplace_back(data);
  };
  handlers.on_end = [this](absl::Status how) {
    ++ends;
    end = std::move(how);
  };
  return handlers;
}

MessageHandlers ChannelRecorder::Handlers() {
  MessageHandlers handlers;
  handlers.on_open = [this] { ++opens; };
  handlers.on_message = [this](std::string_view message, bool is_binary) {
    messages.emplace_back(message);
    binary.push_back(is_binary);
  };
  handlers.on_close = [this](absl::Status how) {
    ++closes;
    close = std::move(how);
  };
  return handlers;
}

}  // namespace rouse::control
