#pragma once
// What:      ScaleApi, the two calls that scaling makes: read a target's `scale`, patch it.
// Owner:     app owns a ClientScaleApi on the program's ApiClient; tests have another. Control
//            thread.
// Invariant: a handler runs once, never inline, unless its call was destroyed first. Each call ends
//            within the client's deadline and takes from its budget, where wakes have a class of
//            their own.

#include <memory>
#include <string>

#include "common/base/object_key.h"
#include "k8s/api_client.h"

namespace rouse::autoscaler {

class ScaleApi {
 public:
  virtual ~ScaleApi() = default;
  [[nodiscard]] virtual std::unique_ptr<k8s::ApiCall> Read(const k8s::ScaleTarget& target,
                                                           const std::string& ns, bool wake,
                                                           k8s::ScaleHandler handler) = 0;
  /// kAborted where the object is no longer at `version`.
  [[nodiscard]] virtual std::unique_ptr<k8s::ApiCall> Patch(const k8s::ScaleTarget& target,
                                                            const std::string& ns, int replicas,
                                                            const std::string& version, bool wake,
                                                            k8s::ScaleHandler handler) = 0;
};

class ClientScaleApi final : public ScaleApi {
 public:
  explicit ClientScaleApi(k8s::ApiClient& client) : client_(client) {}

  [[nodiscard]] std::unique_ptr<k8s::ApiCall> Read(const k8s::ScaleTarget& target,
                                                   const std::string& ns, bool wake,
                                                   k8s::ScaleHandler handler) override;
  [[nodiscard]] std::unique_ptr<k8s::ApiCall> Patch(const k8s::ScaleTarget& target,
                                                    const std::string& ns, int replicas,
                                                    const std::string& version, bool wake,
                                                    k8s::ScaleHandler handler) override;

 private:
  k8s::ApiClient& client_;
};

}  // namespace rouse::autoscaler
