#include "autoscaler/scaling/scale_loop.h"

#include <algorithm>
#include <utility>

#include <absl/strings/str_cat.h>

#include "autoscaler/log_events.h"

namespace rouse::autoscaler {
namespace {

/// How old a count may be before it is read again: where pods that should start are not ready,
/// where more are ready than there should be, and on a replica that writes nothing itself.
constexpr Duration kStartingAge = std::chrono::seconds(2);
constexpr Duration kSurplusAge = std::chrono::seconds(10);
constexpr Duration kStandbyAge = std::chrono::seconds(1);

std::string_view NameOf(Phase phase) {
  switch (phase) {
    case Phase::kInactive:
      return "inactive";
    case Phase::kActivating:
      return "activating";
    case Phase::kActive:
      return "active";
  }
  return "";
}

std::string LeftTo(const std::string& rival) {
  return absl::StrCat("left alone: HorizontalPodAutoscaler ", rival, " scales it");
}

}  // namespace

struct ScaleLoop::Entry {
  WorkloadSpec spec;
  std::string rival{};
  int ready = 0;
  int replicas = kHold;          ///< as of the last decision
  std::optional<State> state{};  ///< from the first decision with known endpoints and count on
  std::optional<Decision> last{};
  TimePoint decided_at{};
  std::optional<WriteOutcome> outcome{};
};

ScaleLoop::ScaleLoop(control::Loop& loop, DemandStore& demand, ScaleWriter& writer,
                     Journal& journal, obs::Log& log, LoopOptions options,
                     absl::AnyInvocable<bool()> is_leader)
    : loop_(loop),
      demand_(demand),
      writer_(writer),
      journal_(journal),
      log_(log),
      options_(options),
      is_leader_(std::move(is_leader)) {
  writer_.SetListener(this);
}

ScaleLoop::~ScaleLoop() {
  Stop();
  writer_.SetListener(nullptr);
}

void ScaleLoop::Start() {
  running_ = true;
  last_tick_ = loop_.now();
  tick_timer_ = loop_.At(Later(last_tick_, options_.tick), [this] { Tick(); });
}

void ScaleLoop::Stop() {
  running_ = false;
  loop_.Cancel(std::exchange(tick_timer_, 0));
}

void ScaleLoop::Tick() {
  ++counters_.ticks;
  last_tick_ = loop_.now();
  demand_.Sweep(last_tick_);
  const std::vector<Entry*> active(active_.begin(), active_.end());
  for (Entry* entry : active) Evaluate(*entry);
  tick_timer_ = loop_.At(Later(last_tick_, options_.tick), [this] { Tick(); });
}

void ScaleLoop::Evaluate(Entry& entry) {
  const TimePoint now = loop_.now();
  ++counters_.decisions;
  entry.decided_at = now;
  const Observed observed = Observe(entry, now);
  const Policy& policy = entry.spec.policy;

  const bool whole = synced_ && observed.replicas != kHold;
  State state = entry.state ? *std::move(entry.state)
                            : InitialState(policy, observed, entry.spec.created, now);
  Decided decided = Decide(policy, observed, std::move(state), now);
  entry.state.reset();
  if (whole) entry.state = std::move(decided.state);

  Remember(entry, decided.decision, now);
  Apply(entry, now);
  KeepFresh(entry, now);
  if (MayRest(entry)) active_.erase(&entry);
}

Observed ScaleLoop::Observe(Entry& entry, TimePoint now) {
  const std::optional<ScaleWriter::Known> known = writer_.known(entry.spec.key);
  entry.replicas = known ? known->replicas : kHold;
  Observed observed{.ready = entry.ready, .replicas = entry.replicas};
  const auto add = [&](const ObjectKey& key, bool first) {
    const Demand demand = demand_.Read(key, now);
    observed.has_data = demand.has_data;
    observed.stable += demand.stable;
    observed.panic += demand.panic;
    observed.parked += demand.parked;
    observed.zero_proven = demand.zero_proven && (first || observed.zero_proven);
  };
  add(entry.spec.key, true);
  for (const ObjectKey& sharer : entry.spec.sharers) add(sharer, false);
  return observed;
}

void ScaleLoop::Remember(Entry& entry, const Decision& decision, TimePoint now) {
  const std::optional<Decision> before = std::exchange(entry.last, decision);
  const bool first_and_quiet = !before && decision.wanted == decision.observed.replicas;
  if (before ? !decision.differs_from(*before) : first_and_quiet) return;

  ++counters_.changes[static_cast<size_t>(decision.reason)];
  const bool leader = is_leader_();
  journal_.Add(entry.spec.key,
               {.at = now, .wall = loop_.clock().wall(), .decision = decision, .leader = leader});
  const bool number = !before || before->wanted != decision.wanted;
  const obs::Level level = number ? obs::Level::kInfo : obs::Level::kDebug;
  if (!log_.enabled(level)) return;
  log_.Write(level, log_event::kDecision,
             {{"workload", entry.spec.key.text()},
              {"wanted", decision.wanted},
              {"was", before ? before->wanted : kHold},
              {"reason", autoscaler::NameOf(decision.reason)},
              {"stable", decision.observed.stable},
              {"panic", decision.observed.panic},
              {"ready", decision.observed.ready},
              {"replicas", decision.observed.replicas},
              {"parked", decision.observed.parked},
              {"leader", leader}});
}

void ScaleLoop::Apply(Entry& entry, TimePoint) {
  const Decision& decision = *entry.last;
  const bool left_alone = !entry.rival.empty();
  if (left_alone || decision.wanted == kHold || decision.wanted == entry.replicas) {
    return writer_.Keep(entry.spec.key);
  }
  // Demand for a sleeping workload: any replica may answer it. (An unknown count is read by the
  // writer.)
  if (decision.proposed > 0 && decision.wanted > 0 && entry.replicas <= 0) {
    return writer_.Wake(entry.spec.key, decision.wanted);
  }
  if (entry.state && is_leader_()) writer_.Set(entry.spec.key, decision.wanted, entry.replicas);
}

/// Reads the count again where what it was taken for is in doubt.
void ScaleLoop::KeepFresh(Entry& entry, TimePoint now) {
  const std::optional<ScaleWriter::Known> known = writer_.known(entry.spec.key);
  if (!known) return writer_.Refresh(entry.spec.key);
  const Duration age = now - known->seen_at;
  Duration old = options_.refresh_every;
  if (entry.ready > known->replicas) old = kSurplusAge;
  if (entry.ready == 0 && known->replicas > 0 && entry.state) {
    old = std::max(kStartingAge, (now - entry.state->phase_since) / 4);
  }
  if (age > old) writer_.Refresh(entry.spec.key);
}

bool ScaleLoop::MayRest(const Entry& entry) const {
  const Observed& observed = entry.last->observed;
  return synced_ && observed.replicas == 0 && entry.last->wanted == 0 && entry.ready == 0 &&
         observed.stable == 0 && observed.panic == 0 && observed.parked == 0;
}

void ScaleLoop::Activate(Entry& entry) { active_.insert(&entry); }

void ScaleLoop::OnWorkload(WorkloadSpec spec) {
  const TimePoint now = loop_.now();
  demand_.Declare(spec.key, spec.policy, now);
  for (const ObjectKey& sharer : spec.sharers) demand_.Declare(sharer, spec.policy, now);
  std::unique_ptr<Entry>& entry = entries_[spec.key];
  const bool added = entry == nullptr;
  if (added) {
    entry = std::make_unique<Entry>();
    log_.Info(log_event::kWorkloadAdded,
              {{"workload", spec.key.text()}, {"target", spec.target.text()}});
  } else {
    DropSharers(*entry, spec.sharers);
    if (entry->spec.target != spec.target) entry->state.reset();
  }
  for (const ObjectKey& sharer : spec.sharers) sharers_[sharer] = spec.key;
  writer_.Declare(spec.key, spec.target);
  // What is new has a controller that is about to write its status. What was there before us is at
  // rest, and may be thousands.
  if (added && synced_) writer_.Settle(spec.key);
  entry->spec = std::move(spec);
  Activate(*entry);
  if (!added) Evaluate(*entry);
}

/// Sharers that go, unless they have become workloads of their own.
void ScaleLoop::DropSharers(const Entry& entry, const std::vector<ObjectKey>& kept) {
  for (const ObjectKey& sharer : entry.spec.sharers) {
    sharers_.erase(sharer);
    const bool stays = std::find(kept.begin(), kept.end(), sharer) != kept.end();
    if (!stays && !entries_.contains(sharer)) demand_.Remove(sharer);
  }
}

void ScaleLoop::OnWorkloadGone(const ObjectKey& workload) {
  const auto found = entries_.find(workload);
  if (found == entries_.end()) return;
  DropSharers(*found->second, {});
  active_.erase(found->second.get());
  demand_.Remove(workload);
  writer_.Remove(workload);
  journal_.Remove(workload);
  entries_.erase(found);
  log_.Info(log_event::kWorkloadRemoved, {{"workload", workload.text()}});
}

void ScaleLoop::OnReady(const ObjectKey& workload, int ready) {
  Entry* entry = Find(workload);
  if (entry == nullptr || entry->ready == ready) return;
  entry->ready = ready;
  Activate(*entry);
  const std::optional<ScaleWriter::Known> known = writer_.known(workload);
  const bool old = !known || loop_.now() - known->seen_at > kStandbyAge;
  if (old && !is_leader_()) writer_.Refresh(workload);
  if (ready == 0) writer_.Settle(workload);
  if (synced_) Evaluate(*entry);
}

void ScaleLoop::OnRival(const ObjectKey& workload, const std::string& rival) {
  Entry* entry = Find(workload);
  if (entry == nullptr || entry->rival == rival) return;
  entry->rival = rival;
  log_.Warn(rival.empty() ? log_event::kRivalGone : log_event::kRivalFound,
            {{"workload", workload.text()}, {"hpa", rival}});
  journal_.Note(workload, rival.empty() ? "scaled by us again" : LeftTo(rival));
  Activate(*entry);
}

void ScaleLoop::OnSynced() {
  if (std::exchange(synced_, true)) return;
  for (auto& [key, entry] : entries_) Activate(*entry);
}

void ScaleLoop::OnDemand(const ObjectKey& workload, const wire::Stat& stat) {
  const auto shared = sharers_.find(workload);
  Entry* entry = Find(shared == sharers_.end() ? workload : shared->second);
  if (entry == nullptr) return;
  Activate(*entry);
  const bool asleep = !entry->last || entry->last->wanted <= 0;
  const bool waiting = entry->replicas <= 0 || stat.parked_requests > 0;
  const bool lately = loop_.now() - entry->decided_at < options_.decide_again_after;
  if (!asleep && (!waiting || lately)) return;
  ++counters_.wakes;
  Evaluate(*entry);
}

void ScaleLoop::OnLeadership(bool leading) {
  log_.Info(leading ? log_event::kLeading : log_event::kFollowing);
  if (!leading) return;
  for (auto& [key, entry] : entries_) {
    Activate(*entry);
    writer_.Refresh(key);
  }
}

void ScaleLoop::OnScale(const ObjectKey& workload) {
  Entry* entry = Find(workload);
  if (entry == nullptr) return;
  const bool fell_to_zero = entry->replicas > 0 && writer_.known(workload)->replicas == 0;
  if (fell_to_zero) writer_.Settle(workload);
  Activate(*entry);
  Evaluate(*entry);
}

void ScaleLoop::OnWritten(const ObjectKey& workload, const Written& written) {
  Entry* entry = Find(workload);
  if (entry == nullptr) return;
  const std::string_view outcome = autoscaler::NameOf(written.outcome);
  std::string note(outcome);
  if (written.outcome == WriteOutcome::kWritten) {
    absl::StrAppend(&note, " ", written.from, " -> ", written.to);
  } else if (!written.status.ok()) {
    absl::StrAppend(&note, ": ", written.status.message());
  }
  journal_.Note(workload, note);

  const bool repeated = entry->outcome == written.outcome;
  entry->outcome = written.outcome;
  if (written.outcome == WriteOutcome::kWritten) {
    log_.Info(log_event::kScaleWritten, {{"workload", workload.text()},
                                         {"from", written.from},
                                         {"to", written.to},
                                         {"wake", written.wake},
                                         {"took_ms", Milliseconds(written.took)}});
  } else if (!written.status.ok() && !repeated) {
    const bool failed = written.outcome == WriteOutcome::kFailed;
    log_.Warn(failed ? log_event::kScaleFailed : log_event::kScaleRefused,
              {{"workload", workload.text()}, {"outcome", outcome}, {"error", note}});
  }
}

std::vector<WorkloadView> ScaleLoop::Views() const {
  std::vector<WorkloadView> views;
  views.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) {
    const absl::Status& problem = writer_.problem(key);
    views.push_back({.key = key,
                     .target = entry->spec.target.text(),
                     .phase = entry->state ? entry->state->phase : Phase::kInactive,
                     .active = active_.contains(entry.get()),
                     .goal = entry->spec.policy.target,
                     .decision = entry->last.value_or(Decision{}),
                     .problem = std::string(problem.message().data(), problem.message().size()),
                     .rival = entry->rival});
    if (!entry->rival.empty()) views.back().problem = LeftTo(entry->rival);
    views.back().decision.observed.ready = entry->ready;
  }
  std::sort(views.begin(), views.end(),
            [](const WorkloadView& a, const WorkloadView& b) { return a.key < b.key; });
  return views;
}

std::string ScaleLoop::Json() const {
  JsonText json;
  json.BeginObject().Key("workloads").BeginArray();
  for (const WorkloadView& view : Views()) {
    json.BeginObject()
        .Field("workload", view.key.text())
        .Field("target", view.target)
        .Field("phase", NameOf(view.phase))
        .Field("active", view.active)
        .Field("target_per_pod", view.goal.target)
        .Field("total_per_pod", view.goal.total);
    AppendDecision(view.decision, json);
    json.Field("problem", view.problem).EndObject();
  }
  json.EndArray().EndObject();
  return json.text();
}

ScaleLoop::Entry* ScaleLoop::Find(const ObjectKey& workload) {
  const auto found = entries_.find(workload);
  return found == entries_.end() ? nullptr : found->second.get();
}

}  // namespace rouse::autoscaler
