#pragma once
// What:      ApiClient, calls to a Kubernetes API server: get, list, watch, create, update, patch,
//            and the few calls on scale and leases that the programs make.
// Owner:     app, one per cluster; outlives every ApiCall. Control thread; no handler runs inline.
// Limits:    ApiLimits. Each call but a watch ends by its deadline, waits for the budget included.
// Invariant: a 401 re-reads the credentials and repeats the call once; nothing else is repeated.
// Never:     retries a write, or decides to.

#include <memory>
#include <string>
#include <string_view>

#include "common/control/channel.h"
#include "k8s/api_session.h"
#include "k8s/api_status.h"
#include "k8s/api_types.h"
#include "k8s/credentials.h"

namespace rouse::k8s {

class ApiClient {
 public:
  ApiClient(control::Network& network, Credentials& credentials, ApiClientOptions options);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  [[nodiscard]] std::unique_ptr<ApiCall> Send(ApiRequest request, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> Get(const ResourceType& type, const ObjectKey& key,
                                             BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> List(const ResourceType& type, std::string_view ns,
                                              ListQuery query, ListHandlers handlers);
  [[nodiscard]] std::unique_ptr<ApiCall> Watch(const ResourceType& type, std::string_view ns,
                                               WatchQuery query, WatchHandlers handlers);
  [[nodiscard]] std::unique_ptr<ApiCall> Create(const ResourceType& type, std::string_view ns,
                                                std::string body, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> Update(const ResourceType& type, const ObjectKey& key,
                                                std::string body, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> MergePatch(std::string path, std::string body,
                                                    CallClass call_class, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> JsonPatch(std::string path, std::string body,
                                                   CallClass call_class, BodyHandler handler);

  /// The `scale` of a target. `call_class` is kWake where a request waits for it.
  [[nodiscard]] std::unique_ptr<ApiCall> ReadScale(const ScaleTarget& target, std::string_view ns,
                                                   CallClass call_class, ScaleHandler handler);
  /// kAborted where the object is no longer at `expected_version`; empty: whatever it is at.
  [[nodiscard]] std::unique_ptr<ApiCall> PatchScale(const ScaleTarget& target, std::string_view ns,
                                                    int32_t replicas,
                                                    std::string_view expected_version,
                                                    CallClass call_class, ScaleHandler handler);

  /// `deadline` bounds the call: it must be shorter than the lease's renew deadline.
  [[nodiscard]] std::unique_ptr<ApiCall> GetLease(const ObjectKey& key, Duration deadline,
                                                  LeaseHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> CreateLease(const Lease& lease, Duration deadline,
                                                     LeaseHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> UpdateLease(const Lease& lease, Duration deadline,
                                                     LeaseHandler handler);

  [[nodiscard]] control::Loop& loop() { return session_.loop(); }
  [[nodiscard]] const ApiClientOptions& options() const { return session_.options; }
  [[nodiscard]] const Credentials& credentials() const { return session_.credentials; }
  [[nodiscard]] const ApiCounters& counters() const { return session_.counters; }

 private:
  ApiSession session_;
};

}  // namespace rouse::k8s
