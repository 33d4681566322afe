#pragma once
// What:      ObjectStore, the objects of one cluster: versions, uids, generations, conflicts,
//            graceful deletion, and the changes since a version for whoever watches.
// Owner:     LocalCluster; outlives every StoreWatch and ObjectRef holder that asks it again.
//            Control thread.
// Limits:    StoreLimits.
// Invariant: versions only grow; a stored object never changes (each write makes a new one); a
//            watch sees every change of its kind once, in order, or is told that it fell out of the
//            history.
// Never:     calls a watch from inside a write: changes go out in the loop's next turn.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>

#include "common/base/object_key.h"
#include "common/base/random.h"
#include "common/control/channel.h"
#include "k8s/local/api_error.h"
#include "k8s/local/json.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

struct StoreLimits {
  size_t history_max = 8192;   ///< changes kept per kind for watches
  size_t objects_max = 50000;  ///< per kind
  size_t events_max = 4096;    ///< objects of kind Event; the oldest go first
  uint64_t first_version = 1;  ///< where versions begin; higher than an earlier run's last
};

/// One version of one object; immutable.
struct StoredObject {
  const ResourceKind* kind = nullptr;
  ObjectKey key;  ///< ns is empty for what has no namespace
  std::string uid;
  uint64_t version = 0;
  uint64_t created = 0;  ///< its first version: the order of creation
  TextMap labels;
  std::shared_ptr<const Json> json;
  std::string text;

  [[nodiscard]] bool deleting() const;
  [[nodiscard]] TextMap annotations() const;
};
using ObjectRef = std::shared_ptr<const StoredObject>;

struct Change {
  enum class Kind : uint8_t { kAdded, kModified, kDeleted };
  Kind kind = Kind::kAdded;
  uint64_t version = 0;
  ObjectRef object;  ///< as it is now; of a deletion, as it last was, with the deletion's version
  ObjectRef before;  ///< empty for an addition
};

/// Which part of an object a write may change; the other parts stay.
enum class WritePart : uint8_t {
  kMain,    ///< all but status (where the kind has a status subresource)
  kStatus,  ///< status alone
  kAll,     ///< for controllers
};

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;  ///< absent: the pod's own
  std::string expected_uid;
  std::string expected_version;

  /// This very object, not another of its name.
  [[nodiscard]] static DeleteOptions Exactly(std::string uid) {
    DeleteOptions options;
    options.expected_uid = std::move(uid);
    return options;
  }
};

class ObjectStore;

/// Changes of one kind; destroying it ends them, also from inside its own handler.
class StoreWatch {
 public:
  StoreWatch(ObjectStore& store, uint64_t id) : store_(store), id_(id) {}
  ~StoreWatch();
  StoreWatch(const StoreWatch&) = delete;
  StoreWatch& operator=(const StoreWatch&) = delete;

 private:
  ObjectStore& store_;
  uint64_t id_;
};

struct StoreWatchHandlers {
  absl::AnyInvocable<void(const Change&)> on_change;
  /// The history no longer reaches back to where this watch is. Last.
  absl::AnyInvocable<void()> on_expired;
  /// Every change up to `version` (of whatever kind) has gone out. May be empty.
  absl::AnyInvocable<void(uint64_t version)> on_turn;
  /// The history waits for this one, so that it never expires. For controllers.
  bool reliable = false;
};

class ObjectStore {
 public:
  ObjectStore(control::Loop& loop, uint64_t seed, StoreLimits limits = {});
  ~ObjectStore();

  [[nodiscard]] ApiResult<ObjectRef> Create(const ResourceKind& kind, std::string_view ns,
                                            const Json& object);
  [[nodiscard]] ObjectRef Get(const ResourceKind& kind, const ObjectKey& key) const;
  /// In the order of namespace and name; an empty `ns` means every namespace.
  [[nodiscard]] std::vector<ObjectRef> List(const ResourceKind& kind, std::string_view ns) const;

  /// Read, `edit` a copy, write. A `metadata.resourceVersion` that edit leaves there must be the
  /// current one. No change: no new version. An error of `edit` is returned.
  using Edit = absl::FunctionRef<ApiError(Json& object)>;
  [[nodiscard]] ApiResult<ObjectRef> Write(const ResourceKind& kind, const ObjectKey& key,
                                           WritePart part, Edit edit);

  /// The object as it last was, or as it now is where it goes later (grace, finalizers).
  [[nodiscard]] ApiResult<ObjectRef> Delete(const ResourceKind& kind, const ObjectKey& key,
                                            const DeleteOptions& options);

  [[nodiscard]] uint64_t version() const { return version_; }
  /// False where changes after `version` are partly forgotten.
  [[nodiscard]] bool Remembers(const ResourceKind& kind, uint64_t version) const;
  /// Changes after `from`, which must be remembered.
  [[nodiscard]] std::unique_ptr<StoreWatch> Watch(const ResourceKind& kind, uint64_t from,
                                                  StoreWatchHandlers handlers);
  /// Forgets all history: new watches from versions of now or before are refused; open ones go on.
  void Compact();
  /// Counts the times Compact() was called, so that snapshots of lists can expire with it.
  [[nodiscard]] uint64_t compactions() const { return compactions_; }

  [[nodiscard]] control::Loop& loop() { return loop_; }
  [[nodiscard]] std::string RandomSuffix();

 private:
  friend class StoreWatch;
  struct Collection;
  struct Watcher;

  [[nodiscard]] Collection& collection(const ResourceKind& kind) const;
  ObjectRef Put(const ResourceKind& kind, const ObjectKey& key, Json object,
                const ObjectRef& before);
  ObjectRef Remove(const ObjectRef& object);
  void Record(Change change);
  [[nodiscard]] bool Awaited(const Change& change) const;
  void Trim(const ResourceKind& kind);
  void SchedulePump();
  void Pump();
  void Advance(uint64_t id, uint64_t until);
  [[nodiscard]] std::string NewUid();

  control::Loop& loop_;
  Random random_;
  StoreLimits limits_;
  uint64_t version_;
  uint64_t compactions_ = 0;
  std::map<const ResourceKind*, std::unique_ptr<Collection>> collections_;
  uint64_t next_watch_ = 1;
  std::map<uint64_t, std::shared_ptr<Watcher>> watchers_;
  bool pump_posted_ = false;
  std::shared_ptr<bool> alive_;
};

}  // namespace rouse::k8s::local
