#include "autoscaler/program.h"

#include <csignal>
#include <memory>

#include "autoscaler/app.h"
#include "autoscaler/log_events.h"
#include "autoscaler/scaling/json_text.h"
#include "common/app/admin_server.h"
#include "common/app/lifecycle.h"
#include "common/control/real_network.h"
#include "k8s/exec_process.h"
#include "k8s/kubeconfig.h"

namespace rouse::autoscaler {
namespace {

obs::Log::Options LogOptions(const ServingConfig& serving) {
  obs::Log::Options options;
  for (const obs::Level level : {obs::Level::kDebug, obs::Level::kInfo, obs::Level::kWarn}) {
    if (serving.log_level == obs::NameOf(level)) options.level = level;
  }
  if (serving.log_level == obs::NameOf(obs::Level::kError)) options.level = obs::Level::kError;
  if (serving.log_format == "json") options.format = obs::Log::Format::kJson;
  return options;
}

void AddPages(app::AdminServer& admin, const App& app, const app::Options& options) {
  admin.AddReadiness("synced", [&app] {
    return app.ready() ? absl::OkStatus()
                       : absl::UnavailableError("Services and endpoints are not listed yet");
  });
  admin.BeatWithLoop("control");
  admin.SetMetrics([&app] {
    obs::MetricPage page;
    app.AddMetrics(page);
    return page.Text();
  });
  admin.AddPage("/config", "every option with its source", [&] { return ConfigJson(options); });
  admin.AddPage("/workloads", "what scales, and what was decided last",
                [&app] { return app.WorkloadsJson(); });
  admin.AddPage("/decisions", "the last decisions of each workload",
                [&app] { return app.DecisionsJson(); });
}

void AddSteps(app::Lifecycle& lifecycle, app::AdminServer& admin, App& app, Duration drain) {
  lifecycle.AddStart("pages", [&admin] { return admin.Listen(); });
  lifecycle.AddStart("app", [&app] { return app.Start(); });
  lifecycle.AddDrain("not_ready", [&admin] { admin.SetDraining(); });
  app::Lifecycle::Step leave{"leave", drain, {}};
  leave.run = [&app](app::Lifecycle::Done done) {
    app.Drain([done = std::move(done)] { done(absl::OkStatus()); });
  };
  lifecycle.AddDrain(std::move(leave));
  lifecycle.AddDrain("pages", [&admin] { admin.StopListening(); });
}

}  // namespace

int RunProgram(const Config& config, const app::Options& options, uint64_t seed) {
  SteadyClock clock;
  obs::Log log(clock, LogOptions(config.serving));
  absl::StatusOr<k8s::ClusterAccess> access =
      k8s::FindAccess(config.cluster.kubeconfig, config.cluster.context);
  if (!access.ok()) {
    const absl::string_view why = access.status().message();
    log.Error(log_event::kClusterUnknown, {{"error", std::string_view(why.data(), why.size())}});
    return 2;
  }
  const std::unique_ptr<control::RealNetwork> network = control::NewRealNetwork(clock, log);
  k8s::Credentials credentials(clock, *std::move(access));
  k8s::ServePlugin(*network, log, seed, credentials);
  k8s::ApiClientOptions client_options;
  client_options.component = "rouse-autoscaler";
  k8s::ApiClient client(*network, credentials, client_options);
  App app(*network, client, log, config, seed);

  app::AdminOptions admin_options;
  admin_options.health_address = config.serving.health;
  admin_options.admin_address = config.serving.admin;
  app::AdminServer admin(*network, log, admin_options);
  AddPages(admin, app, options);

  int exit_code = 0;
  app::Lifecycle lifecycle(network->loop(), log, [&](int code) {
    exit_code = code;
    network->Stop();
  });
  AddSteps(lifecycle, admin, app, config.serving.drain_timeout);
  network->OnSignal(SIGTERM, [&lifecycle] { lifecycle.Stop("SIGTERM"); });
  network->OnSignal(SIGINT, [&lifecycle] { lifecycle.Stop("SIGINT"); });
  lifecycle.Start();
  network->Run();
  return exit_code;
}

std::string ConfigJson(const app::Options& options) {
  JsonText json;
  json.BeginObject();
  for (const app::Options::Row& row : options.rows()) {
    json.Key(row.name).BeginObject();
    json.Field("value", row.secret ? "***" : row.show());
    json.Field("source", row.source).EndObject();
  }
  return json.EndObject().text();
}

}  // namespace rouse::autoscaler
