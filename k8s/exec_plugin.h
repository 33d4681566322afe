#pragma once
// What:   ExecPlugin, a credential plugin as a kubeconfig names it (users[].user.exec), and
//         ExecCredential, what it answers: client.authentication.k8s.io, v1 and v1beta1.
// Owner:  values and functions; any thread.
// Never:  runs anything (exec_process.h does); shows a token.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "common/control/channel.h"

namespace YAML {
class Node;
}

namespace rouse::k8s {

struct ExecPlugin {
  std::string command;  ///< a path, or a name to be found in our PATH
  std::vector<std::string> args;
  std::vector<std::string> environment;  ///< NAME=VALUE, beside our own; with KUBERNETES_EXEC_INFO
  std::string api_version;
  std::string install_hint;
};

struct ExecCredential {
  std::string token;
  std::string certificate_pem;
  std::string key_pem;
  std::optional<WallTime> expires;
};

/// `exec` is the user's, `cluster` the cluster's part of a kubeconfig in `folder`; `origin` is what
/// was read of that cluster.
[[nodiscard]] absl::StatusOr<ExecPlugin> ReadExecPlugin(const YAML::Node& exec,
                                                        const YAML::Node& cluster,
                                                        const std::filesystem::path& folder,
                                                        const control::Origin& origin);

/// What a plugin wrote: a token, a certificate with its key, or both. An error says what is wrong,
/// and nothing of what was written.
[[nodiscard]] absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view text,
                                                                 std::string_view api_version);

}  // namespace rouse::k8s
