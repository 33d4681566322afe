#pragma once
// What:      PodProcess: the life of one pod as a local process: started, probed, restarted,
//            stopped, and its status.
// Owner:     ProcessRunner. Control thread.
// Limits:    restarts wait 0, 10, 20 ... 300 s, as the kubelet's; a run of ten minutes starts over.
// Invariant: waiting -> running -> (backing off -> running)* -> stopping -> done; from done nothing
//            more is written.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <absl/functional/any_invocable.h>

#include "common/control/channel.h"
#include "k8s/child_process.h"
#include "k8s/local/event_writer.h"
#include "k8s/local/log_file.h"
#include "k8s/local/object_store.h"
#include "k8s/local/pod_address.h"
#include "k8s/local/pod_command.h"
#include "k8s/local/probe.h"

namespace rouse::k8s::local {

inline constexpr Duration kRestartBackoffFirst = std::chrono::seconds(10);
inline constexpr Duration kRestartBackoffMost = std::chrono::minutes(5);
inline constexpr Duration kRestartBackoffReset = std::chrono::minutes(10);

/// What the runner lends to each of its pods.
struct PodHost {
  control::Network& network;
  ObjectStore& store;
  ChildProcesses& children;
  PodAddresses& addresses;
  EventWriter& events;
  std::string logs_dir;
};

class PodProcess {
 public:
  PodProcess(PodHost& host, ObjectRef pod, absl::AnyInvocable<void()> on_done);
  ~PodProcess();
  PodProcess(const PodProcess&) = delete;
  PodProcess& operator=(const PodProcess&) = delete;

  void Start();
  /// The pod as it now is; a deletion stops it.
  void Update(ObjectRef pod);
  /// SIGTERM, and SIGKILL after `grace`; may be repeated with less.
  void Stop(Duration grace);

  [[nodiscard]] const StoredObject& pod() const { return *pod_; }
  [[nodiscard]] bool running() const { return child_ != 0; }
  [[nodiscard]] int restarts() const { return restarts_; }
  /// Empty before the first start.
  [[nodiscard]] std::string LogPath(bool previous) const;
  void TrimLog();

 private:
  enum class State : uint8_t { kWaiting, kRunning, kBackingOff, kStopping, kDone };
  struct Ended {
    int code = 0;
    WallTime started{};
    WallTime finished{};
  };

  void Launch();
  void FailStart(std::string_view why);
  void StartProbes();
  void StartServing();
  void OnEnd(ChildEnd end);
  void ExplainEnd(ChildEnd end);
  void RestartOrRest(int code);
  void SetReady(bool ready);
  void KillForProbe(std::string_view which);
  void StopProcess();
  void Finish();
  [[nodiscard]] std::unique_ptr<Prober> NewProber(const char* name, bool verdict,
                                                  absl::AnyInvocable<void(bool)> on_verdict);

  void WriteStatus();
  void FillStatus(Json& pod) const;
  void FillConditions(Json& pod) const;
  [[nodiscard]] Json ContainerState() const;
  [[nodiscard]] std::string FileOf(int restart) const;

  PodHost& host_;
  ObjectRef pod_;
  absl::AnyInvocable<void()> on_done_;
  State state_ = State::kWaiting;
  PodPlace place_;
  PodCommand command_;
  bool fixed_port_ = false;
  std::optional<LogFile> log_;
  pid_t child_ = 0;
  TimePoint exec_time_{};
  WallTime started_{};
  bool ready_ = false;
  bool serving_ = false;  ///< the startup probe, if any, has passed
  int restarts_ = 0;
  bool launched_ = false;
  Duration backoff_{};
  std::string waiting_reason_ = "ContainerCreating";
  std::string waiting_message_;
  std::string final_phase_;
  std::optional<Ended> last_end_;
  std::unique_ptr<Prober> startup_;
  std::unique_ptr<Prober> readiness_;
  std::unique_ptr<Prober> liveness_;
  control::TimerId start_timer_ = 0;
  control::TimerId kill_timer_ = 0;
  TimePoint kill_time_ = kNever;
  bool term_sent_ = false;
  std::shared_ptr<bool> alive_;
};

}  // namespace rouse::k8s::local
