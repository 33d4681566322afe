#pragma once
// What:      EventRecorder tells people about an object by Kubernetes Events, without flooding
//            them: the same remark within aggregate_for is told once and counted.
// Owner:     app. Control thread.
// Limits:    EventLimits.
// Never:     reports failure to its caller: an Event is a courtesy. Failures are counted.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "common/base/random.h"
#include "k8s/api_client.h"
#include "k8s/objects/event.h"

namespace rouse::k8s {

struct EventLimits {
  Duration aggregate_for = std::chrono::minutes(10);
  size_t remembered_max =
      1024;                  ///< remarks held for aggregation; beyond it the oldest is forgotten
  size_t in_flight_max = 8;  ///< further ones are dropped and counted
};

struct EventCounters {
  uint64_t sent = 0;
  uint64_t aggregated = 0;
  uint64_t dropped = 0;
  uint64_t failed = 0;
};

class EventRecorder {
 public:
  EventRecorder(ApiClient& client, uint64_t seed, EventLimits limits = {});
  ~EventRecorder();

  void Normal(const EventSubject& subject, std::string_view reason, std::string_view message) {
    Record(subject, false, reason, message);
  }
  void Warning(const EventSubject& subject, std::string_view reason, std::string_view message) {
    Record(subject, true, reason, message);
  }
  [[nodiscard]] const EventCounters& counters() const { return counters_; }

 private:
  struct Told {
    TimePoint sent;     ///< the last one that went out
    int32_t count = 0;  ///< since then, the one that goes out next included
    WallTime first{};   ///< of those counted
  };
  using TellKey =
      std::tuple<std::string, std::string, std::string>;  // subject uid or key, reason, message

  void Send(const Event& event);
  void ForgetOldest();
  void Record(const EventSubject& subject, bool warning, std::string_view reason,
              std::string_view message);

  ApiClient& client_;
  Random random_;
  EventLimits limits_;
  std::map<TellKey, Told> told_;
  std::map<uint64_t, std::unique_ptr<ApiCall>> in_flight_;
  uint64_t next_call_ = 1;
  EventCounters counters_;
};

}  // namespace rouse::k8s
