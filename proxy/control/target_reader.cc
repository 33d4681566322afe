#include "proxy/control/target_reader.h"

#include <utility>

namespace rouse::proxy {

void TargetReader::Read(const ObjectKey& workload, const k8s::ScaleTarget& target, bool urgent) {
  ReadState& state = reads_[workload];
  const TimePoint now = client_.loop().now();
  const bool coming = (state.call && (state.urgent || !urgent)) || (state.queued && !urgent);
  const bool fresh = !state.call && state.at != TimePoint{} && now - state.at < kFreshFor;
  if (state.target == target && (coming || fresh)) return;
  state.target = target;
  if (state.call && !state.urgent) --under_way_;
  state.call.reset();
  state.urgent = urgent;
  if (urgent) return Send(workload, state);
  // A call that waits for its turn costs its deadline; thousands at once would all miss it.
  if (!std::exchange(state.queued, true)) queue_.push_back(workload);
  SendQueued();
}

void TargetReader::SendQueued() {
  while (!queue_.empty() && under_way_ < kAtOnce) {
    const ObjectKey workload = std::move(queue_.front());
    queue_.pop_front();
    const auto found = reads_.find(workload);
    if (found == reads_.end() || !std::exchange(found->second.queued, false)) continue;
    if (found->second.call) continue;  // somebody waits for it
    ++under_way_;
    Send(workload, found->second);
  }
}

void TargetReader::Send(const ObjectKey& workload, ReadState& state) {
  state.at = client_.loop().now();
  k8s::ApiRequest request;
  request.path = state.target.ObjectPath(workload.ns);
  request.call_class = state.urgent ? k8s::CallClass::kWake : k8s::CallClass::kRead;
  state.call = client_.Send(std::move(request), [this, workload](absl::StatusOr<std::string> body) {
    OnRead(workload, std::move(body));
  });
}

/// The call may be destroyed from inside its own handler, with what it holds.
void TargetReader::OnRead(const ObjectKey& key, absl::StatusOr<std::string> body) {
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): `key` is one of what it holds.
  const ObjectKey workload = key;
  const auto found = reads_.find(workload);
  if (found != reads_.end()) {
    if (!found->second.urgent) --under_way_;
    found->second.call.reset();
  }
  SendQueued();
  if (!body.ok()) return;
  auto target = k8s::Deployment::Decode(*body);
  if (target.ok()) found_(workload, *std::move(target));
}

void TargetReader::Forget(const ObjectKey& workload) {
  const auto found = reads_.find(workload);
  if (found == reads_.end()) return;
  if (found->second.call && !found->second.urgent) --under_way_;
  reads_.erase(found);
  SendQueued();
}

}  // namespace rouse::proxy
