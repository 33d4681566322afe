#pragma once
// What:      WorkloadSpec, a workload as observe/ declares it to the rest: its policy, what scales,
//            who shares it.
// Owner:     a value. Control thread.

#include <string>
#include <vector>

#include "autoscaler/model/policy.h"
#include "common/base/object_key.h"
#include "k8s/objects/scale.h"

namespace rouse::autoscaler {

struct WorkloadSpec {
  ObjectKey key;  ///< the Service; of several on one target, the oldest
  Policy policy;
  k8s::ScaleTarget target;
  /// Other Services on the same target: their demand counts here.
  std::vector<ObjectKey> sharers{};
  std::string uid{};     ///< of the Service, for Events on it
  bool created = false;  ///< it came after the first list, so initial_scale counts
};

}  // namespace rouse::autoscaler
