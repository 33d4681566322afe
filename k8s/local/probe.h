#pragma once
// What:      Prober: one probe of a running container, asked with the kubelet's timing, and its
//            verdict.
// Owner:     PodProcess, one per declared probe and run. Control thread.
// Limits:    one question at a time, each within the probe's timeout.
// Invariant: the verdict turns only after successThreshold or failureThreshold answers in a row.
//            gRPC probes only ask whether the port accepts connections.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/control/channel.h"
#include "k8s/child_process.h"
#include "k8s/local/json.h"
#include "k8s/local/object_store.h"
#include "k8s/local/pod_command.h"

namespace rouse::k8s::local {

/// Readiness is first asked this long after the start (the kubelet's own latency), then every
/// period.
inline constexpr Duration kFirstProbe = std::chrono::milliseconds(100);

struct ProbePlan {
  enum class Kind : uint8_t { kHttp, kTcp, kExec };
  Kind kind = Kind::kTcp;
  control::Origin origin;  ///< http, tcp
  std::string path;        ///< http
  control::Headers headers;
  ChildSpec command;  ///< exec
  Duration initial_delay{};
  Duration period{};
  Duration timeout{};
  int success_threshold = 1;
  int failure_threshold = 3;

  [[nodiscard]] static ProbePlan Of(const Json& probe, const StoredObject& pod,
                                    const PodPlace& place, const PodCommand& command);
};

class Prober {
 public:
  struct Handlers {
    /// The verdict has turned.
    absl::AnyInvocable<void(bool good)> on_verdict;
    /// One question was answered badly, in words for an Event.
    absl::AnyInvocable<void(std::string_view why)> on_bad;
  };

  Prober(control::Network& network, ChildProcesses& children, ProbePlan plan, bool verdict,
         Handlers handlers);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

 private:
  void Schedule(Duration wait);
  void Ask();
  void AskHttp();
  void AskTcp();
  void AskExec();
  void Answer(bool good, const std::string& why);
  void Forget();

  control::Network& network_;
  ChildProcesses& children_;
  ProbePlan plan_;
  bool verdict_;
  Handlers handlers_;
  int in_a_row_ = 0;
  bool last_ = false;
  control::TimerId timer_ = 0;
  control::TimerId deadline_ = 0;
  std::unique_ptr<control::HttpClient> client_;
  std::unique_ptr<control::HttpCall> call_;
  int status_ = 0;
  int socket_ = -1;
  pid_t child_ = 0;
  std::shared_ptr<bool> alive_;
};

}  // namespace rouse::k8s::local
