#pragma once
// What:      ApiReader: GET of one object, of its status and scale, and LIST with selectors, pages
//            and versions.
// Owner:     ApiServer. Control thread.
// Limits:    kSnapshotsMax unfinished paged lists are remembered; older ones answer 410.
// Invariant: the pages of one list show the objects of one version.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/local/api_target.h"
#include "k8s/local/object_store.h"
#include "k8s/local/selector.h"

namespace rouse::k8s::local {

inline constexpr size_t kSnapshotsMax = 64;

/// The label and field selectors of a request.
struct ObjectFilter {
  LabelSelector labels;
  FieldSelector fields;

  [[nodiscard]] static ApiResult<ObjectFilter> Of(const ApiTarget& target);
  [[nodiscard]] bool Matches(const StoredObject& object) const {
    return labels.Matches(object.labels) && fields.Matches(*object.json);
  }
  [[nodiscard]] bool empty() const { return labels.empty() && fields.empty(); }
};

/// The number in a `resourceVersion` parameter; 0 where it is empty.
[[nodiscard]] ApiResult<uint64_t> VersionOf(std::string_view text);

class ApiReader {
 public:
  explicit ApiReader(ObjectStore& store) : store_(store) {}

  [[nodiscard]] ApiReply Get(const ApiTarget& target);
  [[nodiscard]] ApiReply List(const ApiTarget& target);

 private:
  struct Snapshot {
    uint64_t version = 0;
    uint64_t compactions = 0;
    std::vector<ObjectRef> objects;  ///< all that matched
  };

  [[nodiscard]] ApiReply Continue(const ApiTarget& target, size_t limit);
  [[nodiscard]] ApiReply Page(const ApiTarget& target, uint64_t id, const Snapshot& snapshot,
                              size_t from, size_t limit);

  ObjectStore& store_;
  uint64_t next_snapshot_ = 1;
  std::map<uint64_t, Snapshot> snapshots_;
};

}  // namespace rouse::k8s::local
