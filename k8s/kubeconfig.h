#pragma once
// What:   reads kubeconfig files into a ClusterAccess: the KUBECONFIG list merged as kubectl merges
//         it, a context chosen.
// Owner:  functions. Called at start.
// Limits: kubeconfig_files_max files of credential_file_bytes_max.
// Never:  runs a program: a credential plugin is only read (exec_process.h runs it).

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "k8s/credentials.h"

namespace rouse::k8s {

inline constexpr size_t kubeconfig_files_max = 16;

/// `path` if not empty, else $KUBECONFIG (a colon-separated list), else $HOME/.kube/config.
[[nodiscard]] std::vector<std::string> KubeconfigFiles(
    const std::string& path, const Environment& environment = ReadEnvironment);

/// The first file to define a name wins; files that do not exist are passed over unless none does.
/// `context` empty: the current one.
[[nodiscard]] absl::StatusOr<ClusterAccess> KubeconfigAccess(
    const std::vector<std::string>& files, const std::string& context,
    const FileReader& read = ReadSmallFile);

/// What a program wants: `kubeconfig` if given, else the pod's service account, else the default
/// files.
[[nodiscard]] absl::StatusOr<ClusterAccess> FindAccess(
    const std::string& kubeconfig, const std::string& context,
    const Environment& environment = ReadEnvironment, const FileReader& read = ReadSmallFile);

}  // namespace rouse::k8s
