#pragma once
// What:      LocalCluster: store, controllers, API server and (if wanted) a runner, as one thing:
//            the embedded cluster of rouse-local and the fault-injecting API server of the tests.
// Owner:     main, or a test case; `network` and `log` outlive it. Control thread.
// Invariant: the namespaces default, kube-system, kube-public and kube-node-lease exist from the
//            start.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "common/control/channel.h"
#include "common/obs/log.h"
#include "k8s/local/api_server.h"
#include "k8s/local/controllers.h"
#include "k8s/local/object_store.h"
#include "k8s/local/pod_runner.h"

namespace rouse::k8s::local {

struct LocalClusterOptions {
  ApiServerOptions api;
  StoreLimits store;
  uint64_t seed = 1;
  /// Makes the runner; without it pods stay Pending until somebody else runs them.
  absl::AnyInvocable<std::unique_ptr<PodRunner>(ObjectStore&)> make_runner;
};

class LocalCluster {
 public:
  LocalCluster(control::Network& network, obs::Log& log, LocalClusterOptions options);
  ~LocalCluster();

  [[nodiscard]] absl::Status Start();
  /// Stops the pods, then calls `done`.
  void Stop(Duration grace, absl::AnyInvocable<void()> done);

  [[nodiscard]] ObjectStore& store() { return store_; }
  [[nodiscard]] ApiServer& server() { return server_; }
  [[nodiscard]] PodRunner* runner() { return runner_.get(); }
  [[nodiscard]] uint16_t port() const { return server_.port(); }

  /// Creates or replaces what a manifest (YAML or JSON) describes, as `apply` does, without going
  /// through HTTP.
  [[nodiscard]] absl::Status Apply(std::string_view manifest);

 private:
  ObjectStore store_;
  Controllers controllers_;
  ApiServer server_;
  std::unique_ptr<PodRunner> runner_;
};

/// A kubeconfig for `server` (an URL); `token` and `ca_pem` may be empty.
[[nodiscard]] std::string KubeconfigText(std::string_view server, std::string_view token,
                                         std::string_view ca_pem);

}  // namespace rouse::k8s::local
