#include "k8s/exec_credentials.h"

#include <algorithm>
#include <utility>

namespace rouse::k8s {

ExecCredentials::ExecCredentials(control::Loop& loop, obs::Log& log, uint64_t seed, ExecStart start)
    : loop_(loop), log_(log), random_(seed), start_(std::move(start)) {}

ExecCredentials::~ExecCredentials() {
  loop_.Cancel(planned_);
  loop_.Cancel(refusal_);
}

bool ExecCredentials::usable() const {
  return given_ && (!expires_ || loop_.clock().wall() < *expires_);
}

void ExecCredentials::Renew(const CredentialWait& wait) {
  waiting_.push_back(wait);
  if (run_ || refusal_ != 0) return;
  if (loop_.now() >= not_before_) return Start();
  refusal_ = loop_.At(loop_.now(), [this] {
    refusal_ = 0;
    Tell(outcome_.ok() ? absl::UnauthenticatedError("the credential plugin has just been run")
                       : outcome_);
  });
}

void ExecCredentials::Start() {
  loop_.Cancel(std::exchange(planned_, 0));
  run_ = start_([this](absl::StatusOr<ExecCredential> outcome) { OnDone(std::move(outcome)); });
}

void ExecCredentials::OnDone(absl::StatusOr<ExecCredential> outcome) {
  const std::unique_ptr<ExecRun> ended = std::move(run_);
  const TimePoint now = loop_.now();
  if (now - ended_at_ >= kQuiet) again_.Reset();
  ended_at_ = now;
  not_before_ = now + again_.Next(random_);
  const Duration life = outcome.ok() ? Life(*outcome) : Duration();
  if (outcome.ok() && life <= Duration()) {
    outcome = absl::UnauthenticatedError("what the credential plugin gave has expired already");
  }
  outcome_ = outcome.status();
  if (outcome.ok()) {
    given_ = true;
    expires_ = outcome->expires;
    StartAt(now + std::max<Duration>(life - std::min(kAhead, life / 2), kAgainFirst / 2));
    adopt_(*std::move(outcome));
  } else {
    log_.Warn("credential_plugin_failed", {{"why", std::string(outcome_.message())},
                                           {"wait_ms", Milliseconds(not_before_ - now)}});
    StartAt(not_before_);
  }
  Tell(absl::Status(outcome_));  // a copy: who is told may wait again
}

Duration ExecCredentials::Life(const ExecCredential& credential) const {
  if (!credential.expires) return kLifeUnknown;
  // A date without end must not overflow a sum of nanoseconds.
  constexpr Duration kLongest = std::chrono::hours(24 * 365);
  const auto life = *credential.expires - loop_.clock().wall();
  return life > kLongest ? kLongest : std::chrono::duration_cast<Duration>(life);
}

void ExecCredentials::StartAt(TimePoint when) {
  loop_.Cancel(planned_);
  planned_ = loop_.At(when, [this] {
    planned_ = 0;
    if (!run_) Start();
  });
}

void ExecCredentials::Tell(const absl::Status& status) {
  for (const std::weak_ptr<CredentialTold>& each : std::exchange(waiting_, {})) {
    if (const CredentialWait wait = each.lock()) (*wait)(status);
  }
}

}  // namespace rouse::k8s
