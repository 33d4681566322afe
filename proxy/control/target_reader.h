#pragma once
// What:   TargetReader reads what a workload scales (its Deployment, StatefulSet or custom object)
//         once per change of its Service and once per wake, for the readiness probe that its
//         template declares.
// Owner:  app (KubernetesSide). Control thread.
// Limits: one read in flight per workload, kAtOnce that nobody waits for; kFreshFor between two
//         reads of the same.
// Never:  matters to correctness: without an answer nothing is probed early.

#include <deque>
#include <map>
#include <memory>

#include <absl/functional/any_invocable.h>

#include "common/base/object_key.h"
#include "k8s/api_client.h"
#include "k8s/objects/deployment.h"

namespace rouse::proxy {

class TargetReader {
 public:
  static constexpr size_t kAtOnce = 8;
  static constexpr Duration kFreshFor = std::chrono::seconds(5);
  using Found = absl::AnyInvocable<void(const ObjectKey& workload, k8s::Deployment target)>;

  TargetReader(k8s::ApiClient& client, Found found) : client_(client), found_(std::move(found)) {}

  /// Reads `target`, unless that is under way or was done within kFreshFor. `urgent`: a request
  /// waits for it, so it goes before those that only keep the view fresh.
  void Read(const ObjectKey& workload, const k8s::ScaleTarget& target, bool urgent);
  void Forget(const ObjectKey& workload);

 private:
  struct ReadState {
    std::unique_ptr<k8s::ApiCall> call;
    k8s::ScaleTarget target;
    TimePoint at{};
    bool urgent = false;
    bool queued = false;
  };
  void Send(const ObjectKey& workload, ReadState& state);
  void OnRead(const ObjectKey& workload, absl::StatusOr<std::string> body);
  void SendQueued();

  k8s::ApiClient& client_;
  Found found_;
  std::map<ObjectKey, ReadState> reads_;
  std::deque<ObjectKey> queue_;
  size_t under_way_ = 0;  ///< of those that nobody waits for
};

}  // namespace rouse::proxy
