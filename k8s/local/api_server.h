#pragma once
// What:      ApiServer: the Kubernetes API of an ObjectStore over HTTP, with bearer tokens, TLS and
//            faults on demand.
// Owner:     LocalCluster. Control thread.
// Limits:    ApiServerOptions; 4 MiB of request body (the listener's).
// Invariant: every refusal is a Status object.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "common/control/channel.h"
#include "common/obs/log.h"
#include "k8s/local/api_reader.h"
#include "k8s/local/api_watches.h"
#include "k8s/local/api_writer.h"
#include "k8s/local/faults.h"
#include "k8s/local/object_store.h"
#include "k8s/local/pod_logs.h"

namespace rouse::k8s::local {

struct ApiServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::optional<control::ServerTls> tls;
  /// Token -> user name. Empty: everybody may do everything.
  std::map<std::string, std::string> tokens;
  WatchOptions watches;
};

class ApiServer final : public control::HttpService {
 public:
  ApiServer(control::Network& network, ObjectStore& store, obs::Log& log, ApiServerOptions options);
  ~ApiServer() override;

  [[nodiscard]] absl::Status Start();
  /// 0 until started.
  [[nodiscard]] uint16_t port() const { return port_; }
  void SetLogs(PodLogs* logs) { logs_ = logs; }
  [[nodiscard]] Faults& faults() { return faults_; }
  [[nodiscard]] uint64_t requests() const { return requests_; }
  [[nodiscard]] size_t open_watches() const { return watches_.open(); }

  void Serve(control::IncomingRequest request,
             std::unique_ptr<control::HttpResponder> responder) override;

 private:
  using Responder = std::unique_ptr<control::HttpResponder>;

  [[nodiscard]] absl::Status Listen();
  void Answer(const control::IncomingRequest& request, Responder responder);
  [[nodiscard]] ApiReply Route(const control::IncomingRequest& request, const ApiTarget& target);
  [[nodiscard]] ApiReply ServeFaults(const control::IncomingRequest& request);
  [[nodiscard]] ApiReply ReviewToken(const control::IncomingRequest& request);
  [[nodiscard]] bool Allowed(const control::IncomingRequest& request) const;
  void SetSilent(bool silent);
  void SetDown(bool down);

  control::Network& network_;
  ObjectStore& store_;
  obs::Log& log_;
  ApiServerOptions options_;
  ApiReader reader_;
  ApiWriter writer_;
  ApiWatches watches_;
  PodLogStreams log_streams_;
  PodLogs* logs_ = nullptr;
  Faults faults_;
  std::vector<Responder> held_;  ///< requests that came while silent
  uint64_t requests_ = 0;
  uint16_t port_ = 0;
  std::shared_ptr<bool> alive_;
  std::unique_ptr<control::HttpListener> listener_;
};

}  // namespace rouse::k8s::local
