#include "proxy/program.h"

#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/app/admin_server.h"
#include "common/app/lifecycle.h"
#include "common/control/real_network.h"
#include "common/net/descriptor_table.h"
#include "proxy/app.h"
#include "proxy/cluster_side.h"
#include "proxy/log_events.h"
#include "proxy/pages.h"
#include "proxy/static_view.h"
#include "proxy/tls_material.h"

namespace rouse::proxy {
namespace {

constexpr Duration kLookEvery = std::chrono::seconds(1);
/// Shards that have not answered by then have hung: no page is better than half of one.
constexpr Duration kGatherMost = std::chrono::seconds(2);
/// For other proxies to hear that nothing of theirs is in flight here any more.
constexpr Duration kHandOverMost = std::chrono::seconds(1);

std::string_view TextOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

obs::Log::Options LogOptions(const ServingConfig& serving) {
  obs::Log::Options options;
  for (const obs::Level level :
       {obs::Level::kDebug, obs::Level::kInfo, obs::Level::kWarn, obs::Level::kError})
    if (serving.log_level == obs::NameOf(level)) options.level = level;
  if (serving.log_format == "json") options.format = obs::Log::Format::kJson;
  return options;
}

/// A reader of the access log that leaves must not take the process with it.
void PrepareProcess() {
  (void)net::PrepareDescriptors();
  std::signal(SIGPIPE, SIG_IGN);
}

/// Everything of the process, in the order of construction.
class Program {
 public:
  Program(const Config& config, const app::Options& options, const Reread& reread, uint64_t seed);
  int Run();

 private:
  [[nodiscard]] absl::Status StartSide();
  void AddPages();
  void AddSteps();
  void BindSignals();
  void Look();
  void Refresh(absl::AnyInvocable<void()> done);
  void ReadAgain();
  void OnWake(const ObjectKey& workload);
  [[nodiscard]] bool MayWake();

