#include "common/app/lifecycle.h"

#include <utility>

namespace rouse::app {
namespace {

constexpr Duration kPollEvery = std::chrono::milliseconds(20);

/// Asks `done` until it is true; ends by itself with the step, whose deadline makes `ended` mean
/// nothing.
void Poll(control::Loop& loop, std::shared_ptr<absl::AnyInvocable<bool()>> done, TimePoint deadline,
          Lifecycle::Done ended) {
  if ((*done)()) return ended(absl::OkStatus());
  if (loop.now() >= deadline) return;
  loop.At(loop.now() + kPollEvery,
          [&loop, done = std::move(done), deadline, ended = std::move(ended)]() mutable {
            Poll(loop, std::move(done), deadline, std::move(ended));
          });
}

}  // namespace

Lifecycle::Lifecycle(control::Loop& loop, obs::Log& log, absl::AnyInvocable<void(int)> on_over)
    : loop_(loop),
      log_(log),
      on_over_(std::move(on_over)),
      self_(std::make_shared<Lifecycle*>(this)) {}

Lifecycle::~Lifecycle() {
  *self_ = nullptr;
  loop_.Cancel(timer_);
}

void Lifecycle::AddStart(std::string name, absl::AnyInvocable<absl::Status()> run) {
  Step step;
  step.name = std::move(name);
  step.run = [run = std::move(run)](const Done& done) mutable { done(run()); };
  AddStart(std::move(step));
}

void Lifecycle::AddDrain(std::string name, absl::AnyInvocable<void()> run) {
  Step step;
  step.name = std::move(name);
  step.run = [run = std::move(run)](const Done& done) mutable {
    run();
    done(absl::OkStatus());
  };
  AddDrain(std::move(step));
}

void Lifecycle::AddDrainWait(std::string name, Duration deadline, absl::AnyInvocable<bool()> done) {
  Step step;
  step.name = std::move(name);
  step.deadline = deadline;
  step.run = [this, deadline,
              shared = std::make_shared<absl::AnyInvocable<bool()>>(std::move(done))](Done ended) {
    Poll(loop_, shared, Later(loop_.now(), deadline), std::move(ended));
  };
  AddDrain(std::move(step));
}

void Lifecycle::AddDrainPause(std::string name, Duration pause) {
  Step step;
  step.name = std::move(name);
  step.deadline = Duration::max();
  step.run = [this, pause](Done ended) {
    loop_.At(Later(loop_.now(), pause), [ended = std::move(ended)] { ended(absl::OkStatus()); });
  };
  AddDrain(std::move(step));
}

void Lifecycle::Start() {
  phase_ = Phase::kStarting;
  next_ = 0;
  RunNext();
}

void Lifecycle::Stop(std::string_view why) {
  if (phase_ == Phase::kOver) return;
  if (phase_ == Phase::kDraining) {
    log_.Warn("stopped_at_once", {{"why", why}});
    return Over(1);
  }
  log_.Info("stopping", {{"why", why}});
  Drain(0);
}

/// Steps begin from the loop, one after another, so that none runs inside another's answer.
void Lifecycle::RunNext() {
  loop_.Cancel(timer_);
  const uint64_t serial = ++serial_;
  loop_.Post([weak = self_, serial] {
    Lifecycle* self = *weak;
    if (self == nullptr || self->serial_ != serial || self->phase_ == Phase::kOver) return;
    if (self->next_ >= self->steps().size()) return self->AllRun();
    self->RunStep(self->steps()[self->next_]);
  });
}

void Lifecycle::RunStep(Step& step) {
  const uint64_t serial = serial_;
  began_ = loop_.now();
  if (step.deadline != Duration::max()) {
    timer_ = loop_.At(Later(began_, step.deadline), [this, serial] { StepLate(serial); });
  }
  step.run([weak = self_, serial](const absl::Status& status) {
    if (Lifecycle* self = *weak; self != nullptr) self->StepEnded(serial, status);
  });
}

void Lifecycle::StepEnded(uint64_t serial, const absl::Status& status) {
  if (serial != serial_ || phase_ == Phase::kOver) return;
  const std::string& name = steps()[next_].name;
  const int64_t took = Milliseconds(loop_.now() - began_);
  if (status.ok()) {
    log_.Info(phase_ == Phase::kStarting ? "start_step" : "drain_step",
              {{"step", name}, {"took_ms", took}});
  } else {
    log_.Error(phase_ == Phase::kStarting ? "start_failed" : "drain_failed",
               {{"step", name}, {"took_ms", took}, {"error", std::string(status.message())}});
    if (phase_ == Phase::kStarting) return Drain(1);
  }
  ++next_;
  RunNext();
}

void Lifecycle::StepLate(uint64_t serial) {
  if (serial != serial_) return;
  const bool starting = phase_ == Phase::kStarting;
  log_.Write(
      starting ? obs::Level::kError : obs::Level::kWarn, starting ? "start_late" : "drain_late",
      {{"step", steps()[next_].name}, {"deadline_ms", Milliseconds(steps()[next_].deadline)}});
  if (starting) return Drain(1);
  ++next_;
  RunNext();
}

void Lifecycle::AllRun() {
  if (phase_ == Phase::kDraining) return Over(exit_code_);
  phase_ = Phase::kRunning;
  log_.Info("started");
}

void Lifecycle::Drain(int exit_code) {
  exit_code_ = exit_code;
  phase_ = Phase::kDraining;
  next_ = 0;
  RunNext();
}

void Lifecycle::Over(int exit_code) {
  phase_ = Phase::kOver;
  loop_.Cancel(timer_);
  log_.Info("stopped", {{"exit_code", exit_code}});
  if (on_over_) std::exchange(on_over_, nullptr)(exit_code);
}

}  // namespace rouse::app
