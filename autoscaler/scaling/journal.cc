#include "autoscaler/scaling/journal.h"

#include <chrono>
#include <utility>

namespace rouse::autoscaler {
namespace {

void AppendEntry(const Journal::Entry& entry, JsonText& json) {
  const auto since_epoch = entry.wall.time_since_epoch();
  json.BeginObject();
  json.Field("at_unix_ms",
             std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count());
  json.Field("leader", entry.leader);
  AppendDecision(entry.decision, json);
  json.Field("outcome", entry.outcome);
  json.EndObject();
}

}  // namespace

void Journal::Add(const ObjectKey& workload, Entry entry) {
  std::deque<Entry>& entries = entries_[workload];
  entries.push_back(std::move(entry));
  if (entries.size() > kEntriesMax) entries.pop_front();
}

void Journal::Note(const ObjectKey& workload, std::string outcome) {
  const auto found = entries_.find(workload);
  if (found != entries_.end()) found->second.back().outcome = std::move(outcome);
}

const std::deque<Journal::Entry>& Journal::EntriesOf(const ObjectKey& workload) const {
  static const std::deque<Entry> none;
  const auto found = entries_.find(workload);
  return found == entries_.end() ? none : found->second;
}

std::string Journal::Json(const ObjectKey* only) const {
  JsonText json;
  json.BeginObject().Key("decisions").BeginArray();
  for (const auto& [workload, entries] : entries_) {
    if (only != nullptr && workload != *only) continue;
    json.BeginObject().Field("workload", workload.text()).Key("entries").BeginArray();
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      AppendEntry(*entry, json);
    }
    json.EndArray().EndObject();
  }
  json.EndArray().EndObject();
  return json.text();
}

void AppendDecision(const Decision& decision, JsonText& json) {
  const Observed& observed = decision.observed;
  json.Field("wanted", decision.wanted)
      .Field("reason", NameOf(decision.reason))
      .Field("proposed", decision.proposed)
      .Field("panicking", decision.panicking)
      .Field("excess_burst_capacity", decision.excess_burst_capacity)
      .Field("has_data", observed.has_data)
      .Field("stable", observed.stable)
      .Field("panic", observed.panic)
      .Field("ready", observed.ready)
      .Field("replicas", observed.replicas)
      .Field("parked", observed.parked)
      .Field("zero_proven", observed.zero_proven);
}

}  // namespace rouse::autoscaler
