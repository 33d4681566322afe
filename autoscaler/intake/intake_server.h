#pragma once
// What:      IntakeServer, the WebSocket on which proxies (and Knative's activators) report: each
//            message decoded, filed in the demand store, and told to the scale loop where it shows
//            demand.
// Owner:     app, which listens with it; the store must outlive it. Control thread.
// Limits:    IntakeLimits; one sender's name per connection; wire's limits per message.
// Invariant: a connection that breaks the protocol is closed and none of that message is filed.
// Never:     answers with data: reports go one way.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "autoscaler/demand/demand_store.h"
#include "autoscaler/intake/intake_auth.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::autoscaler {

struct IntakeLimits {
  size_t connections_max = 1024;
  size_t held_max = 8;  ///< messages of a connection whose token is being reviewed
};

struct IntakeCounters {
  uint64_t accepted = 0;
  uint64_t unauthorized = 0;
  uint64_t refused = 0;  ///< too many connections or senders, or going down
  uint64_t messages = 0;
  uint64_t text = 0;       ///< not binary: dropped, as Knative does
  uint64_t malformed = 0;  ///< closed for it
};

class IntakeServer final : public control::HttpService {
 public:
  using OnDemand = absl::AnyInvocable<void(const ObjectKey& workload, const wire::Stat& stat)>;

  IntakeServer(control::Loop& loop, DemandStore& demand, obs::Log& log, IntakeAuth auth,
               IntakeLimits limits, OnDemand on_demand);
  ~IntakeServer() override;

  // HttpService. Any path is accepted, as Knative's senders use several.
  void Serve(control::IncomingRequest request,
             std::unique_ptr<control::HttpResponder> responder) override;
  int AcceptMessages(const control::IncomingRequest& request) override;
  void OnMessages(control::IncomingRequest request,
                  std::unique_ptr<control::MessageChannel> channel,
                  absl::AnyInvocable<void(control::MessageHandlers)> set_handlers) override;

  /// From now on a sender must have shown a certificate that was verified.
  void RequireCertificates() { certificates_ = true; }
  /// Refuses new connections and asks the open ones to go elsewhere (close code 1012, as Knative
  /// does).
  void Drain();

  [[nodiscard]] size_t connections() const { return connections_.size(); }
  [[nodiscard]] const IntakeCounters& counters() const { return counters_; }

 private:
  struct Connection {
    std::unique_ptr<control::MessageChannel> channel;
    std::string peer;
    std::string sender;    ///< empty until the first report that has a name
    bool closing = false;  ///< what still arrives is not read
    bool reviewed = true;
    std::vector<std::string> held;  ///< what came before the review was over
  };

  void OnMessage(uint64_t id, std::string_view message, bool binary);
  void OnVerdict(uint64_t id, Verdict verdict);
  void File(Connection& connection, std::string_view message);
  void OnClose(uint64_t id, const absl::Status& why);
  /// The connection's sender, learned from its first named report; false where it must be closed.
  bool Identify(Connection& connection, const wire::Report& report);
  void Refuse(Connection& connection, uint16_t code, std::string_view why, std::string_view event);

  control::Loop& loop_;
  DemandStore& demand_;
  obs::Log& log_;
  IntakeAuth auth_;
  IntakeLimits limits_;
  OnDemand on_demand_;
  bool certificates_ = false;
  bool draining_ = false;
  uint64_t next_connection_ = 1;
  std::map<uint64_t, Connection> connections_;
  IntakeCounters counters_;
};

}  // namespace rouse::autoscaler
