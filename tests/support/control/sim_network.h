#pragma once
// What:      SimNetwork, a Network on simulated time in one thread: calls and messages reach services by
//            host:port through memory, with seeded delays and with faults on demand.
// Owner:     one per simulation; outlives what it made. The test turns it: Step, RunUntil, RunUntilIdle.
// Invariant: the same seed and the same calls give the same run. What one side sends arrives in order.
// Limits:    MessageLimits as the real one; of HttpLimits the timeouts only.
// Never:     frames bytes, checks certificates, reuses connections: that is the real network's test.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/control/channel.h"
#include "tests/support/control/sim_clock.h"
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

class SimNetwork final : public Network {
 public:
  SimNetwork(SimClock& clock, uint64_t seed) : clock_(clock), random_(seed), loop_(clock) {}
  ~SimNetwork() override;

  SimLoop& loop() override { return loop_; }
  [[nodiscard]] std::unique_ptr<HttpClient> NewClient(Origin origin) override;
  /// `0.0.0.0` and `::` are reached under every host's name.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<HttpListener>> Listen(ListenOptions options,
                                                                     HttpService& service) override;
  [[nodiscard]] std::unique_ptr<MessageChannel> Dial(Origin origin, std::string target,
                                                     Headers headers, MessageLimits limits,
                                                     MessageHandlers handlers) override;

  bool Step() { return loop_.Step(); }
  void RunUntilIdle() { loop_.RunUntilIdle(); }
  void RunUntil(TimePoint when) { loop_.RunUntil(when); }
  void RunFor(Duration time) { loop_.RunFor(time); }

  /// The link to `place` (`host:port`), or to every place without a link of its own: `*`.
  void SetLink(const std::string& place, SimLink link);
  /// Resets every open connection to `place`, or all: `*`. Both sides learn at once.
  void Cut(const std::string& place);
  [[nodiscard]] size_t open_connections() const;

  // For the parts of the simulation itself.
  [[nodiscard]] const SimLink& LinkTo(const std::string& place) const;
  [[nodiscard]] Duration Delay(const std::string& place);
  [[nodiscard]] SimListener* Find(const std::string& place);
  void Join(std::shared_ptr<SimConnection> connection);
  void Leave(const SimListener* listener);

 private:
  SimClock& clock_;
  Random random_;
  SimLoop loop_;
  std::map<std::string, SimLink> links_;
  std::map<std::string, SimListener*> listeners_;
  std::vector<std::weak_ptr<SimConnection>> connections_;
  uint16_t last_port_ = 20000;
};

}  // namespace rouse::control
