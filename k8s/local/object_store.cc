#include "k8s/local/object_store.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <utility>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "common/base/check.h"

namespace rouse::k8s::local {

namespace json = boost::json;

bool StoredObject::deleting() const {
  return Find(*json, {"metadata", "deletionTimestamp"}) != nullptr;
}

TextMap StoredObject::annotations() const { return TextMapAt(*json, {"metadata", "annotations"}); }

struct ObjectStore::Collection {
  std::map<ObjectKey, ObjectRef> objects;
  std::deque<Change> history;
  uint64_t forgotten = 0;  ///< changes up to this version are gone
};

struct ObjectStore::Watcher {
  const ResourceKind* kind = nullptr;
  uint64_t cursor = 0;
  std::deque<Change> backlog;  ///< saved from a compaction; goes out first
  StoreWatchHandlers handlers;
  bool gone = false;
};

StoreWatch::~StoreWatch() {
  const auto found = store_.watchers_.find(id_);
  if (found == store_.watchers_.end()) return;
  found->second->gone = true;
  store_.watchers_.erase(found);
}

ObjectStore::ObjectStore(control::Loop& loop, uint64_t seed, StoreLimits limits)
    : loop_(loop),
      random_(seed),
      limits_(limits),
      version_(limits.first_version),
      alive_(std::make_shared<bool>(true)) {
  for (const ResourceKind& kind : AllKinds()) {
    collections_[&kind] = std::make_unique<Collection>();
    collections_[&kind]->forgotten = version_;
  }
}

ObjectStore::~ObjectStore() { *alive_ = false; }

ObjectStore::Collection& ObjectStore::collection(const ResourceKind& kind) const {
  const auto found = collections_.find(&kind);
  CHECK(found != collections_.end());
  return *found->second;
}

namespace {

bool IsNameText(std::string_view name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                              c == '.';
                     }) &&
         name.front() != '-' && name.front() != '.' && name.back() != '-' && name.back() != '.';
}

ApiCause NameCause(std::string_view name) {
  return {"FieldValueInvalid",
          absl::StrCat("Invalid value: \"", std::string(name),
                       "\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                       "characters, '-' or '.', and must start and end with an alphanumeric "
                       "character"),
          "metadata.name"};
}

/// The parts of metadata that belong to the server, taken from the object as it was.
void KeepSystemFields(Json& object, const Json& before) {
  JsonObject& metadata = EnsureObject(object, {"metadata"});
  for (const char* field : {"name", "namespace", "uid", "creationTimestamp", "generation",
                            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    const Json* old = Find(before, {"metadata", field});
    if (old == nullptr) {
      metadata.erase(field);
    } else {
      metadata[field] = *old;
    }
  }
  metadata.erase("managedFields");
  metadata.erase("selfLink");
}

void CopyMember(Json& to, const Json& from, std::string_view key) {
  const Json* value = Find(from, {key});
  if (value == nullptr) {
    Erase(to, {key});
  } else {
    Ensure(to, {key}) = *value;
  }
}

bool SameMember(const Json& a, const Json& b, std::string_view key) {
  const Json* left = Find(a, {key});
  const Json* right = Find(b, {key});
  if (left == nullptr || right == nullptr) return left == right;
  return *left == *right;
}

/// What a change of counts as a new generation: everything but metadata and status.
bool SameSpec(const Json& a, const Json& b) { return SameMember(a, b, "spec"); }

}  // namespace

std::string ObjectStore::RandomSuffix() {
  // No vowels and no digits that look like letters, as Kubernetes does, so that no word comes out.
  static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  for (int i = 0; i < 5; ++i) text += kLetters[random_.Below(kLetters.size())];
  return text;
}

std::string ObjectStore::NewUid() {
  const uint64_t a = random_.Next();
  const uint64_t b = random_.Next();
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<uint32_t>(a >> 32),
                static_cast<uint32_t>(a >> 16) & 0xffff, static_cast<uint32_t>(a) & 0xfff,
                (static_cast<uint32_t>(b >> 48) & 0x3fff) | 0x8000,
                static_cast<unsigned long long>(b & 0xffffffffffffULL));
  return text;
}

