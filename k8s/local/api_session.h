#pragma once
// What:      ApiSession: calls to an API server, one after the other, for commands that people
//            type.
// Owner:     one command. Its thread turns the loop while it waits.
// Limits:    kCallPatience for a call; a followed log may last.
// Never:     used by a server.

#include <memory>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "common/control/real_network.h"
#include "common/obs/log.h"
#include "k8s/credentials.h"

namespace rouse::k8s::local {

inline constexpr Duration kCallPatience = std::chrono::seconds(20);

class ApiSession {
 public:
  ApiSession(const Clock& clock, obs::Log& log, ClusterAccess access);

  struct Answer {
    int status = 0;
    std::string body;
    /// The `message` of a Status object, or the body.
    [[nodiscard]] std::string Message() const;
    [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
  };
  /// An error only where the server could not be reached.
  [[nodiscard]] absl::StatusOr<Answer> Call(std::string method, const std::string& target,
                                            std::string content_type = {}, std::string body = {});
  /// As GET, handing over a 200's body as it comes.
  [[nodiscard]] absl::StatusOr<Answer> Stream(const std::string& target,
                                              absl::AnyInvocable<void(std::string_view)> on_data);
  [[nodiscard]] std::string default_namespace() const { return credentials_.ns(); }

 private:
  [[nodiscard]] absl::Status Connect();
  [[nodiscard]] control::HttpRequest Prepare(std::string method, const std::string& target) const;
  [[nodiscard]] absl::StatusOr<Answer> Run(control::HttpRequest request, Duration patience,
                                           absl::AnyInvocable<void(std::string_view)> on_data);

  std::unique_ptr<control::RealNetwork> network_;
  Credentials credentials_;
  std::unique_ptr<control::HttpClient> client_;
};

}  // namespace rouse::k8s::local
