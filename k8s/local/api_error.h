#pragma once
// What:      ApiError, why a call failed as Kubernetes says it (HTTP code, reason, message,
//            details), its Status object, and ApiResult<T>: a T or an ApiError.
// Owner:     a value. Any thread.
// Invariant: reasons, codes and wording follow apimachinery's errors, since clients match on them.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/object_key.h"
#include "k8s/local/json.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

struct ApiCause {
  std::string reason;  ///< FieldValueInvalid, ...
  std::string message;
  std::string field;
};

struct ApiError {
  int code = 0;  ///< 0: no error
  std::string reason;
  std::string message;
  std::string name;   ///< of the object in question
  std::string group;  ///< of its kind
  std::string kind;   ///< its plural (or kind, for Invalid)
  std::string uid;
  std::vector<ApiCause> causes;
  int retry_after_seconds = 0;

  [[nodiscard]] bool ok() const { return code == 0; }
  /// A `Status` object, as JSON text without a newline.
  [[nodiscard]] std::string StatusText() const;
};

/// A T, or why there is none.
template <typename T>
class ApiResult {
 public:
  ApiResult(T value) : value_(std::move(value)) {}         // NOLINT: meant to convert
  ApiResult(ApiError error) : error_(std::move(error)) {}  // NOLINT: meant to convert
  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const ApiError& error() const { return error_; }
  [[nodiscard]] T& operator*() { return *value_; }
  [[nodiscard]] const T& operator*() const { return *value_; }
  [[nodiscard]] T* operator->() { return &*value_; }
  [[nodiscard]] const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  ApiError error_;
};

[[nodiscard]] ApiError NotFound(const ResourceKind& kind, std::string_view name);
/// No such path at all.
[[nodiscard]] ApiError PathNotFound();
[[nodiscard]] ApiError AlreadyExists(const ResourceKind& kind, std::string_view name);
/// The object is at another version than the caller thought.
[[nodiscard]] ApiError Conflict(const ResourceKind& kind, std::string_view name);
[[nodiscard]] ApiError PreconditionFailed(const ResourceKind& kind, std::string_view name,
                                          std::string_view why);
[[nodiscard]] ApiError BadRequest(std::string message);
[[nodiscard]] ApiError Invalid(const ResourceKind& kind, std::string_view name,
                               std::vector<ApiCause> causes);
/// 410 for a list or watch from a version that is forgotten.
[[nodiscard]] ApiError Expired(std::string message);
[[nodiscard]] ApiError VersionTooLarge(std::string_view asked, uint64_t current);
[[nodiscard]] ApiError Unauthorized();
[[nodiscard]] ApiError MethodNotAllowed();
[[nodiscard]] ApiError UnsupportedMediaType(std::string_view accepted);
/// Any other code, as faults on demand ask for it.
[[nodiscard]] ApiError ErrorOfCode(int code, int retry_after_seconds);

}  // namespace rouse::k8s::local
