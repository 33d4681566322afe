// Simulated WebSockets: two ends, each with its handlers, its queue and its limits.
#include <utility>

#include "tests/support/control/sim_connection.h"

namespace rouse::control {
namespace {

/// dialling -> open -> ended. The caller's end is 0, the listener's 1.
class SimSocket final : public SimConnection {
 public:
  SimSocket(SimCore& core, std::string place, MessageLimits limits, MessageHandlers handlers)
      : SimConnection(core, std::move(place)) {
    ends_[0].limits = limits;
    ends_[0].handlers = std::move(handlers);
  }

  void Start(std::string target, Headers headers);
  absl::Status Send(size_t from, std::string message, bool binary);
  void Close(size_t from, uint16_t code, std::string_view reason);
  void Drop(size_t from);
  [[nodiscard]] size_t queued(size_t from) const { return ends_[from].queued; }
  void ListenerGone() override {}  // its channels belong to their holder, as the real ones do

 private:
  struct EndPoint {
    MessageLimits limits;
    MessageHandlers handlers;
    size_t queued = 0;
    bool sendable = false;
    bool told_close = false;
    bool dropped = false;
    int telling = 0;
  };

  void Arrive(const std::string& target, Headers headers);
  void TellCaller(const absl::Status& status) override { TellClose(0, status); }
  void TellListener(const absl::Status& status) override { TellClose(1, status); }
  void TellClose(size_t end, absl::Status status);
  template <typename F>
  void Tell(size_t end, F tell);
  void WatchSilence(size_t end);
  static SimConnection::Side Other(size_t from) {
    return from == 0 ? SimConnection::Side::kListener : SimConnection::Side::kCaller;
  }
  std::shared_ptr<SimSocket> Self() {
    return std::static_pointer_cast<SimSocket>(shared_from_this());
  }

  EndPoint ends_[2];
};

class SimChannel final : public MessageChannel {
 public:
  SimChannel(std::shared_ptr<SimSocket> socket, size_t end)
      : socket_(std::move(socket)), end_(end) {}
  ~SimChannel() override { socket_->Drop(end_); }
  absl::Status Send(std::string message, bool binary) override {
    return socket_->Send(end_, std::move(message), binary);
  }
  void Close(uint16_t code, std::string_view reason) override {
    socket_->Close(end_, code, reason);
  }
  [[nodiscard]] size_t queued_bytes() const override { return socket_->queued(end_); }

