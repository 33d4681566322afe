#include "proxy/control/target_reader.h"

#include <utility>

namespace rouse::proxy {

void TargetReader::Read(const ObjectKey& workload, const k8s::ScaleTarget& target, bool urgent) {
  ReadState& state = reads_[workload];
  const TimePoint now = client_.loop().now();
  const bool under_way = state.call && (state.urgent || !urgent);
  const bool fresh = !state.call && state.at != TimePoint{} && now - state.at < kFreshFor;
  if (state.target == target && (under_way || fresh)) return;
  state.target = target;
  state.at = now;
  state.urgent = urgent;
  k8s::ApiRequest request;
  request.path = target.ObjectPath(workload.ns);
  request.call_class = urgent ? k8s::CallClass::kWake : k8s::CallClass::kRead;
  state.call = client_.Send(std::move(request), [this, workload](absl::StatusOr<std::string> body) {
    // The call may be destroyed from inside its own handler.
    const auto found = reads_.find(workload);
    if (found != reads_.end()) found->second.call.reset();
    if (!body.ok()) return;
    auto target = k8s::Deployment::Decode(*body);
    if (target.ok()) found_(workload, *std::move(target));
  });
}

}  // namespace rouse::proxy
