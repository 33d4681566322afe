#include "k8s/local/probe.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <boost/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

namespace {

constexpr Duration kConnectRecheck = std::chrono::milliseconds(20);

Duration SecondsAt(const Json& probe, JsonPath path, int64_t otherwise) {
  return std::chrono::seconds(NumberAt(probe, path, otherwise));
}

void FillTarget(const Json& action, const StoredObject& pod, const PodPlace& place,
                ProbePlan& plan) {
  plan.origin.host = TextAt(action, {"host"}, place.address);
  plan.origin.port = PodPort(*pod.json, NumberOrTextAt(action, {"port"}), place.port).value_or(0);
}

}  // namespace

ProbePlan ProbePlan::Of(const Json& probe, const StoredObject& pod, const PodPlace& place,
                        const PodCommand& command) {
  ProbePlan plan;
  plan.initial_delay = SecondsAt(probe, {"initialDelaySeconds"}, 0);
  plan.period =
      std::max<Duration>(SecondsAt(probe, {"periodSeconds"}, 10), std::chrono::seconds(1));
  plan.timeout =
      std::max<Duration>(SecondsAt(probe, {"timeoutSeconds"}, 1), std::chrono::seconds(1));
  plan.success_threshold = static_cast<int>(NumberAt(probe, {"successThreshold"}, 1));
  plan.failure_threshold = static_cast<int>(NumberAt(probe, {"failureThreshold"}, 3));
  if (const Json* http = Find(probe, {"httpGet"})) {
    plan.kind = Kind::kHttp;
    FillTarget(*http, pod, place, plan);
    plan.path = TextAt(*http, {"path"}, "/");
    if (!plan.path.starts_with("/")) plan.path = "/" + plan.path;
    if (TextAt(*http, {"scheme"}) == "HTTPS") {
      plan.origin.tls = control::ClientTls{};
      plan.origin.tls->verify = false;  // As the kubelet does.
    }
    plan.headers.push_back({"User-Agent", "kube-probe/1.34"});
    for (const Json& header : ArrayAt(*http, {"httpHeaders"})) {
      plan.headers.push_back({TextAt(header, {"name"}), TextAt(header, {"value"})});
    }
  } else if (const Json* exec = Find(probe, {"exec"})) {
    plan.kind = Kind::kExec;
    for (const Json& word : ArrayAt(*exec, {"command"}))
      plan.command.argv.push_back(TextAt(word, {}));
    plan.command.environment = command.environment;
    plan.command.working_dir = command.working_dir;
  } else if (const Json* grpc = Find(probe, {"grpc"})) {
    FillTarget(*grpc, pod, place, plan);
  } else if (const Json* tcp = Find(probe, {"tcpSocket"})) {
    FillTarget(*tcp, pod, place, plan);
  }
  return plan;
}

Prober::Prober(control::Network& network, ChildProcesses& children, ProbePlan plan, bool verdict,
               Handlers handlers)
    : network_(network),
      children_(children),
      plan_(std::move(plan)),
      verdict_(verdict),
      handlers_(std::move(handlers)),
      alive_(std::make_shared<bool>(true)) {
  Schedule(plan_.initial_delay + kFirstProbe);
}

Prober::~Prober() {
  *alive_ = false;
  network_.loop().Cancel(timer_);
  Forget();
}

void Prober::Schedule(Duration wait) {
  network_.loop().Cancel(timer_);
  timer_ = network_.loop().At(Later(network_.loop().now(), wait), [this] { Ask(); });
}

void Prober::Ask() {
  Schedule(plan_.period);
  Forget();
  deadline_ = network_.loop().At(Later(network_.loop().now(), plan_.timeout), [this] {
    deadline_ = 0;
    Answer(false, "timed out");
  });
  switch (plan_.kind) {
    case ProbePlan::Kind::kHttp:
      return AskHttp();
    case ProbePlan::Kind::kTcp:
      return AskTcp();
    case ProbePlan::Kind::kExec:
      return AskExec();
  }
}

/// Drops the question that is open, if any.
void Prober::Forget() {
  network_.loop().Cancel(std::exchange(deadline_, 0));
  call_.reset();
  client_.reset();
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (child_ != 0) children_.Kill(std::exchange(child_, 0));
}

void Prober::AskHttp() {
  client_ = network_.NewClient(plan_.origin);
  control::HttpRequest request;
  request.target = plan_.path;
  request.headers = plan_.headers;
  request.limits.connect_timeout = plan_.timeout;
  request.limits.head_timeout = plan_.timeout;
  request.limits.idle_timeout = plan_.timeout;
  status_ = 0;
  control::HttpHandlers handlers;
  handlers.on_head = [this](int status, const control::Headers&) { status_ = status; };
  handlers.on_data = [](std::string_view) {};
  handlers.on_end = [this](const absl::Status& status) {
    if (!status.ok()) return Answer(false, std::string(status.message()));
    Answer(status_ >= 200 && status_ < 400,
           absl::StrCat("HTTP probe failed with statuscode: ", status_));
  };
  call_ = client_->Start(std::move(request), std::move(handlers));
}

/// On loopback a connection is made or refused before connect returns; only a full backlog makes it
/// wait.
void Prober::AskTcp() {
  if (socket_ < 0) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.origin.port);
    if (inet_pton(AF_INET, plan_.origin.host.c_str(), &address.sin_addr) != 1) {
      return Answer(false, "the probe's host is not an IPv4 address");
    }
    const int result =
        connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (result == 0) return Answer(true, "");
    if (errno != EINPROGRESS) {
      return Answer(
          false, absl::StrCat("dial tcp ", plan_.origin.host, ":", plan_.origin.port, ": connect: ",
                              errno == ECONNREFUSED ? "connection refused" : "failed"));
    }
  }
  pollfd state{socket_, POLLOUT, 0};
  if (poll(&state, 1, 0) > 0) {
    const bool good = (state.revents & (POLLERR | POLLHUP)) == 0;
    return Answer(good, "connection refused");
  }
  network_.loop().At(Later(network_.loop().now(), kConnectRecheck), [this, alive = alive_] {
    if (*alive && socket_ >= 0) AskTcp();
  });
}

void Prober::AskExec() {
  const absl::StatusOr<pid_t> started =
      children_.Start(plan_.command, [this, alive = alive_](ChildEnd end) {
        if (!*alive || child_ == 0) return;
        child_ = 0;
        Answer(end.code == 0, absl::StrCat("command exited with ", end.code));
      });
  if (!started.ok()) return Answer(false, std::string(started.status().message()));
  child_ = *started;
}

void Prober::Answer(bool good, const std::string& why) {
  // The call that brought the answer is not dropped from inside itself.
  network_.loop().Post([this, alive = alive_] {
    if (*alive && deadline_ == 0) Forget();
  });
  network_.loop().Cancel(std::exchange(deadline_, 0));
  in_a_row_ = good == last_ ? in_a_row_ + 1 : 1;
  last_ = good;
  const int needed = good ? plan_.success_threshold : plan_.failure_threshold;
  const bool turns = good != verdict_ && in_a_row_ >= needed;
  if (turns) verdict_ = good;
  // A handler may end this prober: nothing of ours is touched after the last of them.
  const std::shared_ptr<bool> alive = alive_;
  if (!good) handlers_.on_bad(why);
  if (*alive && turns) handlers_.on_verdict(good);
}

}  // namespace rouse::k8s::local
