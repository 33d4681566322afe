#include "k8s/local/pod_process.h"

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <boost/json.hpp>

#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

namespace {

Duration StartDelayOf(const StoredObject& pod) {
  const std::string text = TextAt(*pod.json, {"metadata", "annotations", kStartDelayAnnotation});
  absl::Duration delay;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &delay)) return {};
  return absl::ToChronoNanoseconds(std::clamp(delay, absl::ZeroDuration(), absl::Hours(1)));
}

std::string ContainerName(const StoredObject& pod) { return TextAt(FirstContainer(pod), {"name"}); }

}  // namespace

PodProcess::PodProcess(PodHost& host, ObjectRef pod, absl::AnyInvocable<void()> on_done)
    : host_(host),
      pod_(std::move(pod)),
      on_done_(std::move(on_done)),
      alive_(std::make_shared<bool>(true)) {}

PodProcess::~PodProcess() {
  *alive_ = false;
  host_.network.loop().Cancel(start_timer_);
  host_.network.loop().Cancel(kill_timer_);
  if (child_ != 0) host_.children.Kill(child_);
}

std::string PodProcess::FileOf(int restart) const {
  return absl::StrCat(host_.logs_dir, "/", pod_->key.ns, "_", pod_->key.name, "_", pod_->uid, "/",
                      restart, ".log");
}

std::string PodProcess::LogPath(bool previous) const {
  if (!launched_ || (previous && restarts_ == 0)) return {};
  return FileOf(restarts_ - (previous ? 1 : 0));
}

void PodProcess::TrimLog() {
  if (log_) log_->Trim();
}

void PodProcess::Start() {
  const Duration delay = StartDelayOf(*pod_);
  if (delay == Duration::zero()) return Launch();
  WriteStatus();
  start_timer_ =
      host_.network.loop().At(Later(host_.network.loop().now(), delay), [this] { Launch(); });
}

void PodProcess::Launch() {
  start_timer_ = 0;
  if (place_.address.empty()) place_.address = host_.addresses.TakeAddress();
  if (place_.port == 0) {
    const std::optional<uint16_t> fixed = FixedPort(*pod_);
    fixed_port_ = fixed.has_value();
    const std::optional<uint16_t> port = fixed ? fixed : host_.addresses.TakePort();
    if (!port) return FailStart("no free port is left for the pod's PORT");
    place_.port = *port;
  }
  absl::StatusOr<PodCommand> command = PodCommand::Of(host_.store, *pod_, place_);
  if (!command.ok()) return FailStart(std::string(command.status().message()));
  command_ = std::move(*command);
  absl::StatusOr<LogFile> log = LogFile::Open(FileOf(restarts_));
  if (!log.ok()) return FailStart(std::string(log.status().message()));
  log_ = std::move(*log);
  if (restarts_ > 1) {
    std::error_code ignored;
    std::filesystem::remove(FileOf(restarts_ - 2), ignored);
    std::filesystem::remove(FileOf(restarts_ - 2) + ".1", ignored);
  }
  ChildSpec spec{command_.argv, command_.environment, command_.working_dir, log_->descriptor()};
  const absl::StatusOr<pid_t> child =
      host_.children.Start(spec, [this, alive = alive_](ChildEnd end) {
        if (*alive) OnEnd(end);
      });
  exec_time_ = host_.network.loop().now();
  launched_ = true;
  if (!child.ok()) return FailStart(std::string(child.status().message()));
  child_ = *child;
  started_ = host_.network.loop().clock().wall();
  state_ = State::kRunning;
  waiting_reason_.clear();
  waiting_message_.clear();
  StartProbes();
  WriteStatus();
  host_.events.Normal(*pod_, "Started",
                      absl::StrCat("Started container ", ContainerName(*pod_), " as process ",
                                   child_, " with POD_IP=", place_.address, " PORT=", place_.port));
}

/// The process could not be started; that is tried again like a crash.
void PodProcess::FailStart(std::string_view why) {
  host_.events.Warning(*pod_, "FailedStart", absl::StrCat("Error: ", std::string(why)));
  backoff_ = backoff_ == Duration::zero() ? kRestartBackoffFirst
                                          : std::min(backoff_ * 2, kRestartBackoffMost);
  state_ = State::kBackingOff;
  waiting_reason_ = "RunContainerError";
  waiting_message_ = std::string(why);
  WriteStatus();
  start_timer_ =
      host_.network.loop().At(Later(host_.network.loop().now(), backoff_), [this] { Launch(); });
}

