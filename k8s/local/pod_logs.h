#pragma once
// What:      PodLogs, where the API server finds a pod's log; PodLogStreams, the open GETs of /log.
// Owner:     the runner implements PodLogs; ApiServer owns PodLogStreams. Control thread.
// Limits:    kLogBytesMax of one answer that is not followed; kLogFollowInterval between looks at a
//            followed file.
// Never:     keeps a log in memory.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/object_key.h"
#include "common/control/channel.h"
#include "k8s/local/api_error.h"
#include "k8s/local/api_target.h"

namespace rouse::k8s::local {

inline constexpr size_t kLogBytesMax = 16 << 20;
inline constexpr Duration kLogFollowInterval = std::chrono::milliseconds(200);

class PodLogs {
 public:
  virtual ~PodLogs() = default;
  /// The file that holds the log of the pod's container, or of its run before the last restart.
  [[nodiscard]] virtual ApiResult<std::string> LogPath(const ObjectKey& pod, bool previous) = 0;
  /// False once no more will be written to it.
  [[nodiscard]] virtual bool LogOpen(const ObjectKey& pod) = 0;
};

/// The last `lines` lines of a text; all of it where it has fewer.
[[nodiscard]] std::string_view LastLines(std::string_view text, size_t lines);

class PodLogStreams {
 public:
  explicit PodLogStreams(control::Loop& loop);
  ~PodLogStreams();
  void Start(const ApiTarget& target, PodLogs* logs,
             std::unique_ptr<control::HttpResponder> responder);

 private:
  struct Stream;
  void Follow(uint64_t id);
  void Drop(uint64_t id);

  control::Loop& loop_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Stream>> streams_;
  std::shared_ptr<bool> alive_;
};

}  // namespace rouse::k8s::local
