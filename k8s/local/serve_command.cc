#include "k8s/local/serve_command.h"

#include <csignal>
#include <filesystem>
#include <iostream>
#include <random>

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/control/real_network.h"
#include "common/control/self_signed.h"
#include "k8s/child_process.h"
#include "k8s/local/local_cluster.h"
#include "k8s/local/process_runner.h"

namespace rouse::k8s::local {

namespace {

struct ServeConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 6443;
  std::string data_dir;
  std::string kubeconfig_out;
  std::string token;
  bool tls = false;
  std::string runner = "process";
  std::string log_level = "info";
  Duration stop_grace = std::chrono::seconds(5);
  size_t history = 8192;
  Duration bookmark_interval = std::chrono::seconds(30);
};

void AddOptions(app::Options& options, ServeConfig& config) {
  options.AddText("host", &config.host, "address to listen on");
  options.AddInteger("port", &config.port, 0, 65535, "port to listen on; 0: any free one");
  options.AddText(
      "data-dir", &config.data_dir,
      "folder for logs and the kubeconfig; default: a temporary one, removed at the end");
  options.AddText("kubeconfig-out", &config.kubeconfig_out,
                  "file to write the kubeconfig to; default: kubeconfig in the data folder");
  options.AddSecret("token", &config.token, "bearer token that callers must send; empty: none");
  options.AddBoolean("tls", &config.tls, "serve HTTPS with a certificate made at start");
  options.AddChoice("runner", &config.runner, {"process", "none"},
                    "what runs pods; none leaves them pending");
  options.AddChoice("log-level", &config.log_level, {"debug", "info", "warn", "error"},
                    "least level that is logged");
  options.AddDuration("stop-grace", &config.stop_grace, std::chrono::seconds(0),
                      std::chrono::minutes(5), "time that processes get when this program ends");
  options.AddInteger("history", &config.history, 16, 1'000'000,
                     "changes kept per kind for watches; older versions answer 410");
  options.AddDuration("bookmark-interval", &config.bookmark_interval,
                      std::chrono::milliseconds(100), std::chrono::minutes(10),
                      "time between bookmarks of a watch");
}

obs::Log::Options LogOptions(const ServeConfig& config) {
  obs::Log::Options options;
  for (const obs::Level level :
       {obs::Level::kDebug, obs::Level::kInfo, obs::Level::kWarn, obs::Level::kError}) {
    if (config.log_level == obs::NameOf(level)) options.level = level;
  }
  return options;
}

/// Versions go on growing over restarts, so that a client's version from before is too old, not
/// from the future.
uint64_t FirstVersion(WallTime now) {
  constexpr int64_t k2020 = 1577836800;
  const int64_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  return static_cast<uint64_t>(std::max<int64_t>(1, seconds - k2020)) * 1000;
}

absl::Status WritePrivately(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return absl::ErrnoToStatus(errno, "cannot write " + path);
  const ssize_t written = write(file, text.data(), text.size());
  const bool closed = close(file) == 0;
  if (written == static_cast<ssize_t>(text.size()) && closed) return absl::OkStatus();
  return absl::UnavailableError("cannot write " + path);
}

/// The data folder, made if need be; removes it in the end if it was only temporary.
class DataFolder {
 public:
  explicit DataFolder(std::string path) : path_(std::move(path)) {
    std::error_code error;
    if (path_.empty()) {
      temporary_ = true;
      path_ = absl::StrCat(std::filesystem::temp_directory_path(error).string(), "/rouse-local-",
                           getpid());
    }
    std::filesystem::create_directories(path_, error);
    if (error) status_ = absl::UnavailableError("cannot make " + path_ + ": " + error.message());
  }
  ~DataFolder() {
    std::error_code ignored;
    if (temporary_) std::filesystem::remove_all(path_, ignored);
  }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  std::string path_;
  bool temporary_ = false;
  absl::Status status_;
};

struct Serving {
  const ServeConfig& config;
  CommandIo& io;
  SteadyClock clock;
  obs::Log log{clock, LogOptions(config)};
  DataFolder folder{config.data_dir};
  std::unique_ptr<control::RealNetwork> network = control::NewRealNetwork(clock, log);
  ChildProcesses children;
  std::string ca_pem;
  std::unique_ptr<LocalCluster> cluster;
  bool stopping = false;

