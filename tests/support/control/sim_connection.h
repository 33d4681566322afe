#pragma once
// What:      SimConnection, what a simulated call and a simulated channel have in common: an
//            ordered way in each direction, and the faults that can befall it.
// Owner:     shared by both ends; the network knows it weakly.
// Invariant: once cut or lost, nothing more arrives.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "common/control/channel.h"
#include "tests/support/control/sim_loop.h"

namespace rouse::control {

/// What happens between callers and one place.
struct SimLink {
  Duration delay_min = Duration::zero();
  Duration delay_max = Duration::zero();
  bool refuse = false;      ///< new connections are refused
  bool black_hole = false;  ///< nothing arrives, in either direction; open connections are lost too
};

/// How long a lost connection looks alive, as TCP_USER_TIMEOUT and keepalive make it (real: 30 s).
inline constexpr Duration kSimLostAfter = std::chrono::seconds(30);

class SimConnection;
class SimListener;

/// What all parts of one simulation share.
class SimCore {
 public:
  SimCore(SimClock& clock, uint64_t seed) : loop(clock), random_(seed) {}

  void SetLink(const std::string& place, SimLink link);
  [[nodiscard]] const SimLink& LinkTo(const std::string& place) const;
  [[nodiscard]] Duration Delay(const std::string& place);
  /// The listener that would get a connection to `place`; null without one.
  [[nodiscard]] SimListener* Find(const std::string& place);
  /// False where the place is taken. Port 0 has been replaced.
  bool Open(const std::string& place, SimListener* listener);
  [[nodiscard]] uint16_t NewPort() { return ++last_port_; }
  void Join(const std::shared_ptr<SimConnection>& connection);
  void Leave(const SimListener* listener);
  [[nodiscard]] std::vector<std::shared_ptr<SimConnection>> Connections() const;

  SimLoop loop;

 private:
  Random random_;
  std::map<std::string, SimLink> links_;
  SimLink plain_;
  std::map<std::string, SimListener*> listeners_;
  std::vector<std::weak_ptr<SimConnection>> connections_;
  uint16_t last_port_ = 20000;
};

class SimConnection : public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(SimCore& core, std::string place);
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
  SimCore& core_;

 private:
  std::string place_;
  TimePoint last_arrival_[2];
  bool ended_ = false;
  bool lost_ = false;
};

/// One listening place.
class SimListener final : public HttpListener {
 public:
  SimListener(SimCore& core, ListenOptions options, HttpService& service)
      : service(service), options(std::move(options)), core_(core) {}
  ~SimListener() override { core_.Leave(this); }
  [[nodiscard]] uint16_t port() const override { return options.port; }
  void StopAccepting() override { accepting = false; }

  HttpService& service;
  const ListenOptions options;
  bool accepting = true;

 private:
  SimCore& core_;
};

[[nodiscard]] std::unique_ptr<HttpClient> NewSimClient(SimCore& core, Origin origin);
[[nodiscard]] std::unique_ptr<MessageChannel> DialSim(SimCore& core, Origin origin,
                                                      std::string target, Headers headers,
                                                      MessageLimits limits,
                                                      MessageHandlers handlers);

}  // namespace rouse::control
