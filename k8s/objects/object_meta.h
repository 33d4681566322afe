#pragma once
// What:  ObjectMeta, what every Kubernetes object says about itself; ResourceType, where a kind
//        lives in the API's paths.
// Owner: values. Any thread.
// Never: keeps managedFields or anything else that we do not read.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "common/base/object_key.h"
#include "k8s/objects/timestamp.h"

namespace rouse::k8s {

class JsonNode;

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
};

struct ObjectMeta {
  std::string name;
  std::string ns;  ///< empty for cluster-wide kinds
  std::string uid;
  std::string resource_version;  ///< opaque: compare for equality only
  int64_t generation = 0;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  WallTime creation_time{};               ///< the epoch where absent
  std::optional<WallTime> deletion_time;  ///< set once a deletion has begun
  std::vector<OwnerReference> owners;

  [[nodiscard]] ObjectKey key() const { return {ns, name}; }
  [[nodiscard]] bool deleting() const { return deletion_time.has_value(); }
  /// The value of a label or annotation; empty where absent.
  [[nodiscard]] std::string_view label(const std::string& key) const;
  [[nodiscard]] std::string_view annotation(const std::string& key) const;
};

/// Reads `metadata` of an object. A name is required.
[[nodiscard]] ObjectMeta DecodeMeta(const JsonNode& object);

/// The same from JSON text, whatever the rest of the object is like.
[[nodiscard]] absl::StatusOr<ObjectMeta> DecodeMetaOnly(std::string_view json);

/// A kind of object as the API's paths name it.
struct ResourceType {
  std::string_view group;    ///< "" for the core group
  std::string_view version;  ///< "v1"
  std::string_view plural;   ///< "services"
  std::string_view kind;     ///< "Service"

  /// "v1" or "apps/v1".
  [[nodiscard]] std::string api_version() const;
};

/// `/api/v1/namespaces/NS/services`, `/apis/apps/v1/deployments` where `ns` is empty.
[[nodiscard]] std::string CollectionPath(const ResourceType& type, std::string_view ns);
/// `/api/v1/namespaces/NS/services/NAME[/SUBRESOURCE]`.
[[nodiscard]] std::string ObjectPath(const ResourceType& type, const ObjectKey& key,
                                     std::string_view subresource = {});

}  // namespace rouse::k8s
