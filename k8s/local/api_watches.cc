#include "k8s/local/api_watches.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

struct ApiWatches::Stream {
  const ResourceKind* kind = nullptr;
  std::string ns;
  ObjectFilter filter;
  bool bookmarks = false;
  uint64_t delivered = 0;
  std::string pending;  ///< lines of this turn
  std::unique_ptr<control::HttpResponder> responder;
  std::unique_ptr<StoreWatch> watch;
  control::TimerId timeout = 0;
  control::TimerId bookmark = 0;
};

ApiWatches::ApiWatches(ObjectStore& store, WatchOptions options)
    : store_(store), options_(options), alive_(std::make_shared<bool>(true)) {}

ApiWatches::~ApiWatches() {
  *alive_ = false;
  while (!watches_.empty()) Drop(watches_.begin()->first);
}

namespace {

std::string Line(std::string_view type, std::string_view object) {
  return absl::StrCat("{\"type\":\"", std::string(type), "\",\"object\":", std::string(object),
                      "}\n");
}

void Refuse(control::HttpResponder& responder, const ApiError& error) {
  const ApiReply reply = ApiReply::Failed(error);
  control::Headers headers = reply.headers;
  headers.push_back({"Content-Type", reply.content_type});
  responder.Respond(reply.status, std::move(headers), reply.body);
}

}  // namespace

void ApiWatches::Start(const ApiTarget& target, std::unique_ptr<control::HttpResponder> responder) {
  ApiResult<ObjectFilter> filter = ObjectFilter::Of(target);
  if (!filter.ok()) return Refuse(*responder, filter.error());
  const ApiResult<uint64_t> version = VersionOf(target.Query("resourceVersion"));
  if (!version.ok()) return Refuse(*responder, version.error());
  if (watches_.size() >= options_.watches_max) return Refuse(*responder, ErrorOfCode(429, 1));
  const bool initial =
      target.QueryFlag("sendInitialEvents") && streamed_lists_ != StreamedLists::kIgnore;
  if (initial && streamed_lists_ == StreamedLists::kRefuse) {
    ApiError off = ErrorOfCode(422, 0);
    off.reason = "Invalid";
    off.message =
        "sendInitialEvents is forbidden for watch unless the WatchList feature gate is "
        "enabled";
    return Refuse(*responder, off);
  }
  if (initial && target.Query("resourceVersionMatch") != "NotOlderThan") {
    return Refuse(*responder, BadRequest("sendInitialEvents requires resourceVersionMatch to be "
                                         "NotOlderThan"));
  }
  const uint64_t id = next_++;
  auto made = std::make_unique<Stream>();
  Stream& stream = *made;
  stream.kind = target.kind;
  stream.ns = target.ns;
  stream.filter = std::move(*filter);
  stream.bookmarks = target.QueryFlag("allowWatchBookmarks");
  stream.responder = std::move(responder);
  if (!target.name.empty()) {
    stream.filter.fields = *FieldSelector::Parse(*target.kind, "metadata.name=" + target.name);
  }
  watches_[id] = std::move(made);
  stream.responder->Begin(200, {{"Content-Type", "application/json"}});
  // The responder may be destroyed only after its own call has returned.
  stream.responder->OnGone([this, id, alive = alive_] {
    if (!*alive) return;
    store_.loop().Post([this, id, alive] {
      if (*alive) Drop(id);
    });
  });
  const Duration limit = std::chrono::seconds(target.QueryNumber("timeoutSeconds").value_or(0));
  stream.timeout = store_.loop().At(
      Later(store_.loop().now(), limit.count() > 0 ? limit : options_.timeout_default),
      [this, id] { OnTimeout(id); });
  ArmBookmark(id);
  if (*version > store_.version()) {
    Fail(stream, VersionTooLarge(target.Query("resourceVersion"), store_.version()));
  } else if (*version == 0 || initial) {
    SendInitial(stream, initial);
    Subscribe(id, store_.version());
  } else if (!store_.Remembers(*stream.kind, *version)) {
    Fail(stream, Expired(absl::StrCat("too old resource version: ", *version, " (",
                                      store_.version(), ")")));
  } else {
    Subscribe(id, *version);
  }
  Flush(id);
}