ApiResult<ObjectRef> ObjectStore::Create(const ResourceKind& kind, std::string_view ns,
                                         const Json& object) {
  Collection& all = collection(kind);
  Json copy = object;
  JsonObject& metadata = EnsureObject(copy, {"metadata"});
  std::string name = TextAt(copy, {"metadata", "name"});
  if (name.empty()) {
    const std::string prefix = TextAt(copy, {"metadata", "generateName"});
    if (prefix.empty()) {
      return Invalid(kind, "",
                     {{"FieldValueRequired", "Required value: name or generateName is required",
                       "metadata.name"}});
    }
    name = prefix + RandomSuffix();
  }
  if (!IsNameText(name)) return Invalid(kind, name, {NameCause(name)});
  const ObjectKey key{kind.namespaced ? std::string(ns) : std::string(), name};
  if (all.objects.contains(key)) return AlreadyExists(kind, name);
  if (kind.namespaced && !collection(NamespaceKind()).objects.contains(ObjectKey{"", key.ns})) {
    return NotFound(NamespaceKind(), key.ns);
  }
  if (all.objects.size() >= limits_.objects_max) {
    return ErrorOfCode(429, 1);
  }
  if (&kind == &EventKind()) Trim(kind);
  KeepSystemFields(copy, json::object{{"metadata", json::object{{"name", name}}}});
  if (kind.namespaced) metadata["namespace"] = key.ns;
  metadata["uid"] = NewUid();
  metadata["creationTimestamp"] = TimeText(loop_.clock().wall());
  if (Find(copy, {"spec"}) != nullptr) metadata["generation"] = 1;
  copy.get_object()["apiVersion"] = kind.api_version();
  copy.get_object()["kind"] = std::string(kind.kind);
  return Put(kind, key, std::move(copy), nullptr);
}

/// Keeps the number of Events bounded: the oldest tenth goes, without history.
void ObjectStore::Trim(const ResourceKind& kind) {
  Collection& all = collection(kind);
  if (all.objects.size() < limits_.events_max) return;
  std::vector<ObjectRef> oldest = List(kind, "");
  const size_t drop = std::max<size_t>(1, limits_.events_max / 10);
  std::partial_sort(oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(drop),
                    oldest.end(),
                    [](const ObjectRef& a, const ObjectRef& b) { return a->version < b->version; });
  for (size_t i = 0; i < drop; ++i) Remove(oldest[i]);
}

ObjectRef ObjectStore::Get(const ResourceKind& kind, const ObjectKey& key) const {
  const Collection& all = collection(kind);
  const auto found = all.objects.find(key);
  return found == all.objects.end() ? nullptr : found->second;
}

std::vector<ObjectRef> ObjectStore::List(const ResourceKind& kind, std::string_view ns) const {
  const Collection& all = collection(kind);
  std::vector<ObjectRef> result;
  auto at = ns.empty() ? all.objects.begin() : all.objects.lower_bound({std::string(ns), ""});
  for (; at != all.objects.end() && (ns.empty() || at->first.ns == ns); ++at) {
    result.push_back(at->second);
  }
  return result;
}

