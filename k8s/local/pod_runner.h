#pragma once
// What:      PodRunner: what makes pods run. The real one starts processes (process_runner.h);
//            simulations bring their own, which watches pods in the store and writes their status.
// Owner:     LocalCluster. Control thread.

#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "k8s/local/pod_logs.h"

namespace rouse::k8s::local {

class PodRunner : public PodLogs {
 public:
  /// Takes on the pods that are there and those that come.
  virtual void Start() = 0;
  /// Takes on no more, and stops all within `grace`; `done` follows.
  virtual void Stop(Duration grace, absl::AnyInvocable<void()> done) = 0;
};

}  // namespace rouse::k8s::local