std::unique_ptr<Prober> PodProcess::NewProber(const char* name, bool verdict,
                                              absl::AnyInvocable<void(bool)> on_verdict) {
  const Json* probe = Find(FirstContainer(*pod_), {name});
  if (probe == nullptr) return nullptr;
  std::string title(name, std::string_view(name).size() - 5);  // Without "Probe".
  title[0] = static_cast<char>(std::toupper(title[0]));
  Prober::Handlers handlers;
  handlers.on_verdict = std::move(on_verdict);
  handlers.on_bad = [this, title](std::string_view why) {
    if (state_ == State::kStopping) return;
    host_.events.Warning(*pod_, "Unhealthy",
                         absl::StrCat(title, " probe failed: ", std::string(why)));
  };
  return std::make_unique<Prober>(host_.network, host_.children,
                                  ProbePlan::Of(*probe, *pod_, place_, command_), verdict,
                                  std::move(handlers));
}

void PodProcess::StartProbes() {
  startup_ = NewProber("startupProbe", false, [this](bool good) {
    if (good) {
      // From inside the prober's own handler: let it go in the next turn.
      host_.network.loop().Post([this, alive = alive_] {
        if (!*alive || state_ != State::kRunning || startup_ == nullptr) return;
        startup_.reset();
        StartServing();
        WriteStatus();
      });
    }
  });
  if (startup_ == nullptr) return StartServing();
  // A startup probe starts out as failed; only so many failures in a row are the end.
  const Json* probe = Find(FirstContainer(*pod_), {"startupProbe"});
  const int64_t allowed = std::max<int64_t>(1, NumberAt(*probe, {"failureThreshold"}, 3));
  const int64_t period = std::max<int64_t>(1, NumberAt(*probe, {"periodSeconds"}, 10));
  const Duration patience =
      std::chrono::seconds(NumberAt(*probe, {"initialDelaySeconds"}, 0) + allowed * period);
  start_timer_ = host_.network.loop().At(Later(host_.network.loop().now(), patience), [this] {
    start_timer_ = 0;
    if (startup_ != nullptr) KillForProbe("startup");
  });
}

/// The container has started; from here readiness and liveness are asked.
void PodProcess::StartServing() {
  host_.network.loop().Cancel(std::exchange(start_timer_, 0));
  serving_ = true;
  readiness_ = NewProber("readinessProbe", false, [this](bool good) { SetReady(good); });
  liveness_ = NewProber("livenessProbe", true, [this](bool good) {
    if (!good) KillForProbe("liveness");
  });
  if (readiness_ == nullptr) ready_ = true;
}

void PodProcess::SetReady(bool ready) {
  if (state_ != State::kRunning && state_ != State::kStopping) return;
  ready_ = ready;
  WriteStatus();
}

void PodProcess::KillForProbe(std::string_view which) {
  if (state_ != State::kRunning) return;
  host_.events.Normal(*pod_, "Killing",
                      absl::StrCat("Container ", ContainerName(*pod_), " failed ",
                                   std::string(which), " probe, will be restarted"));
  host_.children.Signal(child_, SIGTERM);
  const Duration grace =
      std::chrono::seconds(NumberAt(*pod_->json, {"spec", "terminationGracePeriodSeconds"}, 30));
  kill_timer_ = host_.network.loop().At(Later(host_.network.loop().now(), grace), [this] {
    kill_timer_ = 0;
    if (child_ != 0) host_.children.Kill(child_);
  });
}

void PodProcess::OnEnd(ChildEnd end) {
  child_ = 0;
  ready_ = false;
  serving_ = false;
  startup_.reset();
  readiness_.reset();
  liveness_.reset();
  host_.network.loop().Cancel(std::exchange(start_timer_, 0));
  host_.network.loop().Cancel(std::exchange(kill_timer_, 0));
  last_end_ = Ended{end.code, started_, host_.network.loop().clock().wall()};
  if (state_ == State::kStopping) return Finish();
  ExplainEnd(end);
  RestartOrRest(end.code);
}

/// The commonest reason why a first function does not start here: it listens on a port of its own
/// choice.
void PodProcess::ExplainEnd(ChildEnd end) {
  const std::string tail = log_ ? log_->Tail(8192) : std::string();
  if (end.code == 0 || (tail.find("ddress already in use") == std::string::npos &&
                        tail.find("EADDRINUSE") == std::string::npos)) {
    return;
  }
  host_.events.Warning(
      *pod_, "PortIgnored",
      absl::StrCat("Container ", ContainerName(*pod_), " failed to bind its address (exit code ",
                   end.code, "). A function must listen on $PORT, which is ", place_.port,
                   " for this pod; another process has the port that it chose"));
}

