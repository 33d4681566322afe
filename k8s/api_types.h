#pragma once
// What:   what a call to the API takes and gives: limits, requests, queries, events and handlers.
// Owner:  values; an ApiCall belongs to whoever made the call. Control thread.
// Limits: ApiLimits.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>

#include "common/base/clock.h"
#include "k8s/objects/lease.h"
#include "k8s/objects/scale.h"
#include "k8s/token_budget.h"

namespace rouse::k8s {

struct ApiLimits {
  Duration deadline = std::chrono::seconds(15);  ///< of one call, and of one page of a list
  Duration watch_head_timeout = std::chrono::seconds(15);
  size_t reply_bytes_max = 128 << 20;
  size_t list_page = 500;
  size_t list_restarts_max = 3;  ///< a 410 on a later page begins the list again
  BudgetLimit lease{10, 20};
  BudgetLimit wake{200, 400};
  BudgetLimit write{50, 100};
  BudgetLimit watch{20, 100};
  BudgetLimit read{50, 200};
  BudgetLimit event{1, 25};
};

struct ApiClientOptions {
  std::string component;  ///< "rouse-proxy": User-Agent and field manager
  std::string version = "0.1.0";
  ApiLimits limits;
};

using ApiQuery = std::vector<std::pair<std::string, std::string>>;

struct ApiRequest {
  std::string method = "GET";
  std::string path;  ///< from /api or /apis on
  ApiQuery query;    ///< unescaped
  std::string content_type = "application/json";
  std::string body;
  CallClass call_class = CallClass::kRead;
  Duration deadline{};  ///< 0: ApiLimits::deadline
};

/// Takes the body of a 2xx answer, or what went wrong (api_status.h). Exactly once, unless
/// cancelled.
using BodyHandler = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
using ScaleHandler = absl::AnyInvocable<void(absl::StatusOr<Scale>)>;
using LeaseHandler = absl::AnyInvocable<void(absl::StatusOr<Lease>)>;

/// A call in progress. Destroying it cancels, also from inside one of its own handlers.
class ApiCall {
 public:
  virtual ~ApiCall() = default;
};

struct ListQuery {
  std::string label_selector;
  std::string field_selector;
  /// "0": whatever the server has cached; "": the newest; else not older than this. Not sent with
  /// `continue`.
  std::string resource_version;
};

struct ListHandlers {
  absl::AnyInvocable<void(std::string_view object)> on_item;
  /// Forget the items so far: the list begins again.
  absl::AnyInvocable<void()> on_restart;
  /// The list's resourceVersion.
  absl::AnyInvocable<void(absl::StatusOr<std::string>)> on_end;
};

struct WatchQuery {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  Duration timeout = std::chrono::seconds(300);  ///< asked of the server, whole seconds
  /// A streamed list: what there is comes first, then a bookmark that says so
  /// (k8s.io/initial-events-end).
  bool send_initial = false;
};

struct WatchEvent {
  enum class Kind : uint8_t { kAdded, kModified, kDeleted, kBookmark };
  Kind kind = Kind::kAdded;
  std::string_view object;  ///< JSON; valid during the call
};

struct WatchHandlers {
  absl::AnyInvocable<void()> on_open;  ///< the head said 200
  absl::AnyInvocable<void(const WatchEvent&)> on_event;
  /// OK at the stream's ordinary end. An ERROR event ends the watch with its status.
  absl::AnyInvocable<void(absl::Status)> on_end;
};

struct ApiCounters {
  uint64_t calls = 0;
  uint64_t failed = 0;
  uint64_t unauthorized = 0;
  uint64_t throttled = 0;  ///< waited for the budget or a Retry-After
};

}  // namespace rouse::k8s
