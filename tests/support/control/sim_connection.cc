#include "tests/support/control/sim_connection.h"

#include <algorithm>

namespace rouse::control {

void SimCore::SetLink(const std::string& place, SimLink link) {
  links_[place] = link;
  for (const auto& connection : Connections()) {
    if (LinkTo(connection->place()).black_hole) connection->Lose();
  }
}

const SimLink& SimCore::LinkTo(const std::string& place) const {
  const auto own = links_.find(place);
  if (own != links_.end()) return own->second;
  const auto any = links_.find("*");
  return any != links_.end() ? any->second : plain_;
}

Duration SimCore::Delay(const std::string& place) {
  const SimLink& link = LinkTo(place);
  if (link.delay_max <= link.delay_min) return link.delay_min;
  const auto span = static_cast<uint64_t>((link.delay_max - link.delay_min).count());
  return link.delay_min + Duration(static_cast<int64_t>(random_.Below(span + 1)));
}

SimListener* SimCore::Find(const std::string& place) {
  auto found = listeners_.find(place);
  if (found == listeners_.end()) found = listeners_.find("*" + place.substr(place.rfind(':')));
  return found == listeners_.end() || !found->second->accepting ? nullptr : found->second;
}

bool SimCore::Open(const std::string& place, SimListener* listener) {
  return listeners_.emplace(place, listener).second;
}

void SimCore::Join(const std::shared_ptr<SimConnection>& connection) {
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  connections_.push_back(connection);
}

void SimCore::Leave(const SimListener* listener) {
  std::erase_if(listeners_, [&](const auto& each) { return each.second == listener; });
  for (const auto& connection : Connections()) {
    if (connection->listener == listener) connection->ListenerGone();
  }
}

std::vector<std::shared_ptr<SimConnection>> SimCore::Connections() const {
  std::vector<std::shared_ptr<SimConnection>> all;
  for (const auto& weak : connections_) {
    auto connection = weak.lock();
    if (connection && connection->open()) all.push_back(std::move(connection));
  }
  return all;
}

SimConnection::SimConnection(SimCore& core, std::string place)
    : core_(core), place_(std::move(place)) {}

void SimConnection::Send(Side to, Task task) {
  if (lost_ || ended_) return;
  TimePoint& last = last_arrival_[static_cast<size_t>(to)];
  last = std::max(last, core_.loop.now() + core_.Delay(place_));
  core_.loop.At(last, [self = shared_from_this(), task = std::move(task)]() mutable {
    if (!self->lost_ && !self->ended_) task();
  });
}

void SimConnection::Lose() {
  if (lost_ || ended_) return;
  lost_ = true;
  core_.loop.At(core_.loop.now() + kSimLostAfter, [self = shared_from_this()] {
    if (!self->ended_) self->CutNow(absl::UnavailableError("read: Connection timed out"));
  });
}

void SimConnection::CutNow(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  core_.loop.Post([self = shared_from_this(), status] {
    self->TellCaller(status);
    self->TellListener(status);
  });
}

}  // namespace rouse::control
