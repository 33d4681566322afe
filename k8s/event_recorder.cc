#include "k8s/event_recorder.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace rouse::k8s {
namespace {

constexpr size_t kSubjectMax = 230;  ///< of 253, the rest is the number

std::string EventName(const std::string& subject, uint64_t number) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), ".%016llx", static_cast<unsigned long long>(number));
  return subject.substr(0, kSubjectMax) + text.data();
}

}  // namespace

EventRecorder::EventRecorder(ApiClient& client, uint64_t seed, EventLimits limits)
    : client_(client), random_(seed), limits_(limits) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::Record(const EventSubject& subject, bool warning, std::string_view reason,
                           std::string_view message) {
  const TimePoint now = client_.loop().now();
  const WallTime wall = client_.loop().clock().wall();
  TellKey key{subject.ns + "/" + subject.name + "/" + subject.uid, reason, message};
  const auto known = told_.find(key);
  if (known != told_.end() && now - known->second.sent < limits_.aggregate_for) {
    if (known->second.count++ == 0) known->second.first = wall;
    ++counters_.aggregated;
    return;
  }
  if (in_flight_.size() >= limits_.in_flight_max) {
    ++counters_.dropped;
    return;
  }
  Event event;
  event.meta.ns = subject.ns.empty() ? "default" : subject.ns;
  event.meta.name = EventName(subject.name, random_.Next());
  event.subject = subject;
  event.warning = warning;
  event.reason = reason;
  event.message = message;
  event.component = client_.options().component;
  event.first_time = known != told_.end() && known->second.count > 0 ? known->second.first : wall;
  event.last_time = wall;
  event.count = known != told_.end() ? known->second.count + 1 : 1;
  if (known == told_.end() && told_.size() >= limits_.remembered_max) ForgetOldest();
  told_.insert_or_assign(std::move(key), Told{now, 0, wall});
  Send(event);
}

void EventRecorder::ForgetOldest() {
  const auto oldest =
      std::min_element(told_.begin(), told_.end(),
                       [](const auto& a, const auto& b) { return a.second.sent < b.second.sent; });
  if (oldest != told_.end()) told_.erase(oldest);
}

void EventRecorder::Send(const Event& event) {
  const uint64_t id = next_call_++;
  ApiRequest request;
  request.method = "POST";
  request.path = CollectionPath(Event::kType, event.meta.ns);
  request.body = event.Encode();
  request.call_class = CallClass::kEvent;
  in_flight_[id] =
      client_.Send(std::move(request), [this, id](const absl::StatusOr<std::string>& reply) {
        ++(reply.ok() ? counters_.sent : counters_.failed);
        in_flight_.erase(id);
      });
}

}  // namespace rouse::k8s