ApiResult<ObjectRef> ObjectStore::Write(const ResourceKind& kind, const ObjectKey& key,
                                        WritePart part, Edit edit) {
  const ObjectRef before = Get(kind, key);
  if (before == nullptr) return NotFound(kind, key.name);
  const Json& old = *before->json;
  Json copy = old;
  if (ApiError error = edit(copy); !error.ok()) return error;
  if (!copy.is_object()) return BadRequest("the object is not a JSON object");
  const std::string expected = TextAt(copy, {"metadata", "resourceVersion"});
  if (!expected.empty() && expected != std::to_string(before->version)) {
    return Conflict(kind, key.name);
  }
  const std::string uid = TextAt(copy, {"metadata", "uid"});
  if (!uid.empty() && uid != before->uid) {
    return PreconditionFailed(kind, key.name,
                              absl::StrCat("Precondition failed: UID in precondition: ", uid,
                                           ", UID in object meta: ", before->uid));
  }
  if (part == WritePart::kStatus) {
    Json whole = old;
    CopyMember(whole, copy, "status");
    copy = std::move(whole);
  } else if (part == WritePart::kMain && kind.has_status) {
    CopyMember(copy, old, "status");
  }
  KeepSystemFields(copy, old);
  CopyMember(copy, old, "apiVersion");
  CopyMember(copy, old, "kind");
  if (copy == old) return before;
  if (!SameSpec(copy, old)) {
    Ensure(copy, {"metadata", "generation"}) = NumberAt(old, {"metadata", "generation"}, 0) + 1;
  }
  ObjectRef now = Put(kind, key, std::move(copy), before);
  const bool held = !ArrayAt(*now->json, {"metadata", "finalizers"}).empty();
  if (now->deleting() && !held && !ArrayAt(old, {"metadata", "finalizers"}).empty()) {
    return Remove(now);
  }
  return now;
}

ApiResult<ObjectRef> ObjectStore::Delete(const ResourceKind& kind, const ObjectKey& key,
                                         const DeleteOptions& options) {
  const ObjectRef object = Get(kind, key);
  if (object == nullptr) return NotFound(kind, key.name);
  if (!options.expected_uid.empty() && options.expected_uid != object->uid) {
    return PreconditionFailed(
        kind, key.name,
        absl::StrCat("Precondition failed: UID in precondition: ", options.expected_uid,
                     ", UID in object meta: ", object->uid));
  }
  if (!options.expected_version.empty() &&
      options.expected_version != std::to_string(object->version)) {
    return Conflict(kind, key.name);
  }
  // Only a pod that runs somewhere is given time; its runner deletes it with grace 0 in the end.
  int64_t grace = 0;
  if (&kind == &PodKind() && !TextAt(*object->json, {"spec", "nodeName"}).empty()) {
    grace = options.grace_seconds.value_or(
        NumberAt(*object->json, {"spec", "terminationGracePeriodSeconds"}, 30));
  }
  const bool held = !ArrayAt(*object->json, {"metadata", "finalizers"}).empty();
  if (grace <= 0 && !held) return Remove(object);
  const bool sooner =
      NumberAt(*object->json, {"metadata", "deletionGracePeriodSeconds"}, 0) > grace;
  if (object->deleting() && !sooner) return object;
  Json copy = *object->json;
  JsonObject& metadata = EnsureObject(copy, {"metadata"});
  metadata["deletionTimestamp"] = TimeText(loop_.clock().wall() + std::chrono::seconds(grace));
  metadata["deletionGracePeriodSeconds"] = std::max<int64_t>(grace, 0);
  return Put(kind, key, std::move(copy), object);
}

ObjectRef ObjectStore::Put(const ResourceKind& kind, const ObjectKey& key, Json object,
                           const ObjectRef& before) {
  auto stored = std::make_shared<StoredObject>();
  stored->kind = &kind;
  stored->key = key;
  stored->version = ++version_;
  stored->created = before == nullptr ? stored->version : before->created;
  EnsureObject(object, {"metadata"})["resourceVersion"] = std::to_string(stored->version);
  stored->uid = TextAt(object, {"metadata", "uid"});
  stored->labels = TextMapAt(object, {"metadata", "labels"});
  stored->text = JsonText(object);
  stored->json = std::make_shared<const Json>(std::move(object));
  collection(kind).objects[key] = stored;
  Record({before == nullptr ? Change::Kind::kAdded : Change::Kind::kModified, stored->version,
          stored, before});
  return stored;
}

