#include "k8s/watcher_core.h"

#include <algorithm>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

using obs::LogField;

/// Bookmarks carry nothing but these.
struct Mark {
  std::string version;
  bool initial_end = false;  ///< a streamed list is whole
};

Mark MarkOf(std::string_view object) {
  JsonDocument document(object);
  const JsonNode meta = document.root()["metadata"];
  return {meta["resourceVersion"].Text(),
          meta["annotations"]["k8s.io/initial-events-end"].Text() == "true"};
}

/// The server does not know streamed lists, or has them switched off: 400, 405, 406, 415, 422.
bool CannotStream(const absl::Status& status) {
  return FailureOf(status) && (absl::IsInvalidArgument(status) || absl::IsUnimplemented(status));
}

}  // namespace

WatcherCore::WatcherCore(ApiClient& client, obs::Log& log, uint64_t seed, WatchTarget target,
                         WatchLimits limits, Store& store)
    : client_(client),
      log_(log),
      random_(seed),
      target_(std::move(target)),
      limits_(limits),
      store_(store),
      backoff_(limits.backoff_first, limits.backoff_most),
      unreached_(limits.backoff_first, limits.unreached_most),
      streams_(limits.streamed_lists) {}

WatcherCore::~WatcherCore() { Stop(); }

void WatcherCore::Start() {
  stopped_ = false;
  List();
}

void WatcherCore::Stop() {
  stopped_ = true;
  call_ = nullptr;
  client_.loop().Cancel(retry_timer_);
  client_.loop().Cancel(silence_timer_);
  retry_timer_ = 0;
  silence_timer_ = 0;
}

// ---- list -------------------------------------------------------------------------------------

void WatcherCore::List() {
  ++counters_.lists;
  listed_at_ = client_.loop().now();
  store_.BeginReplace();
  if (!streams_) return AskForList();
  ++counters_.streamed;
  listing_ = true;
  WatchQuery query;
  query.send_initial = true;
  query.resource_version = ListVersion();
  Open(std::move(query));
}

std::string WatcherCore::ListVersion() const {
  switch (list_from_) {
    case ListFrom::kCache:
      return "0";
    case ListFrom::kLastSeen:
      return version_;
    case ListFrom::kNewest:
      return {};
  }
  return {};
}

void WatcherCore::AskForList() {
  ListQuery query;
  query.label_selector = target_.label_selector;
  query.field_selector = target_.field_selector;
  query.resource_version = ListVersion();
  ListHandlers handlers;
  handlers.on_item = [this](std::string_view object) {
    const absl::Status status = store_.TakeListed(object);
    if (!status.ok()) Undecodable(status);
  };
  handlers.on_restart = [this] { store_.BeginReplace(); };
  handlers.on_end = [this](absl::StatusOr<std::string> version) { OnListEnd(std::move(version)); };
  call_ = client_.List(target_.type, target_.ns, std::move(query), std::move(handlers));
}

void WatcherCore::OnListEnd(absl::StatusOr<std::string> version) {
  if (!version.ok()) return OnListFailed(version.status());
  OnListed(*std::move(version));
  if (!stopped_) Watch();
}

void WatcherCore::OnListFailed(const absl::Status& why) {
  const bool expired = IsExpired(why);
  if (expired) ++counters_.expired;
  // The server does not have what we saw: another one, or restored from a backup. Take what there
  // is.
  if (expired || IsVersionTooLarge(why)) list_from_ = ListFrom::kNewest;
  Fail(why, Next::kList);
}

void WatcherCore::OnListed(std::string version) {
  version_ = std::move(version);
  list_from_ = ListFrom::kLastSeen;
  cut_lists_ = 0;
  Contact();
  const bool first = !std::exchange(synced_, true);
  if (first) log_.Info("watch_synced", {{"kind", target_.type.kind}, {"version", version_}});
  store_.EndReplace();
}

// ---- a streamed list --------------------------------------------------------------------------

