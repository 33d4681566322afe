#include "k8s/local/log_file.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rouse::k8s::local {

absl::StatusOr<LogFile> LogFile::Open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error)
    return absl::UnavailableError("cannot make the folder of " + path + ": " + error.message());
  // Appending, so that the process goes on at the start after a Trim.
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, "cannot open " + path);
  return LogFile(path, descriptor);
}

LogFile::~LogFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

LogFile::LogFile(LogFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

LogFile& LogFile::operator=(LogFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void LogFile::Trim(size_t most) const {
  struct stat status{};
  if (fstat(descriptor_, &status) != 0 || static_cast<size_t>(status.st_size) <= most) return;
  std::error_code error;
  std::filesystem::copy_file(path_, path_ + ".1", std::filesystem::copy_options::overwrite_existing,
                             error);
  // A full disk must not stop us from making room on it.
  if (ftruncate(descriptor_, 0) != 0) return;
}

std::string LogFile::Tail(size_t most) const {
  struct stat status{};
  if (fstat(descriptor_, &status) != 0) return {};
  const size_t size = static_cast<size_t>(status.st_size);
  std::string text(std::min(size, most), '\0');
  const ssize_t got =
      pread(descriptor_, text.data(), text.size(), static_cast<off_t>(size - text.size()));
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

}  // namespace rouse::k8s::local