  const Config& config_;
  const app::Options& options_;
  const Reread& reread_;
  const uint64_t seed_;
  SteadyClock clock_;
  obs::Log log_;
  std::unique_ptr<control::RealNetwork> network_;
  app::AdminServer admin_;
  App app_;
  TlsMaterial tls_;
  Reports reports_;
  StaticSnapshots snapshots_;
  std::unique_ptr<ClusterSide> cluster_;
  app::Lifecycle lifecycle_;
  Sample sample_;  ///< only while pages are written
  bool gathering_ = false;
  /// Pages to be written from the sample that is being gathered; at most one for each connection.
  std::vector<absl::AnyInvocable<void()>> waiting_;
  control::TimerId late_{};  ///< when those who wait are given up
  int exit_code_ = 0;
};

Program::Program(const Config& config, const app::Options& options, const Reread& reread,
                 uint64_t seed)
    : config_(config),
      options_(options),
      reread_(reread),
      seed_(seed),
      log_(clock_, LogOptions(config.serving)),
      network_(control::NewRealNetwork(clock_, log_)),
      admin_(*network_, log_,
             {.health_address = config.serving.health,
              .admin_address = config.serving.admin,
              .admin_hosts = {}}),
      app_(network_->loop(), log_, config, seed),
      tls_(network_->loop(), log_, config.serving.listeners,
           [this](size_t listener, net::TlsServerPtr server) {
             app_.AdoptTls(listener, std::move(server));
           }),
      reports_(*network_, log_, app_, config.cluster, seed),
      snapshots_({.endpoint = [this](const EndpointKey& key) { return app_.slots().Endpoint(key); },
                  .workload = [this](const ObjectKey& key) { return app_.slots().Workload(key); }}),
      lifecycle_(network_->loop(), log_, [this](int code) {
        exit_code_ = code;
        network_->Stop();
      }) {}

int Program::Run() {
  app_.OnWake([this](const ObjectKey& workload) { OnWake(workload); });
  AddPages();
  AddSteps();
  BindSignals();
  lifecycle_.Start();
  network_->Run();
  return exit_code_;
}

void Program::AddPages() {
  admin_.AddReadiness("snapshot", [this] {
    return app_.published() ? absl::OkStatus()
                            : absl::UnavailableError("routes and endpoints are not known yet");
  });
  admin_.BeatWithLoop("control");
  for (size_t i = 0; i < app_.shards(); ++i) admin_.AddHeartbeat("shard-" + std::to_string(i));
  admin_.SetRefresh([this](absl::AnyInvocable<void()> done) { Refresh(std::move(done)); });
  admin_.SetMetrics(
      [this] { return MetricsText(sample_, &tls_, cluster_ ? &cluster_->side() : nullptr); });
  admin_.AddPage("/config", "every option with its source",
                 [this] { return ConfigJson(options_); });
  admin_.AddPage("/workloads", "endpoints, what is in flight, what waits",
                 [this] { return WorkloadsJson(sample_); });
}

void Program::AddSteps() {
  const ServingConfig& serving = config_.serving;
  lifecycle_.AddStart("pages", [this] { return admin_.Listen(); });
  lifecycle_.AddStart("data", [this] { return app_.Start(); });
  lifecycle_.AddStart("tls", [this] { return tls_.Start(); });
  lifecycle_.AddStart("side", [this] { return StartSide(); });
  lifecycle_.AddStart("watch", [this] {
    Look();
    log_.Info(log_event::kStarted,
              {{"admin_port", admin_.admin_port()}, {"health_port", admin_.health_port()}});
    return absl::OkStatus();
  });
  lifecycle_.AddDrain("not_ready", [this] { admin_.SetDraining(); });
  lifecycle_.AddDrainPause("delay", serving.drain_delay);
  lifecycle_.AddDrain("drain", [this] { app_.Drain(); });
  lifecycle_.AddDrainWait("exchanges", serving.drain_timeout, [this] { return app_.Drained(); });
  lifecycle_.AddDrainWait("handed_over", kHandOverMost,
                          [this] { return !cluster_ || cluster_->HandedOver(); });
  lifecycle_.AddDrain("abort", [this] { app_.Abort(); });
  lifecycle_.AddDrainWait("aborted", std::chrono::seconds(1), [this] { return app_.Drained(); });
  lifecycle_.AddDrain("shards", [this] { app_.Stop(); });
  lifecycle_.AddDrain("pages", [this] { admin_.StopListening(); });
}

void Program::BindSignals() {
  network_->OnSignal(SIGTERM, [this] { lifecycle_.Stop("SIGTERM"); });
  network_->OnSignal(SIGINT, [this] { lifecycle_.Stop("SIGINT"); });
  network_->OnSignal(SIGHUP, [this] { ReadAgain(); });
}

/// Whoever makes snapshots: the file, or a cluster.
absl::Status Program::StartSide() {
  reports_.Start();
  if (config_.fixed) {
    app_.Publish(snapshots_.Build(*config_.fixed, clock_.now()));
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<ClusterSide>> cluster = ClusterSide::Make(
      *network_, log_, app_, reports_, config_,
      [this](const ObjectKey& workload, net::TlsCertificatePtr certificate,
             std::vector<std::string> hosts) {
        tls_.SetExtra(workload.text(), std::move(certificate), std::move(hosts));
      },
      seed_);
  if (!cluster.ok()) {
    log_.Error(log_event::kClusterUnknown, {{"error", TextOf(cluster.status())}});
    return cluster.status();
  }
  cluster_ = *std::move(cluster);
  app_.SetCanWake(MayWake());
  return cluster_->Start();
}

/// In a cluster without any autoscaler nobody would ever wake a workload (15.7).
bool Program::MayWake() {
  return config_.fixed.has_value() || !config_.cluster.autoscalers.empty() ||
         !config_.cluster.autoscaler_service.empty();
}

void Program::OnWake(const ObjectKey& workload) {
  if (!cluster_) return reports_.Wake(workload);
  cluster_->side().Wake(workload);
  reports_.Woken(workload);
}

/// Once a second: whether every shard still turns.
void Program::Look() {
  for (size_t i = 0; i < app_.shards(); ++i)
    if (app_.SilenceOf(i) < app::kBeatLongest) admin_.Beat("shard-" + std::to_string(i));
  network_->loop().At(Later(clock_.now(), kLookEvery), [this] { Look(); });
}

/// Numbers of all shards for whoever has asked for a page. Not kept, nor taken without being asked
/// for: with 10 000 workloads they are 10 MiB a shard, which stands still while it copies them.
void Program::Refresh(absl::AnyInvocable<void()> done) {
  if (waiting_.empty()) {
    late_ = network_->loop().At(Later(clock_.now(), kGatherMost), [this] { waiting_.clear(); });
  }
  waiting_.push_back(std::move(done));
  if (std::exchange(gathering_, true)) return;
  app_.GatherSample([this](Sample sample) {
    network_->loop().Cancel(late_);
    gathering_ = false;
    sample_ = std::move(sample);
    for (absl::AnyInvocable<void()>& write : std::exchange(waiting_, {})) write();
    sample_ = {};
  });
}

/// SIGHUP: the file's workloads and routes; everything else needs a restart.
void Program::ReadAgain() {
  const absl::StatusOr<Config> fresh = reread_();
  if (!fresh.ok() || !fresh->fixed || !config_.fixed) {
    const std::string_view why =
        fresh.ok() ? "not a file with fixed workloads" : TextOf(fresh.status());
    log_.Warn(log_event::kConfigRefused, {{"error", why}, {"kept", "the one in force"}});
    return;
  }
  app_.Publish(snapshots_.Build(*fresh->fixed, clock_.now()));
  log_.Info(log_event::kConfigRead, {{"workloads", fresh->fixed->workloads.size()},
                                     {"routes", fresh->fixed->routes.size()}});
}

}  // namespace

int RunProgram(const Config& config, const app::Options& options, const Reread& reread,
               uint64_t seed) {
  PrepareProcess();
  Program program(config, options, reread, seed);
  return program.Run();
}

}  // namespace rouse::proxy