void PodProcess::RestartOrRest(int code) {
  const std::string policy = TextAt(*pod_->json, {"spec", "restartPolicy"}, "Always");
  if (policy == "Never" || (policy == "OnFailure" && code == 0)) {
    state_ = State::kBackingOff;
    final_phase_ = code == 0 ? "Succeeded" : "Failed";
    return WriteStatus();
  }
  if (host_.network.loop().now() - exec_time_ >= kRestartBackoffReset) backoff_ = Duration::zero();
  const Duration wait = backoff_;
  backoff_ =
      wait == Duration::zero() ? kRestartBackoffFirst : std::min(wait * 2, kRestartBackoffMost);
  ++restarts_;
  state_ = State::kBackingOff;
  waiting_reason_ = "CrashLoopBackOff";
  waiting_message_ =
      absl::StrCat("back-off ", Milliseconds(wait) / 1000,
                   "s restarting failed container=", ContainerName(*pod_), " pod=", pod_->key.name);
  if (wait > Duration::zero()) {
    host_.events.Warning(*pod_, "BackOff",
                         absl::StrCat("Back-off restarting failed container ", ContainerName(*pod_),
                                      " in pod ", pod_->key.name));
    WriteStatus();
  }
  start_timer_ =
      host_.network.loop().At(Later(host_.network.loop().now(), wait), [this] { Launch(); });
}

void PodProcess::Update(ObjectRef pod) {
  // What we wrote ourselves comes back, perhaps after we have written again.
  if (pod->version < pod_->version) return;
  pod_ = std::move(pod);
  if (!pod_->deleting()) return;
  Stop(std::chrono::seconds(NumberAt(*pod_->json, {"metadata", "deletionGracePeriodSeconds"}, 30)));
}

void PodProcess::Stop(Duration grace) {
  if (state_ == State::kDone) return;
  state_ = State::kStopping;
  liveness_.reset();
  startup_.reset();
  host_.network.loop().Cancel(std::exchange(start_timer_, 0));
  if (child_ == 0) return Finish();
  const TimePoint when = Later(host_.network.loop().now(), grace);
  if (when < kill_time_) {
    kill_time_ = when;
    host_.network.loop().Cancel(kill_timer_);
    kill_timer_ = host_.network.loop().At(when, [this] {
      kill_timer_ = 0;
      if (child_ != 0) host_.children.Kill(child_);
    });
  }
  if (term_sent_) return;
  term_sent_ = true;
  StopProcess();
}

/// Runs the preStop hook, if there is one, and then asks the process to end.
void PodProcess::StopProcess() {
  const auto terminate = [this, alive = alive_] {
    if (*alive && child_ != 0) host_.children.Signal(child_, SIGTERM);
  };
  const Json& container = FirstContainer(*pod_);
  if (const auto seconds = NumberAt(container, {"lifecycle", "preStop", "sleep", "seconds"})) {
    host_.network.loop().At(Later(host_.network.loop().now(), std::chrono::seconds(*seconds)),
                            terminate);
    return;
  }
  ChildSpec hook{{}, command_.environment, command_.working_dir, log_ ? log_->descriptor() : -1};
  for (const Json& word : ArrayAt(container, {"lifecycle", "preStop", "exec", "command"})) {
    hook.argv.push_back(TextAt(word, {}));
  }
  if (!hook.argv.empty()) {
    const auto started = host_.children.Start(hook, [terminate](ChildEnd) mutable { terminate(); });
    if (started.ok()) return;
    host_.events.Warning(*pod_, "FailedPreStopHook", std::string(started.status().message()));
  }
  terminate();
}

void PodProcess::Finish() {
  if (state_ == State::kDone) return;
  state_ = State::kDone;
  readiness_.reset();
  if (!place_.address.empty()) host_.addresses.ReturnAddress(place_.address);
  if (place_.port != 0 && !fixed_port_) host_.addresses.ReturnPort(place_.port);
  log_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(FileOf(0)).parent_path(), ignored);
  DeleteOptions now = DeleteOptions::Exactly(pod_->uid);
  now.grace_seconds = 0;
  (void)host_.store.Delete(PodKind(), pod_->key, now).ok();
  on_done_();
}

}  // namespace rouse::k8s::local