void ApiWatches::Subscribe(uint64_t id, uint64_t from) {
  Stream& stream = *watches_.at(id);
  stream.delivered = from;
  StoreWatchHandlers handlers;
  handlers.on_change = [this, id](const Change& change) {
    if (const auto found = watches_.find(id); found != watches_.end()) {
      OnChange(*found->second, change);
    }
  };
  handlers.on_turn = [this, id](uint64_t version) { OnTurn(id, version); };
  handlers.on_expired = [this, id] {
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    Fail(*found->second, Expired("The resourceVersion for the provided watch is too old."));
    Flush(id);
  };
  stream.watch = store_.Watch(*stream.kind, from, std::move(handlers));
}

void ApiWatches::SendInitial(Stream& stream, bool end_mark) {
  for (const ObjectRef& object : store_.List(*stream.kind, stream.ns)) {
    if (stream.filter.Matches(*object)) stream.pending += Line("ADDED", object->text);
  }
  stream.delivered = store_.version();
  if (end_mark && stream.bookmarks) stream.pending += Bookmark(stream, true);
}

/// An object that comes to match is ADDED to this watch, one that no longer does is DELETED from
/// it.
void ApiWatches::OnChange(Stream& stream, const Change& change) {
  if (!stream.ns.empty() && change.object->key.ns != stream.ns) return;
  const bool was = change.before != nullptr && stream.filter.Matches(*change.before);
  const bool is = change.kind != Change::Kind::kDeleted && stream.filter.Matches(*change.object);
  if (!was && !is) return;
  const char* type = !was ? "ADDED" : is ? "MODIFIED" : "DELETED";
  stream.pending += Line(type, change.object->text);
}

void ApiWatches::OnTurn(uint64_t id, uint64_t version) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  found->second->delivered = std::max(found->second->delivered, version);
  Flush(id);
}

std::string ApiWatches::Bookmark(const Stream& stream, bool end_mark) const {
  return Line(
      "BOOKMARK",
      absl::StrCat("{\"kind\":\"", std::string(stream.kind->kind), "\",\"apiVersion\":\"",
                   stream.kind->api_version(), "\",\"metadata\":{\"resourceVersion\":\"",
                   stream.delivered, "\",\"creationTimestamp\":null",
                   end_mark ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "",
                   "}}"));
}

void ApiWatches::ArmBookmark(uint64_t id) {
  Stream& stream = *watches_.at(id);
  if (!stream.bookmarks) return;
  stream.bookmark =
      store_.loop().At(Later(store_.loop().now(), options_.bookmark_interval), [this, id] {
        const auto found = watches_.find(id);
        if (found == watches_.end()) return;
        if (found->second->watch != nullptr)
          found->second->pending += Bookmark(*found->second, false);
        ArmBookmark(id);
        Flush(id);
      });
}

void ApiWatches::OnTimeout(uint64_t id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  if (found->second->bookmarks) found->second->pending += Bookmark(*found->second, false);
  Flush(id);
  const auto left = watches_.find(id);
  if (left == watches_.end() || silent_) return;
  left->second->responder->End();
  Drop(id);
}

void ApiWatches::Fail(Stream& stream, const ApiError& error) {
  stream.pending += Line("ERROR", error.StatusText());
  stream.watch.reset();
}

/// Writes this turn's lines; a watch that has failed ends with them.
void ApiWatches::Flush(uint64_t id) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || silent_) return;
  Stream& stream = *found->second;
  if (!stream.pending.empty()) {
    const absl::Status status = stream.responder->Write(std::exchange(stream.pending, {}));
    if (!status.ok()) {
      stream.responder->Abort();
      return Drop(id);
    }
  }
  if (stream.watch == nullptr) {
    stream.responder->End();
    Drop(id);
  }
}

void ApiWatches::CutAll() {
  while (!watches_.empty()) {
    watches_.begin()->second->responder->Abort();
    Drop(watches_.begin()->first);
  }
}

void ApiWatches::Drop(uint64_t id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  const std::unique_ptr<Stream> stream = std::move(found->second);
  watches_.erase(found);
  store_.loop().Cancel(stream->timeout);
  store_.loop().Cancel(stream->bookmark);
}

}  // namespace rouse::k8s::local
