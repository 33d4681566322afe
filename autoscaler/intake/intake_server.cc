#include "autoscaler/intake/intake_server.h"

#include <utility>

#include <absl/strings/match.h>

#include "autoscaler/log_events.h"

namespace rouse::autoscaler {
namespace {

// RFC 6455 section 7.4.1.
constexpr uint16_t kInvalidData = 1007;
constexpr uint16_t kPolicyViolation = 1008;
constexpr uint16_t kServiceRestart = 1012;
constexpr uint16_t kTryAgainLater = 1013;

bool IsKubeletProbe(const control::IncomingRequest& request) {
  const auto agent = control::FindHeader(request.headers, "User-Agent").value_or("");
  return agent.substr(0, 11) == "kube-probe/" ||
         control::FindHeader(request.headers, "K-Kubelet-Probe").has_value();
}

/// A rouse-proxy names itself; an activator is named by its stats.
std::string_view SenderOf(const wire::Report& report) {
  if (!report.proxy.empty()) return report.proxy;
  for (const wire::WorkloadStat& stat : report.stats) {
    if (!stat.stat.pod_name.empty()) return stat.stat.pod_name;
  }
  return {};
}

}  // namespace

IntakeServer::IntakeServer(control::Loop& loop, DemandStore& demand, obs::Log& log, IntakeAuth auth,
                           IntakeLimits limits, OnDemand on_demand)
    : loop_(loop),
      demand_(demand),
      log_(log),
      auth_(std::move(auth)),
      limits_(limits),
      on_demand_(std::move(on_demand)) {}

IntakeServer::~IntakeServer() = default;

void IntakeServer::Serve(control::IncomingRequest request,
                         std::unique_ptr<control::HttpResponder> responder) {
  if (IsKubeletProbe(request)) return responder->Respond(draining_ ? 500 : 200, {}, "");
  // RFC 9110 section 15.5.22: what would be understood here.
  responder->Respond(426, {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}},
                     "this port takes WebSocket reports only\n");
}

int IntakeServer::AcceptMessages(const control::IncomingRequest& request) {
  if (draining_ || connections_.size() >= limits_.connections_max) {
    ++counters_.refused;
    return 503;
  }
  if (certificates_ && request.client_subject.empty()) {
    ++counters_.unauthorized;
    log_.Warn(log_event::kIntakeRefused, {{"peer", request.peer}, {"why", "no certificate"}});
    return 401;
  }
  const auto authorization = control::FindHeader(request.headers, "Authorization");
  const std::optional<Verdict> verdict = auth_.Check(authorization, loop_.now());
  if (!verdict || *verdict == Verdict::kAdmit) return 0;  // unknown: OnMessages asks
  if (*verdict == Verdict::kUnavailable) {
    ++counters_.refused;
    return 503;
  }
  ++counters_.unauthorized;
  log_.Warn(log_event::kIntakeRefused, {{"peer", request.peer}, {"why", "bearer token"}});
  return 401;
}

void IntakeServer::OnMessages(control::IncomingRequest request,
                              std::unique_ptr<control::MessageChannel> channel,
                              absl::AnyInvocable<void(control::MessageHandlers)> set_handlers) {
  ++counters_.accepted;
  const uint64_t id = next_connection_++;
  Connection& connection = connections_[id];
  connection.channel = std::move(channel);
  connection.peer = std::move(request.peer);
  control::MessageHandlers handlers;
  handlers.on_message = [this, id](std::string_view message, bool binary) {
    OnMessage(id, message, binary);
  };
  handlers.on_close = [this, id](const absl::Status& why) { OnClose(id, why); };
  set_handlers(std::move(handlers));
  const auto authorization = control::FindHeader(request.headers, "Authorization");
  if (auth_.Check(authorization, loop_.now()) == Verdict::kAdmit) return;
  connection.reviewed = false;
  auth_.Ask(authorization.value_or(""), [this, id](Verdict verdict) { OnVerdict(id, verdict); });
}

void IntakeServer::OnVerdict(uint64_t id, Verdict verdict) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.closing) return;
  Connection& connection = found->second;
  if (verdict == Verdict::kUnavailable) {
    ++counters_.refused;
    return Refuse(connection, kTryAgainLater, "token not reviewed", log_event::kIntakeRefused);
  }
  if (verdict == Verdict::kRefuse) {
    ++counters_.unauthorized;
    return Refuse(connection, kPolicyViolation, "bearer token", log_event::kIntakeRefused);
  }
  connection.reviewed = true;
  for (const std::string& message : std::exchange(connection.held, {})) {
    if (!connection.closing) File(connection, message);
  }
}

void IntakeServer::OnMessage(uint64_t id, std::string_view message, bool binary) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.closing) return;
  Connection& connection = found->second;
  ++counters_.messages;
  if (!binary) {
    ++counters_.text;
    return;
  }
  if (connection.reviewed) return File(connection, message);
  if (connection.held.size() < limits_.held_max) {
    connection.held.emplace_back(message);
    return;
  }
  ++counters_.refused;
  Refuse(connection, kTryAgainLater, "too much before its review", log_event::kIntakeRefused);
}

void IntakeServer::File(Connection& connection, std::string_view message) {
  const absl::StatusOr<wire::Report> report = wire::Decode(message);
  if (!report.ok()) {
    ++counters_.malformed;
    const absl::string_view why = report.status().message();
    return Refuse(connection, kInvalidData, {why.data(), why.size()}, log_event::kReportMalformed);
  }
  if (!Identify(connection, *report) || connection.sender.empty()) return;
  demand_.Record(
      connection.sender, *report, loop_.now(),
      [this](const ObjectKey& workload, const wire::Stat& stat) { on_demand_(workload, stat); });
}

bool IntakeServer::Identify(Connection& connection, const wire::Report& report) {
  const std::string_view name = SenderOf(report);
  if (connection.sender.empty()) {
    if (name.empty()) return true;
    const bool knative = report.proxy.empty();
    if (!demand_.Connect(std::string(name), knative, loop_.now())) {
      ++counters_.refused;
      Refuse(connection, kTryAgainLater, "too many senders", log_event::kIntakeRefused);
      return false;
    }
    connection.sender = name;
    log_.Info(log_event::kSenderConnected,
              {{"sender", name}, {"peer", connection.peer}, {"knative", knative}});
    return true;
  }
  // An activator may pass on stats of others; a proxy speaks for itself alone.
  if (report.proxy.empty() || report.proxy == connection.sender) return true;
  ++counters_.malformed;
  Refuse(connection, kInvalidData, "the sender's name has changed", log_event::kReportMalformed);
  return false;
}

void IntakeServer::Refuse(Connection& connection, uint16_t code, std::string_view why,
                          std::string_view event) {
  log_.Warn(event, {{"peer", connection.peer}, {"sender", connection.sender}, {"why", why}});
  connection.closing = true;
  connection.channel->Close(code, why);
}

void IntakeServer::OnClose(uint64_t id, const absl::Status& why) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection connection = std::move(found->second);
  connections_.erase(found);
  if (connection.sender.empty()) return;
  demand_.Disconnect(connection.sender, loop_.now());
  const absl::string_view text = why.message();
  log_.Info(log_event::kSenderGone, {{"sender", connection.sender},
                                     {"peer", connection.peer},
                                     {"why", std::string_view(text.data(), text.size())}});
}

void IntakeServer::Drain() {
  draining_ = true;
  for (auto& [id, connection] : connections_) {
    connection.channel->Close(kServiceRestart, "going down");
  }
}

}  // namespace rouse::autoscaler
