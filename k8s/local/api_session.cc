#include "k8s/local/api_session.h"

#include <utility>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/exec_process.h"
#include "k8s/local/json.h"

namespace rouse::k8s::local {

ApiSession::ApiSession(const Clock& clock, obs::Log& log, ClusterAccess access)
    : network_(control::NewRealNetwork(clock, log)), credentials_(clock, std::move(access)) {
  ServePlugin(*network_, log, 1, credentials_);
}

/// A plugin is run before the first call.
absl::Status ApiSession::Connect() {
  if (client_ && credentials_.usable()) return absl::OkStatus();
  absl::Status outcome = absl::DeadlineExceededError("the credential plugin does not answer");
  bool ended = credentials_.usable();
  const auto wait = std::make_shared<CredentialTold>([&](const absl::Status& status) {
    outcome = status;
    ended = true;
  });
  if (!ended && credentials_.Renew(wait)) network_->RunUntil([&] { return ended; }, kCallPatience);
  if (!credentials_.usable()) return outcome;
  client_ = network_->NewClient(credentials_.origin());
  return absl::OkStatus();
}

std::string ApiSession::Answer::Message() const {
  const absl::StatusOr<Json> parsed = ParseJson(body);
  if (parsed.ok()) {
    const std::string message = TextAt(*parsed, {"message"});
    if (!message.empty()) return message;
  }
  return absl::StrCat("HTTP status ", status, body.empty() ? "" : ": ", body.substr(0, 500));
}

control::HttpRequest ApiSession::Prepare(std::string method, const std::string& target) const {
  control::HttpRequest request;
  request.method = std::move(method);
  request.target = credentials_.base_path() + target;
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "rouse-local/0.1.0 (linux)"}};
  if (auto header = credentials_.authorization()) request.headers.push_back(*header);
  return request;
}

absl::StatusOr<ApiSession::Answer> ApiSession::Call(std::string method, const std::string& target,
                                                    std::string content_type, std::string body) {
  if (absl::Status status = Connect(); !status.ok()) return status;
  control::HttpRequest request = Prepare(std::move(method), target);
  if (!body.empty()) request.headers.push_back({"Content-Type", std::move(content_type)});
  request.body = std::move(body);
  return Run(std::move(request), kCallPatience, nullptr);
}

absl::StatusOr<ApiSession::Answer> ApiSession::Stream(
    const std::string& target, absl::AnyInvocable<void(std::string_view)> on_data) {
  if (absl::Status status = Connect(); !status.ok()) return status;
  control::HttpRequest request = Prepare("GET", target);
  request.limits.idle_timeout = Duration::max();
  return Run(std::move(request), Duration::max(), std::move(on_data));
}

absl::StatusOr<ApiSession::Answer> ApiSession::Run(
    control::HttpRequest request, Duration patience,
    absl::AnyInvocable<void(std::string_view)> on_data) {
  Answer answer;
  bool ended = false;
  absl::Status end;
  control::HttpHandlers handlers;
  handlers.on_head = [&](int status, const control::Headers&) { answer.status = status; };
  handlers.on_data = [&](std::string_view data) {
    if (on_data && answer.ok()) {
      on_data(data);
    } else {
      answer.body += data;
    }
  };
  handlers.on_end = [&](absl::Status status) {
    end = std::move(status);
    ended = true;
  };
  const std::unique_ptr<control::HttpCall> call =
      client_->Start(std::move(request), std::move(handlers));
  if (!network_->RunUntil([&] { return ended; }, patience)) {
    return absl::DeadlineExceededError("the API server does not answer");
  }
  if (!end.ok()) {
    return absl::Status(
        end.code(), absl::StrCat("cannot reach the API server at ", credentials_.origin().host, ":",
                                 credentials_.origin().port, ": ", end.message()));
  }
  return answer;
}

}  // namespace rouse::k8s::local
