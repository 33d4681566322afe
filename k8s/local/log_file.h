#pragma once
// What:      LogFile: the file that a process writes its output to by itself; kept small from
//            outside.
// Owner:     PodProcess. Control thread.
// Limits:    kLogFileBytes; past it the file is copied to NAME.1 and begins anew (a line written
//            meanwhile may be lost).
// Never:     stands between the process and its output.

#include <string>

#include <absl/status/statusor.h>

namespace rouse::k8s::local {

inline constexpr size_t kLogFileBytes = 10 << 20;

class LogFile {
 public:
  /// Makes the file, and the folders above it.
  [[nodiscard]] static absl::StatusOr<LogFile> Open(const std::string& path);
  ~LogFile();
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// To be called now and then.
  void Trim(size_t most = kLogFileBytes) const;
  /// The last `most` bytes.
  [[nodiscard]] std::string Tail(size_t most) const;

 private:
  LogFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace rouse::k8s::local
