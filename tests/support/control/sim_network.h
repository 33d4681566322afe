#pragma once
// What:      SimNetwork, a Network on simulated time in one thread: calls and messages reach
//            services by host:port through memory, with seeded delays and with faults on demand.
// Owner:     one per simulation; outlives what it made. The test turns it: Step, RunUntil,
//            RunUntilIdle.
// Invariant: the same seed and the same calls give the same run. What one side sends arrives in
//            order.
// Limits:    MessageLimits as the real one; of HttpLimits the timeouts only.
// Never:     frames bytes, checks certificates, reuses connections: that is the real network's
//            test.

#include <cstdint>
#include <memory>
#include <string>

#include "common/control/channel.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/control/sim_connection.h"

namespace rouse::control {

class SimNetwork final : public Network {
 public:
  SimNetwork(SimClock& clock, uint64_t seed) : core_(clock, seed) {}

  SimLoop& loop() override { return core_.loop; }
  [[nodiscard]] std::unique_ptr<HttpClient> NewClient(Origin origin) override;
  /// `0.0.0.0` and `::` are reached under every host's name.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<HttpListener>> Listen(ListenOptions options,
                                                                     HttpService& service) override;
  [[nodiscard]] std::unique_ptr<MessageChannel> Dial(Origin origin, std::string target,
                                                     Headers headers, MessageLimits limits,
                                                     MessageHandlers handlers) override;

  bool Step() { return core_.loop.Step(); }
  void RunUntilIdle() { core_.loop.RunUntilIdle(); }
  void RunUntil(TimePoint when) { core_.loop.RunUntil(when); }
  void RunFor(Duration time) { core_.loop.RunFor(time); }

  /// The link to `place` (`host:port`), or to every place without a link of its own: `*`.
  void SetLink(const std::string& place, SimLink link);
  /// Resets every open connection to `place`, or all: `*`. Both sides learn at once.
  void Cut(const std::string& place);
  [[nodiscard]] size_t open_connections() const;

 private:
  SimCore core_;
};

}  // namespace rouse::control
