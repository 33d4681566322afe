#pragma once
// What:      SimConnection, what a simulated call and a simulated channel have in common: an ordered way in
//            each direction, and the faults that can befall it.
// Owner:     shared by both ends; the network knows it weakly.
// Invariant: once cut or lost, nothing more arrives.

#include <memory>
#include <string>

#include "tests/support/control/sim_network.h"

namespace rouse::control {

class SimConnection : public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(SimNetwork& network, std::string place);
  virtual ~SimConnection() = default;

  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] bool open() const { return !ended_; }
  /// The network loses all that is sent from now on.
  void Lose();
  /// Both sides learn of the end now.
  void CutNow(const absl::Status& status);
  /// The side that listens has gone, and is not told.
  virtual void ListenerGone() = 0;
  SimListener* listener = nullptr;

 protected:
  enum class Side : uint8_t { kCaller, kListener };
  /// Runs `task` at the side `to`, behind all that was sent there before.
  void Send(Side to, Task task);
  virtual void TellCaller(const absl::Status& status) = 0;
  virtual void TellListener(const absl::Status& status) = 0;
  void End() { ended_ = true; }
  [[nodiscard]] bool lost() const { return lost_; }
  SimNetwork& network_;

 private:
  std::string place_;
  TimePoint last_arrival_[2];
  bool ended_ = false;
  bool lost_ = false;
};

/// One listening place.
class SimListener final : public HttpListener {
 public:
  SimListener(SimNetwork& network, ListenOptions options, HttpService& service)
      : service(service), options(std::move(options)), network_(network) {}
  ~SimListener() override { network_.Leave(this); }
  [[nodiscard]] uint16_t port() const override { return options.port; }
  void StopAccepting() override { accepting = false; }

  HttpService& service;
  const ListenOptions options;
  bool accepting = true;

 private:
  SimNetwork& network_;
};

[[nodiscard]] std::unique_ptr<HttpClient> NewSimClient(SimNetwork& network, Origin origin);
[[nodiscard]] std::unique_ptr<MessageChannel> DialSim(SimNetwork& network, Origin origin,
                                                      std::string target, Headers headers,
                                                      MessageLimits limits,
                                                      MessageHandlers handlers);

}  // namespace rouse::control
