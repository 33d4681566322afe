#include "tests/support/control/sim_network.h"

#include <algorithm>
#include <utility>

#include "tests/support/control/sim_connection.h"

namespace rouse::control {

SimNetwork::~SimNetwork() = default;

std::unique_ptr<HttpClient> SimNetwork::NewClient(Origin origin) {
  return NewSimClient(*this, std::move(origin));
}

std::unique_ptr<MessageChannel> SimNetwork::Dial(Origin origin, std::string target, Headers headers,
                                                 MessageLimits limits, MessageHandlers handlers) {
  return DialSim(*this, std::move(origin), std::move(target), std::move(headers), limits,
                 std::move(handlers));
}

absl::StatusOr<std::unique_ptr<HttpListener>> SimNetwork::Listen(ListenOptions options,
                                                                 HttpService& service) {
  if (options.port == 0) options.port = ++last_port_;
  const bool any = options.host == "0.0.0.0" || options.host == "::";
  const std::string place = (any ? "*" : options.host) + ":" + std::to_string(options.port);
  if (listeners_.contains(place)) {
    return absl::FailedPreconditionError("listen on " + place + ": Address already in use");
  }
  auto listener = std::make_unique<SimListener>(*this, std::move(options), service);
  listeners_[place] = listener.get();
  return listener;
}

void SimNetwork::SetLink(const std::string& place, SimLink link) {
  links_[place] = link;
  for (const auto& weak : connections_) {
    const auto connection = weak.lock();
    if (connection && LinkTo(connection->place()).black_hole) connection->Lose();
  }
}

void SimNetwork::Cut(const std::string& place) {
  const std::vector<std::weak_ptr<SimConnection>> connections = connections_;
  for (const auto& weak : connections) {
    const auto connection = weak.lock();
    if (!connection || !connection->open()) continue;
    if (place == "*" || connection->place() == place) {
      connection->CutNow(absl::UnavailableError("read: Connection reset by peer"));
    }
  }
}

size_t SimNetwork::open_connections() const {
  return static_cast<size_t>(
      std::count_if(connections_.begin(), connections_.end(), [](const auto& weak) {
        const auto connection = weak.lock();
        return connection && connection->open();
      }));
}

const SimLink& SimNetwork::LinkTo(const std::string& place) const {
  static const SimLink plain;
  const auto own = links_.find(place);
  if (own != links_.end()) return own->second;
  const auto any = links_.find("*");
  return any != links_.end() ? any->second : plain;
}

Duration SimNetwork::Delay(const std::string& place) {
  const SimLink& link = LinkTo(place);
  if (link.delay_max <= link.delay_min) return link.delay_min;
  const auto span = static_cast<uint64_t>((link.delay_max - link.delay_min).count());
  return link.delay_min + Duration(static_cast<int64_t>(random_.Below(span + 1)));
}

SimListener* SimNetwork::Find(const std::string& place) {
  auto found = listeners_.find(place);
  if (found == listeners_.end()) found = listeners_.find("*" + place.substr(place.rfind(':')));
  return found == listeners_.end() || !found->second->accepting ? nullptr : found->second;
}

void SimNetwork::Join(std::shared_ptr<SimConnection> connection) {
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  connections_.push_back(std::move(connection));
}

void SimNetwork::Leave(const SimListener* listener) {
  std::erase_if(listeners_, [&](const auto& each) { return each.second == listener; });
  const std::vector<std::weak_ptr<SimConnection>> connections = connections_;
  for (const auto& weak : connections) {
    const auto connection = weak.lock();
    if (connection && connection->listener == listener) connection->ListenerGone();
  }
}

// ---- SimConnection ----------------------------------------------------------------------------------

SimConnection::SimConnection(SimNetwork& network, std::string place)
    : network_(network), place_(std::move(place)) {}

void SimConnection::Send(Side to, Task task) {
  if (lost_ || ended_) return;
  TimePoint& last = last_arrival_[static_cast<size_t>(to)];
  last = std::max(last, network_.loop().now() + network_.Delay(place_));
  network_.loop().At(last, [self = shared_from_this(), task = std::move(task)]() mutable {
    if (!self->lost_ && !self->ended_) task();
  });
}

void SimConnection::Lose() {
  if (lost_ || ended_) return;
  lost_ = true;
  network_.loop().At(network_.loop().now() + kSimLostAfter, [self = shared_from_this()] {
    if (!self->ended_) self->CutNow(absl::UnavailableError("read: Connection timed out"));
  });
}

void SimConnection::CutNow(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  network_.loop().Post([self = shared_from_this(), status] {
    self->TellCaller(status);
    self->TellListener(status);
  });
}

}  // namespace rouse::control