 private:
  std::shared_ptr<SimSocket> socket_;
  size_t end_;
};

void SimSocket::Start(std::string target, Headers headers) {
  if (ends_[0].dropped) return;
  const SimLink& link = core_.LinkTo(place());
  if (link.black_hole) {
    core_.loop.At(Later(core_.loop.now(), ends_[0].limits.connect_timeout), [self = Self()] {
      self->TellClose(0, absl::DeadlineExceededError("connect timeout"));
    });
    return;
  }
  if (link.refuse || core_.Find(place()) == nullptr) {
    SimConnection::Send(Side::kCaller, [this] {
      TellClose(0, absl::UnavailableError("connect " + place() + ": Connection refused"));
    });
    return;
  }
  core_.Join(shared_from_this());
  SimConnection::Send(Side::kListener, [this, target = std::move(target),
                                        headers = std::move(headers)] { Arrive(target, headers); });
}

void SimSocket::Arrive(const std::string& target, Headers headers) {
  listener = core_.Find(place());
  if (listener == nullptr) return CutNow(absl::UnavailableError("read: Connection reset by peer"));
  IncomingRequest incoming;
  incoming.method = "GET";
  incoming.target = target;
  incoming.headers = std::move(headers);
  incoming.headers.push_back({"Host", place()});
  incoming.headers.push_back({"Upgrade", "websocket"});
  incoming.headers.push_back({"Connection", "Upgrade"});
  incoming.peer = "127.0.0.1:1";
  incoming.local = place();
  ends_[1].limits = listener->options.messages;
  const int refused = listener->service.AcceptMessages(incoming);
  if (refused != 0) {
    ends_[1].told_close = true;
    SimConnection::Send(Side::kCaller, [this, refused] {
      TellClose(0,
                absl::UnavailableError("upgrade refused with status " + std::to_string(refused)));
    });
    return;
  }
  ends_[1].sendable = true;
  SimConnection::Send(Side::kCaller, [this] {
    ends_[0].sendable = true;
    Tell(0, [this] {
      if (ends_[0].handlers.on_open) ends_[0].handlers.on_open();
    });
  });
  WatchSilence(0);
  WatchSilence(1);
  listener->service.OnMessages(std::move(incoming), std::make_unique<SimChannel>(Self(), 1),
                               [self = Self()](MessageHandlers handlers) {
                                 if (!self->ends_[1].dropped)
                                   self->ends_[1].handlers = std::move(handlers);
                               });
}

/// Pings go unanswered on a lost connection: each end gives up after two of its intervals.
void SimSocket::WatchSilence(size_t end) {
  const Duration interval = ends_[end].limits.ping_interval;
  if (interval == Duration::max()) return;
  core_.loop.At(core_.loop.now() + interval, [weak = std::weak_ptr(Self()), end] {
    const auto self = weak.lock();
    if (!self || !self->open()) return;
    if (!self->lost()) return self->WatchSilence(end);
    self->core_.loop.At(
        self->core_.loop.now() + self->ends_[end].limits.ping_interval,
        [self, end] { self->TellClose(end, absl::DeadlineExceededError("the peer is silent")); });
  });
}

absl::Status SimSocket::Send(size_t from, std::string message, bool binary) {
  EndPoint& end = ends_[from];
  if (!end.sendable || end.told_close || !open())
    return absl::UnavailableError("the channel is not open");
  if (end.queued + message.size() > end.limits.queue_bytes_max) {
    return absl::ResourceExhaustedError("the peer reads too slowly");
  }
  end.queued += message.size();
  SimConnection::Send(Other(from), [this, from, message = std::move(message), binary] {
    ends_[from].queued -= message.size();
    EndPoint& to = ends_[1 - from];
    if (message.size() > to.limits.message_bytes_max) {
      End();
      TellClose(1 - from,
                absl::ResourceExhaustedError(
                    "message over " + std::to_string(to.limits.message_bytes_max) + " bytes"));
      return TellClose(from, absl::UnavailableError("closed by the peer with code 1009: "));
    }
    Tell(1 - from, [&] {
      if (to.handlers.on_message) to.handlers.on_message(message, binary);
    });
  });
  return absl::OkStatus();
}

void SimSocket::Close(size_t from, uint16_t code, std::string_view reason) {
  ends_[from].sendable = false;
  const bool normal = code == 1000 || code == 1001;
  const absl::Status status =
      normal ? absl::OkStatus()
             : absl::UnavailableError("closed by the peer with code " + std::to_string(code) +
                                      ": " + std::string(reason));
  SimConnection::Send(Other(from), [this, from, status] {
    TellClose(1 - from, status);
    SimConnection::Send(from == 0 ? Side::kCaller : Side::kListener, [this, from] {
      End();
      TellClose(from, absl::OkStatus());
    });
  });
}

void SimSocket::TellClose(size_t end, absl::Status status) {
  if (std::exchange(ends_[end].told_close, true)) return;
  ends_[end].sendable = false;
  Tell(end, [&] {
    if (ends_[end].handlers.on_close) ends_[end].handlers.on_close(std::move(status));
  });
}

template <typename F>
void SimSocket::Tell(size_t end, F tell) {
  EndPoint& at = ends_[end];
  if (at.dropped) return;
  const auto self = shared_from_this();
  ++at.telling;
  tell();
  --at.telling;
  if (at.dropped && at.telling == 0) at.handlers = {};
}

void SimSocket::Drop(size_t from) {
  EndPoint& end = ends_[from];
  end.dropped = end.told_close = true;
  if (end.telling == 0) end.handlers = {};
  SimConnection::Send(Other(from), [this, from] {
    End();
    TellClose(1 - from, absl::UnavailableError("closed by the peer"));
  });
}

}  // namespace

std::unique_ptr<MessageChannel> DialSim(SimCore& core, Origin origin, std::string target,
                                        Headers headers, MessageLimits limits,
                                        MessageHandlers handlers) {
  const std::string place = origin.host + ":" + std::to_string(origin.port);
  auto socket = std::make_shared<SimSocket>(core, place, limits, std::move(handlers));
  core.loop.Post([socket, target = std::move(target), headers = std::move(headers)]() mutable {
    socket->Start(std::move(target), std::move(headers));
  });
  return std::make_unique<SimChannel>(std::move(socket), 0);
}

}  // namespace rouse::control