void WatcherCore::OnListEvent(const WatchEvent& event) {
  if (event.kind == WatchEvent::Kind::kBookmark) {
    ++counters_.bookmarks;
    Mark mark = MarkOf(event.object);
    if (!mark.initial_end) return;
    listing_ = false;
    return OnListed(std::move(mark.version));
  }
  ++counters_.events;
  absl::Status status;
  if (event.kind != WatchEvent::Kind::kAdded) status = store_.DropListed(event.object);
  if (status.ok() && event.kind != WatchEvent::Kind::kDeleted) {
    status = store_.TakeListed(event.object);
  }
  if (!status.ok()) Undecodable(status);
}

/// A stream that ends before its list is whole has told nobody anything.
void WatcherCore::OnStreamedListEnd(const absl::Status& status) {
  listing_ = false;
  if (CannotStream(status)) return RefuseStreams(status);
  const bool cut = opened_ && !FailureOf(status);
  if (cut && ++cut_lists_ >= limits_.list_cuts_max) {
    return RefuseStreams(absl::UnknownError("streamed lists break off"));
  }
  if (!status.ok()) return OnListFailed(status);
  Fail(absl::UnknownError("the streamed list ended before it was whole"), Next::kList);
}

void WatcherCore::RefuseStreams(const absl::Status& why) {
  streams_ = false;
  listing_ = false;
  log_.Info("watch_list_refused",
            {{"kind", target_.type.kind}, {"why", std::string(why.message())}});
  List();
}

// ---- watch ------------------------------------------------------------------------------------

void WatcherCore::Watch() {
  WatchQuery query;
  query.resource_version = version_;
  Open(std::move(query));
}

void WatcherCore::Open(WatchQuery query) {
  ++counters_.watches;
  opened_ = false;
  events_in_watch_ = 0;
  query.label_selector = target_.label_selector;
  query.field_selector = target_.field_selector;
  const auto span = static_cast<uint64_t>((limits_.timeout_most - limits_.timeout_least).count());
  query.timeout = limits_.timeout_least + Duration(static_cast<int64_t>(random_.Below(span + 1)));
  WatchHandlers handlers;
  handlers.on_open = [this] { OnOpen(); };
  handlers.on_event = [this](const WatchEvent& event) { OnEvent(event); };
  handlers.on_end = [this](const absl::Status& status) { OnWatchEnd(status); };
  call_ = client_.Watch(target_.type, target_.ns, std::move(query), std::move(handlers));
}

void WatcherCore::OnOpen() {
  opened_ = true;
  opened_at_ = client_.loop().now();
  Contact();
  ArmSilence(opened_at_ + (listing_ ? limits_.list_silence_max : limits_.silence_max));
}

void WatcherCore::OnEvent(const WatchEvent& event) {
  Contact();
  ++events_in_watch_;
  empty_watches_ = 0;
  if (last_contact_ - opened_at_ >= limits_.healthy_after) backoff_.Reset();
  if (listing_) return OnListEvent(event);
  std::string version;
  if (event.kind == WatchEvent::Kind::kBookmark) {
    ++counters_.bookmarks;
    version = MarkOf(event.object).version;
  } else {
    ++counters_.events;
    const absl::Status status = store_.Apply(event, version);
    if (!status.ok()) Undecodable(status);
  }
  if (!version.empty()) version_ = version;
}

void WatcherCore::OnWatchEnd(const absl::Status& status) {
  client_.loop().Cancel(silence_timer_);
  silence_timer_ = 0;
  const Duration lived = opened_ ? client_.loop().now() - opened_at_ : Duration();
  if (lived >= limits_.healthy_after) backoff_.Reset();
  if (listing_) return OnStreamedListEnd(status);
  if (IsExpired(status)) return OnExpired(status);
  if (IsVersionTooLarge(status)) {
    list_from_ = ListFrom::kNewest;
    return Fail(status, Next::kList);
  }
  // The server refused, or said so in an ERROR event, or was not reached at all.
  if (!status.ok() && (!opened_ || FailureOf(status))) return Fail(status, Next::kWatch);
  if (events_in_watch_ == 0 && lived < limits_.empty_within) return OnEmptyWatch();
  empty_watches_ = 0;
  OnStreamEnd(status);
}

