#pragma once
// What:      ProcessRunner: runs every pod of the store as a local process, as a kubelet would.
// Owner:     LocalCluster; `children` outlives it. Control thread.
// Limits:    kLogTrimInterval between looks at the logs' sizes.
// Invariant: each pod that the store shows is started once; what the store drops is stopped.

#include <map>
#include <memory>
#include <string>

#include "common/control/channel.h"
#include "k8s/child_process.h"
#include "k8s/local/event_writer.h"
#include "k8s/local/kind_feed.h"
#include "k8s/local/pod_address.h"
#include "k8s/local/pod_process.h"
#include "k8s/local/pod_runner.h"

namespace rouse::k8s::local {

inline constexpr Duration kLogTrimInterval = std::chrono::seconds(10);
/// What a pod gets whose object is gone already.
inline constexpr Duration kOrphanGrace = std::chrono::seconds(2);

class ProcessRunner final : public PodRunner {
 public:
  ProcessRunner(control::Network& network, ObjectStore& store, ChildProcesses& children,
                std::string logs_dir, uint64_t seed);
  ~ProcessRunner() override;

  void Start() override;
  void Stop(Duration grace, absl::AnyInvocable<void()> done) override;
  [[nodiscard]] ApiResult<std::string> LogPath(const ObjectKey& pod, bool previous) override;
  [[nodiscard]] bool LogOpen(const ObjectKey& pod) override;
  [[nodiscard]] size_t pods() const { return pods_.size(); }

 private:
  void OnPod(const Change& change);
  void OnDone(const std::string& uid);
  void ArmTrim();
  [[nodiscard]] PodProcess* FindPod(const ObjectKey& key);

  control::Network& network_;
  ObjectStore& store_;
  PodAddresses addresses_;
  EventWriter events_;
  PodHost host_;
  bool stopping_ = false;
  absl::AnyInvocable<void()> on_stopped_;
  control::TimerId trim_timer_ = 0;
  std::shared_ptr<bool> alive_;
  std::map<std::string, std::unique_ptr<PodProcess>> pods_;  ///< by uid
  std::unique_ptr<KindFeed> feed_;
};

}  // namespace rouse::k8s::local
