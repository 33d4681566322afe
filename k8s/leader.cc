#include "k8s/leader.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace rouse::k8s {
namespace {

/// What makes two readings of a lease differ for an observer.
bool SameRecord(const Lease& a, const Lease& b) {
  return a.holder == b.holder && a.meta.resource_version == b.meta.resource_version &&
         a.renew_time == b.renew_time && a.transitions == b.transitions;
}

}  // namespace

Leader::Leader(ApiClient& client, obs::Log& log, uint64_t seed, LeaderOptions options,
               absl::AnyInvocable<void(bool leading)> on_change)
    : client_(client),
      log_(log),
      random_(seed),
      options_(std::move(options)),
      on_change_(std::move(on_change)) {
  CHECK(options_.call_timeout < options_.renew_deadline);
  CHECK(options_.renew_deadline < options_.lease_duration);
  CHECK(!options_.identity.empty());
}

Leader::~Leader() {
  client_.loop().Cancel(try_timer_);
  client_.loop().Cancel(expire_timer_);
}

void Leader::Start() { Try(); }

void Leader::Try() {
  // While it is ours, a renewal needs no reading: its resourceVersion says whether anybody came
  // between.
  if (IsLeader(client_.loop().now()) && !std::exchange(must_read_, false)) return Write(seen_);
  call_ = client_.GetLease(options_.lease, options_.call_timeout,
                           [this](absl::StatusOr<Lease> lease) { OnRead(std::move(lease)); });
}

void Leader::OnRead(absl::StatusOr<Lease> lease) {
  if (absl::IsNotFound(lease.status())) {
    Lease fresh;
    fresh.meta.ns = options_.lease.ns;
    fresh.meta.name = options_.lease.name;
    return Write(std::move(fresh));
  }
  if (!lease.ok()) return Fail(lease.status());
  Observe(*lease);
  const Duration held = std::chrono::seconds(seen_.duration_seconds);
  const bool another = !seen_.holder.empty() && seen_.holder != options_.identity;
  if (another) {
    leads_until_ = {};
    Tell();
    if (client_.loop().now() < seen_at_ + held) return Again();
  }
  Write(seen_);
}

void Leader::Write(Lease lease) {
  const WallTime wall = client_.loop().clock().wall();
  const bool create = lease.meta.resource_version.empty();
  if (lease.holder != options_.identity) {
    if (!create) ++lease.transitions;
    lease.acquire_time = wall;
  }
  lease.holder = options_.identity;
  lease.duration_seconds = static_cast<int32_t>(
      std::chrono::ceil<std::chrono::seconds>(options_.lease_duration).count());
  lease.renew_time = wall;
  const TimePoint sent = client_.loop().now();
  LeaseHandler handler = [this, sent](absl::StatusOr<Lease> written) {
    OnWritten(sent, std::move(written));
  };
  call_ = create ? client_.CreateLease(lease, options_.call_timeout, std::move(handler))
                 : client_.UpdateLease(lease, options_.call_timeout, std::move(handler));
}

void Leader::OnWritten(TimePoint sent, absl::StatusOr<Lease> lease) {
  if (!lease.ok()) {
    // Written or not, or by another: the next try must read. What we held holds until its deadline,
    // for nobody takes a lease sooner.
    must_read_ = true;
    return Fail(lease.status());
  }
  Observe(*lease);
  leads_until_ = std::max(leads_until_, sent + options_.renew_deadline);
  client_.loop().Cancel(expire_timer_);
  expire_timer_ = client_.loop().At(leads_until_, [this] {
    expire_timer_ = 0;
    Tell();
  });
  Tell();
  Again();
}

void Leader::Observe(const Lease& lease) {
  if (have_seen_ && SameRecord(seen_, lease)) return;
  if (seen_.holder != lease.holder) {
    log_.Info("leader_seen", {{"lease", options_.lease.text()},
                              {"holder", lease.holder},
                              {"transitions", lease.transitions}});
  }
  have_seen_ = true;
  seen_ = lease;
  seen_at_ = client_.loop().now();
}

void Leader::Fail(const absl::Status& why) {
  log_.Warn("lease_failed",
            {{"lease", options_.lease.text()}, {"why", std::string(why.message())}});
  Again();
}

void Leader::Again() {
  const double stretch = 1 + (options_.retry_jitter - 1) * random_.Unit();
  const Duration wait(
      static_cast<int64_t>(static_cast<double>(options_.retry_period.count()) * stretch));
  try_timer_ = client_.loop().At(client_.loop().now() + wait, [this] {
    try_timer_ = 0;
    Try();
  });
}

void Leader::Tell() {
  const bool leads = IsLeader(client_.loop().now());
  if (leads == told_) return;
  told_ = leads;
  log_.Info(leads ? "leader_gained" : "leader_lost",
            {{"lease", options_.lease.text()}, {"transitions", seen_.transitions}});
  on_change_(leads);
}

// ---- giving it back ---------------------------------------------------------------------------

void Leader::Release(absl::AnyInvocable<void()> done) {
  client_.loop().Cancel(try_timer_);
  client_.loop().Cancel(expire_timer_);
  leads_until_ = {};
  on_released_ = std::move(done);
  if (!told_) {
    call_ = nullptr;
    return client_.loop().Post([this] { Released(); });
  }
  Tell();
  // A renewal may have been under way, so what was seen may be out of date.
  call_ =
      client_.GetLease(options_.lease, options_.call_timeout, [this](absl::StatusOr<Lease> lease) {
        if (!lease.ok() || lease->holder != options_.identity) return Released();
        lease->holder.clear();
        lease->duration_seconds = 1;
        lease->renew_time = client_.loop().clock().wall();
        call_ = client_.UpdateLease(*lease, options_.call_timeout,
                                    [this](const absl::StatusOr<Lease>&) { Released(); });
      });
}

void Leader::Released() {
  if (auto done = std::exchange(on_released_, nullptr)) done();
}

}  // namespace rouse::k8s
