#include "k8s/local/process_runner.h"

#include <absl/strings/str_cat.h>

#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

ProcessRunner::ProcessRunner(control::Network& network, ObjectStore& store,
                             ChildProcesses& children, std::string logs_dir, uint64_t seed)
    : network_(network),
      store_(store),
      addresses_(seed),
      events_(store, "rouse-local"),
      host_{network, store, children, addresses_, events_, std::move(logs_dir)},
      alive_(std::make_shared<bool>(true)) {}

ProcessRunner::~ProcessRunner() {
  *alive_ = false;
  network_.loop().Cancel(trim_timer_);
}

void ProcessRunner::Start() {
  feed_ = std::make_unique<KindFeed>(store_, PodKind(),
                                     [this](const Change& change) { OnPod(change); });
}

void ProcessRunner::OnPod(const Change& change) {
  const std::string& uid = change.object->uid;
  const auto found = pods_.find(uid);
  if (found != pods_.end()) {
    if (change.kind == Change::Kind::kDeleted) return found->second->Stop(kOrphanGrace);
    return found->second->Update(change.object);
  }
  if (stopping_ || change.kind == Change::Kind::kDeleted || !IsActive(*change.object)) return;
  // The change may be a few turns old: the pod may be gone again.
  const ObjectRef pod = store_.Get(PodKind(), change.object->key);
  if (pod == nullptr || pod->uid != uid) return;
  auto process = std::make_unique<PodProcess>(host_, pod, [this, uid] { OnDone(uid); });
  PodProcess& started = *process;
  pods_[uid] = std::move(process);
  if (trim_timer_ == 0) ArmTrim();
  started.Start();
}

/// Called from inside the process's own handler: it goes in the next turn.
void ProcessRunner::OnDone(const std::string& uid) {
  network_.loop().Post([this, uid, alive = alive_] {
    if (!*alive) return;
    pods_.erase(uid);
    if (stopping_ && pods_.empty() && on_stopped_) std::exchange(on_stopped_, nullptr)();
  });
}

void ProcessRunner::ArmTrim() {
  trim_timer_ = network_.loop().At(Later(network_.loop().now(), kLogTrimInterval), [this] {
    trim_timer_ = 0;
    for (const auto& [uid, pod] : pods_) pod->TrimLog();
    if (!pods_.empty()) ArmTrim();
  });
}

void ProcessRunner::Stop(Duration grace, absl::AnyInvocable<void()> done) {
  stopping_ = true;
  if (pods_.empty()) {
    network_.loop().Post(std::move(done));
    return;
  }
  on_stopped_ = std::move(done);
  for (const auto& [uid, pod] : pods_) pod->Stop(grace);
}

PodProcess* ProcessRunner::FindPod(const ObjectKey& key) {
  for (const auto& [uid, pod] : pods_) {
    if (pod->pod().key == key) return pod.get();
  }
  return nullptr;
}

ApiResult<std::string> ProcessRunner::LogPath(const ObjectKey& key, bool previous) {
  const PodProcess* pod = FindPod(key);
  if (pod == nullptr) return NotFound(PodKind(), key.name);
  std::string path = pod->LogPath(previous);
  if (!path.empty()) return path;
  const std::string container = TextAt(FirstContainer(pod->pod()), {"name"});
  if (previous) {
    return BadRequest(absl::StrCat("previous terminated container \"", container, "\" in pod \"",
                                   key.name, "\" not found"));
  }
  return BadRequest(absl::StrCat("container \"", container, "\" in pod \"", key.name,
                                 "\" is waiting to start: ContainerCreating"));
}

bool ProcessRunner::LogOpen(const ObjectKey& key) {
  const PodProcess* pod = FindPod(key);
  return pod != nullptr && pod->running();
}

}  // namespace rouse::k8s::local
