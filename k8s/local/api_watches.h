#pragma once
// What:      ApiWatches: every open watch of the API server: JSON lines of events, bookmarks,
//            timeouts, and what faults on demand do to them.
// Owner:     ApiServer. Control thread.
// Limits:    WatchOptions; a reader too slow for the connection's queue is cut.
// Invariant: a bookmark's version is never newer than the events already written.

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "common/control/channel.h"
#include "k8s/local/api_reader.h"
#include "k8s/local/faults.h"
#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

struct WatchOptions {
  Duration bookmark_interval = std::chrono::seconds(30);
  Duration timeout_default = std::chrono::minutes(30);  ///< where the client names none
  size_t watches_max = 4096;
};

class ApiWatches {
 public:
  ApiWatches(ObjectStore& store, WatchOptions options);
  ~ApiWatches();

  void Start(const ApiTarget& target, std::unique_ptr<control::HttpResponder> responder);

  /// Cuts every open watch without a clean end.
  void CutAll();
  /// While silent, nothing is written to any watch.
  void SetSilent(bool silent) { silent_ = silent; }
  void SetStreamedLists(StreamedLists mode) { streamed_lists_ = mode; }
  [[nodiscard]] size_t open() const { return watches_.size(); }

 private:
  struct Stream;

  void Subscribe(uint64_t id, uint64_t from);
  void SendInitial(Stream& stream, bool end_mark);
  void OnChange(Stream& stream, const Change& change);
  void OnTurn(uint64_t id, uint64_t version);
  void ArmBookmark(uint64_t id);
  void OnTimeout(uint64_t id);
  void Fail(Stream& stream, const ApiError& error);
  void Flush(uint64_t id);
  void Drop(uint64_t id);
  [[nodiscard]] std::string Bookmark(const Stream& stream, bool end_mark) const;

  ObjectStore& store_;
  WatchOptions options_;
  bool silent_ = false;
  StreamedLists streamed_lists_ = StreamedLists::kServe;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Stream>> watches_;
  std::shared_ptr<bool> alive_;
};

}  // namespace rouse::k8s::local
