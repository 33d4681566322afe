#pragma once
// What:      WatcherCore, the list-and-watch life of one kind without its type: when to list, from
//            which version to watch, when a stream is dead, how long to back off. A list is
//            streamed as the beginning of its watch (WatchList) where the server can do that.
// Owner:     Watcher<T>. Control thread.
// Limits:    WatchLimits.
// Invariant: after the first sync the store only moves forward: a replacement is handed over whole,
//            never before its list is complete.
// Never:     gives up.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/backoff.h"
#include "common/base/random.h"
#include "common/control/channel.h"
#include "common/obs/log.h"
#include "k8s/api_client.h"

namespace rouse::k8s {

struct WatchLimits {
  Duration backoff_first = std::chrono::milliseconds(800);
  Duration backoff_most = std::chrono::seconds(30);
  Duration unreached_most = std::chrono::seconds(1);  ///< between dials of a server that is away
  Duration healthy_after = std::chrono::minutes(2);   ///< a watch this old has proved itself
  Duration timeout_least = std::chrono::seconds(300);
  Duration timeout_most = std::chrono::seconds(600);
  Duration silence_max = std::chrono::seconds(90);  ///< no event, no bookmark: the stream is dead
  bool streamed_lists = true;                       ///< where the server can
  /// A streamed list that says nothing for the one, or is not whole after the other, never will be:
  /// the server does not know what was asked of it.
  Duration list_silence_max = std::chrono::seconds(10);
  Duration list_whole_within = std::chrono::seconds(60);
  uint64_t list_cuts_max = 3;  ///< so many in a row that broke off: it cannot be streamed to us
  Duration empty_within = std::chrono::seconds(1);  ///< ended sooner, without a word: failed
  uint64_t empty_max = 3;                           ///< so many in a row: history is gone
};

struct WatchTarget {
  ResourceType type;
  std::string ns;  ///< empty: every namespace
  std::string label_selector;
  std::string field_selector;
};

struct WatchCounters {
  uint64_t lists = 0;
  uint64_t streamed = 0;  ///< of these, asked for as streams
  uint64_t watches = 0;
  uint64_t events = 0;
  uint64_t bookmarks = 0;
  uint64_t undecodable = 0;
  uint64_t failures = 0;  ///< lists and watches that ended badly
  uint64_t expired = 0;   ///< 410s, in any shape
  uint64_t silent = 0;    ///< streams given up as dead
};

class WatcherCore {
 public:
  /// What the core asks of its typed half.
  class Store {
   public:
    virtual ~Store() = default;
    virtual void BeginReplace() = 0;
    virtual absl::Status TakeListed(std::string_view object) = 0;  ///< an error: cannot be decoded
    /// Of what was listed so far; a streamed list may change while it comes.
    virtual absl::Status DropListed(std::string_view object) = 0;
    virtual void EndReplace() = 0;
    /// Applies one event; the object's resourceVersion goes to `version`.
    virtual absl::Status Apply(const WatchEvent& event, std::string& version) = 0;
  };

  WatcherCore(ApiClient& client, obs::Log& log, uint64_t seed, WatchTarget target,
              WatchLimits limits, Store& store);
  ~WatcherCore();

  void Start();
  void Stop();

  [[nodiscard]] bool synced() const { return synced_; }
  /// When the server last said anything useful; the epoch where never.
  [[nodiscard]] TimePoint last_contact() const { return last_contact_; }
  [[nodiscard]] const WatchCounters& counters() const { return counters_; }
  [[nodiscard]] const std::string& version() const { return version_; }

 private:
  /// kCache -> kLastSeen; kLastSeen -> kNewest where the server does not have it, and back once it
  /// lists.
  enum class ListFrom : uint8_t { kCache, kLastSeen, kNewest };
  enum class Next : uint8_t { kList, kWatch };

  void List();
  void AskForList();
  [[nodiscard]] std::string ListVersion() const;
  void OnListEnd(absl::StatusOr<std::string> version);
  void OnListFailed(const absl::Status& why);
  void OnListed(std::string version);
  void OnListEvent(const WatchEvent& event);
  void OnStreamedListEnd(const absl::Status& status);
  void RefuseStreams(const absl::Status& why);
  void Watch();
  void Open(WatchQuery query);
  void OnOpen();
  void OnEvent(const WatchEvent& event);
  void OnWatchEnd(const absl::Status& status);
  void OnStreamEnd(const absl::Status& status);
  void OnEmptyWatch();
  void OnExpired(const absl::Status& status);
  void OnSilence();
  void ArmSilence(TimePoint when);
  void Contact();
  void Undecodable(const absl::Status& why);
  void Fail(const absl::Status& why, Next next);

  ApiClient& client_;
  obs::Log& log_;
  Random random_;
  WatchTarget target_;
  WatchLimits limits_;
  Store& store_;
  Backoff backoff_;    ///< where the server answers
  Backoff unreached_;  ///< where it cannot be reached
  TimePoint said_at_{};
  std::string said_;  ///< why it could not be reached, as it was logged last
  ListFrom list_from_ = ListFrom::kCache;
  std::string version_;
  bool streams_;            ///< lists are streamed: not refused so far
  uint64_t cut_lists_ = 0;  ///< in a row
  bool listing_ = false;    ///< the stream under way has not told all that there is
  bool synced_ = false;
  bool stopped_ = true;
  TimePoint last_contact_{};
  TimePoint listed_at_{};
  TimePoint opened_at_{};
  bool opened_ = false;  ///< the watch under way has a 200
  uint64_t events_in_watch_ = 0;
  uint64_t empty_watches_ = 0;  ///< in a row
  std::unique_ptr<ApiCall> call_;
  control::TimerId retry_timer_ = 0;
  control::TimerId silence_timer_ = 0;
  WatchCounters counters_;
};

}  // namespace rouse::k8s