ObjectRef ObjectStore::Remove(const ObjectRef& object) {
  collection(*object->kind).objects.erase(object->key);
  auto last = std::make_shared<StoredObject>(*object);
  last->version = ++version_;
  Json copy = *object->json;
  EnsureObject(copy, {"metadata"})["resourceVersion"] = std::to_string(last->version);
  last->text = JsonText(copy);
  last->json = std::make_shared<const Json>(std::move(copy));
  Record({Change::Kind::kDeleted, last->version, last, object});
  return last;
}

void ObjectStore::Record(Change change) {
  Collection& all = collection(*change.object->kind);
  all.history.push_back(std::move(change));
  while (all.history.size() > limits_.history_max && !Awaited(all.history.front())) {
    all.forgotten = all.history.front().version;
    all.history.pop_front();
  }
  SchedulePump();
}

bool ObjectStore::Awaited(const Change& change) const {
  return std::any_of(watchers_.begin(), watchers_.end(), [&](const auto& entry) {
    const Watcher& watcher = *entry.second;
    return watcher.handlers.reliable && watcher.kind == change.object->kind &&
           watcher.cursor < change.version;
  });
}

bool ObjectStore::Remembers(const ResourceKind& kind, uint64_t version) const {
  return version >= collection(kind).forgotten;
}

std::unique_ptr<StoreWatch> ObjectStore::Watch(const ResourceKind& kind, uint64_t from,
                                               StoreWatchHandlers handlers) {
  CHECK(Remembers(kind, from));
  auto watcher = std::make_shared<Watcher>();
  watcher->kind = &kind;
  watcher->cursor = from;
  watcher->handlers = std::move(handlers);
  const uint64_t id = next_watch_++;
  watchers_[id] = std::move(watcher);
  if (from < version_) SchedulePump();
  return std::make_unique<StoreWatch>(*this, id);
}

void ObjectStore::Compact() {
  ++compactions_;
  for (auto& [id, watcher] : watchers_) {
    const Collection& all = collection(*watcher->kind);
    for (const Change& change : all.history) {
      if (change.version > watcher->cursor) watcher->backlog.push_back(change);
    }
    watcher->cursor = version_ + 1;
  }
  ++version_;  // So that even a new watch from the newest version is too old.
  for (auto& [kind, all] : collections_) {
    all->history.clear();
    all->forgotten = version_;
  }
  SchedulePump();
}

void ObjectStore::SchedulePump() {
  if (pump_posted_) return;
  pump_posted_ = true;
  loop_.Post([this, alive = alive_] {
    if (*alive) Pump();
  });
}

/// Takes every watch up to the version of now; what handlers write goes out in the next turn.
void ObjectStore::Pump() {
  pump_posted_ = false;
  const uint64_t until = version_;
  std::vector<uint64_t> ids;
  ids.reserve(watchers_.size());
  for (const auto& [id, watcher] : watchers_) ids.push_back(id);
  for (uint64_t id : ids) Advance(id, until);
}

void ObjectStore::Advance(uint64_t id, uint64_t until) {
  const auto found = watchers_.find(id);
  if (found == watchers_.end()) return;
  const std::shared_ptr<Watcher> watcher = found->second;
  const Collection& all = collection(*watcher->kind);
  while (!watcher->gone && !watcher->backlog.empty()) {
    const Change change = std::move(watcher->backlog.front());
    watcher->backlog.pop_front();
    watcher->handlers.on_change(change);
  }
  while (!watcher->gone && watcher->cursor < until) {
    if (watcher->cursor < all.forgotten) {
      watchers_.erase(id);
      if (watcher->handlers.on_expired) watcher->handlers.on_expired();
      return;
    }
    const auto next = std::upper_bound(
        all.history.begin(), all.history.end(), watcher->cursor,
        [](uint64_t version, const Change& change) { return version < change.version; });
    if (next == all.history.end() || next->version > until) {
      watcher->cursor = until;
      break;
    }
    watcher->cursor = next->version;
    // A copy: what the handler writes moves the history.
    watcher->handlers.on_change(Change(*next));
  }
  if (!watcher->gone && watcher->handlers.on_turn) watcher->handlers.on_turn(until);
}

}  // namespace rouse::k8s::local
