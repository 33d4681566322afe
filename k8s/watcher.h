#pragma once
// What:      Watcher<T> keeps a listener told of every object of one kind: all of them, Synced,
//            then each change.
// Owner:     app; the listener must outlive it. Control thread.
// Limits:    WatchLimits (watcher_core.h).
// Invariant: OnUpsert and OnDelete tell a story without gaps: what vanished while the stream was
//            down is deleted when the next list shows it. An unchanged object is not told again.
// Never:     clears what it knows because the API is away.

#include <string>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "k8s/watcher_core.h"

namespace rouse::k8s {

template <typename T>
class WatchListener {
 public:
  virtual ~WatchListener() = default;
  virtual void OnUpsert(T object) = 0;
  virtual void OnDelete(const ObjectKey& key, const std::string& uid) = 0;
  /// Once, after the first list; and again after each later list that replaced what was known.
  virtual void OnSynced() = 0;
};

template <typename T>
class Watcher final : private WatcherCore::Store {
 public:
  Watcher(ApiClient& client, obs::Log& log, uint64_t seed, WatchListener<T>& listener,
          std::string ns = {}, std::string label_selector = {}, std::string field_selector = {},
          WatchLimits limits = {})
      : listener_(listener),
        core_(client, log, seed,
              {T::kType, std::move(ns), std::move(label_selector), std::move(field_selector)},
              limits, *this) {}

  void Start() { core_.Start(); }
  void Stop() { core_.Stop(); }
  [[nodiscard]] bool synced() const { return core_.synced(); }
  [[nodiscard]] TimePoint last_contact() const { return core_.last_contact(); }
  [[nodiscard]] const WatchCounters& counters() const { return core_.counters(); }
  [[nodiscard]] const std::string& version() const { return core_.version(); }
  /// How many objects are known.
  [[nodiscard]] size_t size() const { return known_.size(); }

 private:
  struct Known {
    std::string uid;
    std::string version;
    [[nodiscard]] bool Is(const ObjectMeta& meta) const {
      return uid == meta.uid && version == meta.resource_version;
    }
  };
  using KnownMap = absl::flat_hash_map<ObjectKey, Known>;

  void BeginReplace() override {
    listed_.clear();
    kept_.clear();
  }

  absl::Status TakeListed(std::string_view json) override {
    absl::StatusOr<T> object = T::Decode(json);
    if (object.ok()) {
      listed_.push_back(*std::move(object));
      return absl::OkStatus();
    }
    // It is there, though we cannot read it: what is known of it stands.
    const absl::StatusOr<ObjectMeta> meta = DecodeMetaOnly(json);
    if (meta.ok()) kept_.insert(meta->key());
    return object.status();
  }

  absl::Status DropListed(std::string_view json) override {
    const absl::StatusOr<ObjectMeta> meta = DecodeMetaOnly(json);
    if (!meta.ok()) return meta.status();
    std::erase_if(listed_, [&](const T& object) { return object.meta.key() == meta->key(); });
    kept_.erase(meta->key());
    return absl::OkStatus();
  }

  void EndReplace() override {
    KnownMap before = std::move(known_);
    known_.clear();
    for (const T& object : listed_) {
      known_[object.meta.key()] = {object.meta.uid, object.meta.resource_version};
    }
    for (const auto& [key, old] : before) {
      const auto now = known_.find(key);
      if (now == known_.end() && kept_.count(key) > 0) {
        known_[key] = old;
      } else if (now == known_.end() || now->second.uid != old.uid) {
        listener_.OnDelete(key, old.uid);
      }
    }
    for (T& object : listed_) {
      const auto old = before.find(object.meta.key());
      if (old == before.end() || !old->second.Is(object.meta)) {
        listener_.OnUpsert(std::move(object));
      }
    }
    BeginReplace();
    listener_.OnSynced();
  }

  absl::Status Apply(const WatchEvent& event, std::string& version) override {
    if (event.kind == WatchEvent::Kind::kDeleted) return ApplyDelete(event.object, version);
    absl::StatusOr<T> object = T::Decode(event.object);
    if (!object.ok()) return object.status();
    version = object->meta.resource_version;
    const ObjectKey key = object->meta.key();
    Known& known = known_[key];
    if (known.Is(object->meta)) return absl::OkStatus();  // told already
    const std::string old_uid = std::exchange(known.uid, object->meta.uid);
    known.version = version;
    if (!old_uid.empty() && old_uid != object->meta.uid) listener_.OnDelete(key, old_uid);
    listener_.OnUpsert(*std::move(object));
    return absl::OkStatus();
  }

  absl::Status ApplyDelete(std::string_view json, std::string& version) {
    const absl::StatusOr<ObjectMeta> meta = DecodeMetaOnly(json);
    if (!meta.ok()) return meta.status();
    version = meta->resource_version;
    const auto known = known_.find(meta->key());
    // A late word about an earlier object of the same name.
    if (known == known_.end() || known->second.uid != meta->uid) return absl::OkStatus();
    known_.erase(known);
    listener_.OnDelete(meta->key(), meta->uid);
    return absl::OkStatus();
  }

  WatchListener<T>& listener_;
  KnownMap known_;
  std::vector<T> listed_;
  absl::flat_hash_set<ObjectKey> kept_;  ///< listed, but not decodable
  WatcherCore core_;
};

}  // namespace rouse::k8s
