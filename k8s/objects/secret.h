#pragma once
// What:  Secret, the part of a kubernetes.io/tls one that serving needs.
// Owner: a value. Any thread.
// Never: logged.

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "k8s/objects/object_meta.h"

namespace rouse::k8s {

struct Secret {
  static constexpr ResourceType kType{"", "v1", "secrets", "Secret"};
  /// Of the field selector: others are never asked for.
  static constexpr const char* kTlsSelector = "type=kubernetes.io/tls";

  ObjectMeta meta;
  std::string type;
  std::string certificate;  ///< `tls.crt`, decoded
  std::string key;          ///< `tls.key`, decoded

  [[nodiscard]] static absl::StatusOr<Secret> Decode(std::string_view json);
};

}  // namespace rouse::k8s