  Serving(const ServeConfig& given, CommandIo& streams) : config(given), io(streams) {}
  int Fail(const absl::Status& status) {
    io.err << "rouse-local: " << std::string(status.message()) << "\n";
    return 1;
  }
  [[nodiscard]] absl::StatusOr<LocalClusterOptions> ClusterOptions();
  [[nodiscard]] absl::Status Publish();
  void OnStopSignal();
};

absl::StatusOr<LocalClusterOptions> Serving::ClusterOptions() {
  LocalClusterOptions options;
  options.seed = std::random_device{}();
  options.api.host = config.host;
  options.api.port = config.port;
  options.api.watches.bookmark_interval = config.bookmark_interval;
  options.store.history_max = config.history;
  options.store.first_version = FirstVersion(clock.wall());
  if (!config.token.empty()) options.api.tokens[config.token] = "rouse-local-user";
  if (config.tls) {
    absl::StatusOr<control::SelfSigned> made = control::MakeSelfSigned(
        {"localhost", "kubernetes.default.svc", "127.0.0.1", "::1", config.host}, clock.wall());
    if (!made.ok()) return made.status();
    ca_pem = made->ca_pem;
    options.api.tls = control::ServerTls{made->certificate_pem, made->key_pem, ""};
  }
  if (config.runner == "process") {
    options.make_runner = [this, seed = options.seed](ObjectStore& store) {
      return std::make_unique<ProcessRunner>(*network, store, children, folder.path() + "/logs",
                                             seed + 1);
    };
  }
  return options;
}

absl::Status Serving::Publish() {
  const std::string reach = config.host == "0.0.0.0" ? "127.0.0.1" : config.host;
  const std::string url =
      absl::StrCat(config.tls ? "https://" : "http://", reach, ":", cluster->port());
  const std::string path =
      config.kubeconfig_out.empty() ? folder.path() + "/kubeconfig" : config.kubeconfig_out;
  if (absl::Status status = WritePrivately(path, KubeconfigText(url, config.token, ca_pem));
      !status.ok()) {
    return status;
  }
  log.Info("serving", {{"url", url}, {"kubeconfig", path}, {"runner", config.runner}});
  return absl::OkStatus();
}

void Serving::OnStopSignal() {
  if (std::exchange(stopping, true)) return network->Stop();
  log.Info("stopping", {{"processes", children.running()}});
  cluster->Stop(config.stop_grace, [this] { network->Stop(); });
}

}  // namespace

int RunServe(Words words, CommandIo& io) {
  ServeConfig config;
  app::Options options("rouse-local serve", "0.1.0",
                       "Serves a Kubernetes API for one machine and runs its pods as processes.");
  AddOptions(options, config);
  const app::Parsed parsed = options.Parse(words, io.environment);
  io.out << parsed.out;
  io.err << parsed.err;
  if (!parsed.run) return parsed.exit_code;
  Serving serving(config, io);
  if (!serving.folder.status().ok()) return serving.Fail(serving.folder.status());
  absl::StatusOr<LocalClusterOptions> cluster = serving.ClusterOptions();
  if (!cluster.ok()) return serving.Fail(cluster.status());
  serving.cluster =
      std::make_unique<LocalCluster>(*serving.network, serving.log, *std::move(cluster));
  serving.network->OnSignal(SIGCHLD, [&serving] { serving.children.Reap(); });
  serving.network->OnSignal(SIGTERM, [&serving] { serving.OnStopSignal(); });
  serving.network->OnSignal(SIGINT, [&serving] { serving.OnStopSignal(); });
  if (absl::Status status = serving.cluster->Start(); !status.ok()) return serving.Fail(status);
  if (absl::Status status = serving.Publish(); !status.ok()) return serving.Fail(status);
  serving.network->Run();
  return 0;
}

}  // namespace rouse::k8s::local