/// The ordinary end of a watch that worked, or a connection cut under it: go on where it stopped.
void WatcherCore::OnStreamEnd(const absl::Status& status) {
  if (!status.ok()) {
    ++counters_.failures;
    log_.Debug("watch_cut", {{"kind", target_.type.kind}, {"why", std::string(status.message())}});
  }
  // Bytes that are not a watch stay so if asked for again at once.
  if (absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status)) {
    return Fail(status, Next::kList);
  }
  Watch();
}

/// Some servers answer a version they have forgotten with an empty 200 (kubernetes issue 104171).
void WatcherCore::OnEmptyWatch() {
  const absl::Status why = absl::UnknownError("the watch ended at once");
  if (++empty_watches_ < limits_.empty_max) return Fail(why, Next::kWatch);
  empty_watches_ = 0;
  ++counters_.expired;
  Fail(why, Next::kList);
}

void WatcherCore::OnExpired(const absl::Status& status) {
  ++counters_.expired;
  // The first one is news of the server's compaction; one after another is a fault.
  if (client_.loop().now() - listed_at_ < limits_.backoff_most) return Fail(status, Next::kList);
  List();
}

void WatcherCore::ArmSilence(TimePoint when) {
  client_.loop().Cancel(silence_timer_);
  silence_timer_ = client_.loop().At(when, [this] {
    silence_timer_ = 0;
    OnSilence();
  });
}

void WatcherCore::OnSilence() {
  const TimePoint due = !listing_ ? last_contact_ + limits_.silence_max
                                  : std::min(last_contact_ + limits_.list_silence_max,
                                             opened_at_ + limits_.list_whole_within);
  if (client_.loop().now() < due) return ArmSilence(due);
  if (listing_) return RefuseStreams(absl::UnknownError("the streamed list does not end"));
  ++counters_.silent;
  log_.Warn("watch_silent",
            {{"kind", target_.type.kind}, {"silence_ms", Milliseconds(limits_.silence_max)}});
  Watch();
}

// ---- what goes wrong --------------------------------------------------------------------------

void WatcherCore::Contact() { last_contact_ = client_.loop().now(); }

void WatcherCore::Undecodable(const absl::Status& why) {
  ++counters_.undecodable;
  log_.Warn("object_undecodable",
            {{"kind", target_.type.kind}, {"why", std::string(why.message())}});
}

void WatcherCore::Fail(const absl::Status& why, Next next) {
  ++counters_.failures;
  const TimePoint now = client_.loop().now();
  const std::optional<ApiFailure> failure = FailureOf(why);
  const bool unreached = !failure && absl::IsUnavailable(why);
  Duration wait = unreached ? unreached_.Next(random_) : backoff_.Next(random_);
  // Each begins anew after the other: a server that has come back is not the one that went.
  (unreached ? backoff_ : unreached_).Reset();
  if (failure && failure->retry_after) {
    // At least as long as asked for; not all at the same moment.
    const Duration asked = *failure->retry_after;
    const auto spread = static_cast<uint64_t>((asked / 10).count());
    wait = std::max(wait, asked + Duration(static_cast<int64_t>(random_.Below(spread + 1))));
  }
  const bool said = unreached && why.message() == said_ && now - said_at_ < limits_.backoff_most;
  if (!said) {
    if (unreached) {
      said_at_ = now;
      said_ = std::string(why.message());
    }
    log_.Warn("watch_failed", {{"kind", target_.type.kind},
                               {"step", next == Next::kList ? "list" : "watch"},
                               {"wait_ms", Milliseconds(wait)},
                               {"why", std::string(why.message())}});
  }
  retry_timer_ = client_.loop().At(now + wait, [this, next] {
    retry_timer_ = 0;
    if (next == Next::kList) {
      List();
    } else {
      Watch();
    }
  });
}

}  // namespace rouse::k8s
