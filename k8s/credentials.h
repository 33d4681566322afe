#pragma once
// What:      ClusterAccess, how to reach and convince one API server; Credentials, the same kept
//            fresh: token and certificate files are read again when due and after a 401, and what a
//            plugin gives is taken over.
// Owner:     app owns one Credentials per cluster; ApiClient refers to it. Control thread.
// Limits:    files up to credential_file_bytes_max.
// Never:     logs a secret.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "common/control/channel.h"
#include "k8s/exec_credentials.h"
#include "k8s/exec_plugin.h"

namespace rouse::k8s {

inline constexpr size_t credential_file_bytes_max = 1 << 20;

/// Reads a whole file; tests hand in another.
using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;
[[nodiscard]] absl::StatusOr<std::string> ReadSmallFile(const std::string& path);
struct FileInto {
  std::string_view path;  ///< empty: `text` stays as it is
  std::string& text;
};
/// ReadSmallFile of each.
[[nodiscard]] absl::Status ReadSmallFiles(std::initializer_list<FileInto> files);

/// Reads an environment variable; nullopt where unset.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] std::optional<std::string> ReadEnvironment(const std::string& name);

struct ClusterAccess {
  control::Origin origin;  ///< with the TLS material known so far
  std::string base_path;   ///< before /api; empty or "/prefix"
  std::string ns = "default";
  std::string token;  ///< used where there is no token_file
  std::string token_file;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  std::optional<ExecPlugin> plugin;
};

/// From the service account of a pod. kFailedPrecondition outside a cluster.
[[nodiscard]] absl::StatusOr<ClusterAccess> InClusterAccess(
    const Environment& environment = ReadEnvironment, const FileReader& read = ReadSmallFile);

class Credentials {
 public:
  static constexpr Duration kRefreshEvery = std::chrono::seconds(60);
  static constexpr Duration kRefreshDoubtedEvery = std::chrono::seconds(1);

  Credentials(const Clock& clock, ClusterAccess access, FileReader read = ReadSmallFile);

  /// Reads the files again if kRefreshEvery has passed; after Doubt, kRefreshDoubtedEvery. A file
  /// that cannot be read keeps its last value.
  void RefreshIfDue();
  /// No connection could be had: the server's authority or our certificate may be another by now.
  void Doubt() { doubted_ = true; }
  /// Reads them now (after a 401). True if anything changed.
  bool Refresh();

  /// Named by the kubeconfig; nobody runs it before UsePlugin (exec_process.h: ServePlugin).
  [[nodiscard]] const std::optional<ExecPlugin>& plugin() const { return access_.plugin; }
  void UsePlugin(std::unique_ptr<ExecCredentials> runs);
  /// False where a plugin has not given anything yet, or what it gave has expired.
  [[nodiscard]] bool usable() const { return runs_ ? runs_->usable() : !access_.plugin; }
  /// After a 401, or where nothing is usable. True: `wait` is told. False: the files have been
  /// read again, and nothing is to be waited for.
  [[nodiscard]] bool Renew(const CredentialWait& wait);
  /// Changes with everything that a plugin gives.
  [[nodiscard]] uint64_t plugin_generation() const { return plugin_generation_; }

  [[nodiscard]] const control::Origin& origin() const { return access_.origin; }
  [[nodiscard]] const std::string& base_path() const { return access_.base_path; }
  [[nodiscard]] const std::string& ns() const { return access_.ns; }
  [[nodiscard]] std::optional<control::Header> authorization() const;
  /// Changes when the TLS material does: connections made before must not be reused.
  [[nodiscard]] uint64_t tls_generation() const { return tls_generation_; }
  /// Why the last reading failed; OK where it did not.
  [[nodiscard]] const absl::Status& last_error() const { return last_error_; }

 private:
  bool ReadInto(const std::string& path, std::string& value);
  void Adopt(ExecCredential given);

  const Clock& clock_;
  ClusterAccess access_;
  FileReader read_;
  TimePoint read_at_;
  bool doubted_ = false;
  uint64_t tls_generation_ = 1;
  uint64_t plugin_generation_ = 0;
  absl::Status last_error_;
  std::unique_ptr<ExecCredentials> runs_;
};

}  // namespace rouse::k8s
