#include "autoscaler/scaling/scale_api.h"

#include <utility>

namespace rouse::autoscaler {

std::unique_ptr<k8s::ApiCall> ClientScaleApi::Read(const k8s::ScaleTarget& target,
                                                   const std::string& ns, bool wake,
                                                   k8s::ScaleHandler handler) {
  const k8s::CallClass call_class = wake ? k8s::CallClass::kWake : k8s::CallClass::kRead;
  return client_.ReadScale(target, ns, call_class, std::move(handler));
}

std::unique_ptr<k8s::ApiCall> ClientScaleApi::Patch(const k8s::ScaleTarget& target,
                                                    const std::string& ns, int replicas,
                                                    const std::string& version, bool wake,
                                                    k8s::ScaleHandler handler) {
  const k8s::CallClass call_class = wake ? k8s::CallClass::kWake : k8s::CallClass::kWrite;
  return client_.PatchScale(target, ns, replicas, version, call_class, std::move(handler));
}

}  // namespace rouse::autoscaler
