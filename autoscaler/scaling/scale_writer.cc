#include "autoscaler/scaling/scale_writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include <absl/strings/match.h>

#include "common/base/check.h"
#include "k8s/api_status.h"

namespace rouse::autoscaler {
namespace {

constexpr TimePoint kNeverSeen = TimePoint::min();

/// After the write of a zero, and when it is new, the object's status changes a few times more;
/// these readings find its rest.
constexpr std::array<Duration, 2> kSettleAfter = {std::chrono::seconds(1), std::chrono::seconds(5)};

/// A custom resource without the field that its `scale` maps to answers 500 and names the field.
bool IsUnset(const absl::Status& status) {
  const std::optional<k8s::ApiFailure> failure = k8s::FailureOf(status);
  return failure && failure->http_status == 500 &&
         absl::StrContains(status.message(), "replicas field");
}

/// Whether a repeat may help; if not, what to call it.
std::optional<WriteOutcome> Final(const absl::Status& status) {
  if (IsUnset(status)) return WriteOutcome::kUnset;
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return WriteOutcome::kMissing;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return WriteOutcome::kRefused;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string_view NameOf(WriteOutcome outcome) {
  switch (outcome) {
    case WriteOutcome::kWritten:
      return "written";
    case WriteOutcome::kAlready:
      return "already";
    case WriteOutcome::kMoved:
      return "moved";
    case WriteOutcome::kNotLeader:
      return "not_leader";
    case WriteOutcome::kUnset:
      return "scale_unset";
    case WriteOutcome::kMissing:
      return "target_missing";
    case WriteOutcome::kRefused:
      return "refused";
    case WriteOutcome::kFailed:
      return "failed";
  }
  UNREACHABLE();
}

/// What is known of one target and what is under way.
struct ScaleWriter::Target {
  Target(ObjectKey key, k8s::ScaleTarget what, const WriterLimits& limits)
      : workload(std::move(key)),
        scale(std::move(what)),
        retry(limits.retry_first, limits.retry_most),
        refused(limits.refused_first, limits.refused_most) {}

  ObjectKey workload;
  k8s::ScaleTarget scale;
  int replicas = 0;       ///< as of seen_at
  std::string version{};  ///< empty: not to be trusted
  TimePoint seen_at = kNeverSeen;
  std::optional<Want> want{};
  Want sending{};  ///< what the patch in flight carries
  int tries = 0;   ///< of this want
  Backoff retry;
  Backoff refused;
  TimePoint not_before{};  ///< after a refusal
  WriteOutcome refusal = WriteOutcome::kRefused;
  absl::Status problem{};
  bool refresh_queued = false;
  bool refreshing = false;  ///< the call in flight is a read that nobody waits for
  bool waking = false;      ///< the call in flight is a wake's, or a patch: it is not cut short
  size_t settle_next = kSettleAfter.size();
  std::unique_ptr<k8s::ApiCall> call{};
  control::TimerId retry_timer = 0;
  control::TimerId settle_timer = 0;
};

ScaleWriter::ScaleWriter(control::Loop& loop, ScaleApi& api, uint64_t seed, WriterLimits limits,
                         absl::AnyInvocable<bool()> is_leader)
    : loop_(loop), api_(api), random_(seed), limits_(limits), is_leader_(std::move(is_leader)) {}

ScaleWriter::~ScaleWriter() {
  while (!targets_.empty()) Remove(ObjectKey(targets_.begin()->first));
}

void ScaleWriter::Declare(const ObjectKey& workload, const k8s::ScaleTarget& scale) {
  Target* known = Find(workload);
  if (known != nullptr && known->scale == scale) return;
  if (known != nullptr) Remove(workload);
  targets_[workload] = std::make_unique<Target>(workload, scale, limits_);
  Refresh(workload);
}

void ScaleWriter::Remove(const ObjectKey& workload) {
  const auto found = targets_.find(workload);
  if (found == targets_.end()) return;
  loop_.Cancel(found->second->retry_timer);
  loop_.Cancel(found->second->settle_timer);
  if (found->second->refreshing) --refreshing_;
  targets_.erase(found);
}

void ScaleWriter::Wake(const ObjectKey& workload, int replicas) {
  Target* target = Find(workload);
  if (target == nullptr) return;
  if (target->want && target->want->wake) {
    target->want->replicas = replicas;
    return;
  }
  WantIt(*target, {.wake = true, .replicas = replicas});
}

void ScaleWriter::Set(const ObjectKey& workload, int replicas, int decided_on) {
  Target* target = Find(workload);
  if (target == nullptr) return;
  const bool same = target->want && !target->want->wake && target->want->replicas == replicas &&
                    target->want->decided_on == decided_on;
  if (!same) WantIt(*target, {.replicas = replicas, .decided_on = decided_on});
}

void ScaleWriter::Keep(const ObjectKey& workload) {
  Target* target = Find(workload);
  if (target != nullptr && target->want && !target->want->wake) target->want.reset();
}

void ScaleWriter::WantIt(Target& target, Want want) {
  const TimePoint now = loop_.now();
  want.id = next_want_++;
  want.since = now;
  if (now < target.not_before) return Finish(target, want, target.refusal, target.problem);
  target.want = want;
  target.tries = 0;
  if (want.wake) MakeWay(target);
  Step(target);
}

/// A wake waits neither for a pause after an earlier want's failure nor for a read of lower class.
void ScaleWriter::MakeWay(Target& target) {
  loop_.Cancel(std::exchange(target.retry_timer, 0));
  if (target.call == nullptr || target.waking) return;
  target.call.reset();
  if (std::exchange(target.refreshing, false)) --refreshing_;
}

void ScaleWriter::Step(Target& target) {
  if (target.call != nullptr || target.retry_timer != 0 || !target.want) return;
  target.want->wake ? StepWake(target) : StepSet(target);
}

void ScaleWriter::StepWake(Target& target) {
  const bool trusted = !target.version.empty();
  if (trusted && target.replicas == 0) return Patch(target);
  // A count above zero may be old news: only one that was seen after the wake ends it.
  if (trusted && target.seen_at >= target.want->since) {
    return Finish(target, *std::exchange(target.want, {}), WriteOutcome::kAlready);
  }
  Read(target, true);
}

void ScaleWriter::StepSet(Target& target) {
  const Want& want = *target.want;
  if (!is_leader_()) {
    return Finish(target, *std::exchange(target.want, {}), WriteOutcome::kNotLeader);
  }
  if (target.version.empty() || target.seen_at < want.since) return Read(target, false);
  if (target.replicas == want.replicas) {
    return Finish(target, *std::exchange(target.want, {}), WriteOutcome::kAlready);
  }
  if (target.replicas != want.decided_on) {
    return Finish(target, *std::exchange(target.want, {}), WriteOutcome::kMoved);
  }
  Patch(target);
}

void ScaleWriter::Read(Target& target, bool wake) {
  ++counters_.reads;
  target.waking = wake;
  target.call = api_.Read(
      target.scale, target.workload.ns, wake,
      [this, &target](absl::StatusOr<k8s::Scale> scale) { OnRead(target, std::move(scale)); });
}

void ScaleWriter::OnRead(Target& target, absl::StatusOr<k8s::Scale> scale) {
  target.call.reset();
  if (std::exchange(target.refreshing, false)) {
    --refreshing_;
    StartRefreshes();
  }
  if (!scale.ok()) return OnFailure(target, scale.status());
  // Step first: the listener may want something else of this target.
  const ObjectKey workload = target.workload;
  const bool news = target.seen_at == kNeverSeen || target.replicas != scale->spec_replicas;
  Learn(target, *scale);
  Step(target);
  if (news && listener_ != nullptr) listener_->OnScale(workload);
}

void ScaleWriter::Patch(Target& target) {
  target.sending = *target.want;
  const Want& want = target.sending;
  if (want.wake && target.tries == 0) counters_.wake_sent.Observe(loop_.now() - want.since);
  ++counters_.patches;
  target.waking = true;
  target.call = api_.Patch(
      target.scale, target.workload.ns, want.replicas, target.version, want.wake,
      [this, &target](absl::StatusOr<k8s::Scale> scale) { OnPatched(target, std::move(scale)); });
}

void ScaleWriter::OnPatched(Target& target, absl::StatusOr<k8s::Scale> scale) {
  target.call.reset();
  if (!scale.ok()) {
    target.version.clear();
    if (absl::IsAborted(scale.status())) return OnConflict(target);
    return OnFailure(target, scale.status());
  }
  const ObjectKey workload = target.workload;
  const Want sent = target.sending;
  const bool same = target.want && target.want->id == sent.id;
  if (same) target.want.reset();
  target.tries = 0;
  target.retry.Reset();
  const int before = target.replicas;
  Learn(target, *scale);
  if (sent.wake) counters_.wake_written.Observe(loop_.now() - sent.since);
  if (target.replicas == 0) Settle(workload);
  Step(target);
  Written written{.outcome = WriteOutcome::kWritten,
                  .wake = sent.wake,
                  .from = before,
                  .to = scale->spec_replicas,
                  .took = loop_.now() - sent.since,
                  .status = {}};
  ++(sent.wake ? counters_.wakes : counters_.sets)[static_cast<size_t>(written.outcome)];
  if (listener_ == nullptr) return;
  listener_->OnWritten(workload, written);
  if (before != scale->spec_replicas) listener_->OnScale(workload);
}

void ScaleWriter::OnConflict(Target& target) {
  ++counters_.conflicts;
  if (!target.want) return Refresh(target.workload);
  if (target.want->wake) return RetryLater(target);
  // An old number is not replayed: whoever decided shall look again.
  const Want want = *std::exchange(target.want, {});
  Refresh(target.workload);
  Finish(target, want, WriteOutcome::kMoved);
}

void ScaleWriter::OnFailure(Target& target, const absl::Status& status) {
  target.problem = status;
  const std::optional<WriteOutcome> final = Final(status);
  if (final) {
    target.refusal = *final;
    target.not_before = Later(loop_.now(), target.refused.Next(random_));
    target.version.clear();
  }
  if (!target.want) return;
  if (!final && target.want->wake) return RetryLater(target);
  const Want want = *std::exchange(target.want, {});
  Finish(target, want, final.value_or(WriteOutcome::kFailed), status);
}

/// Of a wake: at once after the first conflict, then with growing pauses, then not.
void ScaleWriter::RetryLater(Target& target) {
  if (++target.tries >= limits_.wake_tries_max) {
    const Want want = *std::exchange(target.want, {});
    return Finish(target, want, WriteOutcome::kFailed, target.problem);
  }
  ++counters_.retries;
  if (target.tries == 1) return Step(target);
  const TimePoint when = Later(loop_.now(), target.retry.Next(random_));
  target.retry_timer = loop_.At(when, [this, &target] {
    target.retry_timer = 0;
    Step(target);
  });
}

void ScaleWriter::Learn(Target& target, const k8s::Scale& scale) {
  target.replicas = scale.spec_replicas;
  target.version = scale.meta.resource_version;
  target.seen_at = loop_.now();
  target.problem = absl::OkStatus();
  target.not_before = {};
  target.refused.Reset();
}

void ScaleWriter::Finish(Target& target, const Want& want, WriteOutcome outcome,
                         absl::Status status) {
  target.tries = 0;
  ++(want.wake ? counters_.wakes : counters_.sets)[static_cast<size_t>(outcome)];
  const Written written{.outcome = outcome,
                        .wake = want.wake,
                        .from = target.replicas,
                        .to = want.replicas,
                        .took = loop_.now() - want.since,
                        .status = std::move(status)};
  // A copy: the listener may remove the target.
  const ObjectKey workload = target.workload;
  if (listener_ != nullptr) listener_->OnWritten(workload, written);
}

void ScaleWriter::Refresh(const ObjectKey& workload) {
  Target* target = Find(workload);
  if (target == nullptr || std::exchange(target->refresh_queued, true)) return;
  refresh_queue_.push_back(workload);
  StartRefreshes();
}

void ScaleWriter::StartRefreshes() {
  while (!refresh_queue_.empty() && refreshing_ < limits_.refreshes_max) {
    Target* target = Find(refresh_queue_.front());
    refresh_queue_.pop_front();
    if (target == nullptr) continue;
    target->refresh_queued = false;
    if (target->call != nullptr || loop_.now() < target->not_before) continue;
    target->refreshing = true;
    ++refreshing_;
    Read(*target, false);
  }
}

void ScaleWriter::Settle(const ObjectKey& workload) {
  Target* target = Find(workload);
  if (target == nullptr) return;
  loop_.Cancel(std::exchange(target->settle_timer, 0));
  target->settle_next = 0;
  ArmSettle(*target);
}

void ScaleWriter::ArmSettle(Target& target) {
  if (target.settle_next == kSettleAfter.size()) return;
  const TimePoint when = Later(loop_.now(), kSettleAfter[target.settle_next++]);
  target.settle_timer = loop_.At(when, [this, &target] {
    target.settle_timer = 0;
    Refresh(target.workload);
    ArmSettle(target);
  });
}

std::optional<ScaleWriter::Known> ScaleWriter::known(const ObjectKey& workload) const {
  const auto found = targets_.find(workload);
  if (found == targets_.end() || found->second->seen_at == kNeverSeen) return std::nullopt;
  return Known{found->second->replicas, found->second->seen_at};
}

size_t ScaleWriter::settling() const {
  return static_cast<size_t>(std::count_if(targets_.begin(), targets_.end(), [](const auto& each) {
    return each.second->settle_timer != 0;
  }));
}

const absl::Status& ScaleWriter::problem(const ObjectKey& workload) const {
  static const absl::Status none;
  const auto found = targets_.find(workload);
  return found == targets_.end() ? none : found->second->problem;
}

ScaleWriter::Target* ScaleWriter::Find(const ObjectKey& workload) {
  const auto found = targets_.find(workload);
  return found == targets_.end() ? nullptr : found->second.get();
}

}  // namespace rouse::autoscaler
