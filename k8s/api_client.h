#pragma once
// What:      ApiClient, calls to a Kubernetes API server: get, list, watch, create, update, patch,
//            and the few calls on scale and leases that the programs make.
// Owner:     app, one per cluster; outlives every ApiCall. Control thread; no handler runs inline.
// Limits:    ApiLimits. Each call but a watch ends by its deadline, waits for the budget included.
// Invariant: a 401 re-reads the credentials and repeats the call once; nothing else is repeated.
// Never:     retries a write, or decides to.

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>

#include "common/control/channel.h"
#include "k8s/api_status.h"
#include "k8s/credentials.h"
#include "k8s/objects/event.h"
#include "k8s/objects/lease.h"
#include "k8s/objects/object_meta.h"
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
  BudgetLimit read{20, 60};
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

class ApiClient {
 public:
  ApiClient(control::Network& network, Credentials& credentials, ApiClientOptions options);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  [[nodiscard]] std::unique_ptr<ApiCall> Send(ApiRequest request, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> Get(const ResourceType& type, const ObjectKey& key,
                                             BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> List(const ResourceType& type, std::string_view ns,
                                              ListQuery query, ListHandlers handlers);
  [[nodiscard]] std::unique_ptr<ApiCall> Watch(const ResourceType& type, std::string_view ns,
                                               WatchQuery query, WatchHandlers handlers);
  [[nodiscard]] std::unique_ptr<ApiCall> Create(const ResourceType& type, std::string_view ns,
                                                std::string body, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> Update(const ResourceType& type, const ObjectKey& key,
                                                std::string body, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> MergePatch(std::string path, std::string body,
                                                    CallClass call_class, BodyHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> JsonPatch(std::string path, std::string body,
                                                   CallClass call_class, BodyHandler handler);

  /// The `scale` of a target. `call_class` is kWake where a request waits for it.
  [[nodiscard]] std::unique_ptr<ApiCall> ReadScale(const ScaleTarget& target, std::string_view ns,
                                                   CallClass call_class, ScaleHandler handler);
  /// kAborted where the object is no longer at `expected_version`; empty: whatever it is at.
  [[nodiscard]] std::unique_ptr<ApiCall> PatchScale(const ScaleTarget& target, std::string_view ns,
                                                    int32_t replicas,
                                                    std::string_view expected_version,
                                                    CallClass call_class, ScaleHandler handler);

  /// `deadline` bounds the call: it must be shorter than the lease's renew deadline.
  [[nodiscard]] std::unique_ptr<ApiCall> GetLease(const ObjectKey& key, Duration deadline,
                                                  LeaseHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> CreateLease(const Lease& lease, Duration deadline,
                                                     LeaseHandler handler);
  [[nodiscard]] std::unique_ptr<ApiCall> UpdateLease(const Lease& lease, Duration deadline,
                                                     LeaseHandler handler);

  [[nodiscard]] control::Loop& loop() { return network_.loop(); }
  [[nodiscard]] const ApiClientOptions& options() const { return options_; }
  [[nodiscard]] const Credentials& credentials() const { return credentials_; }
  [[nodiscard]] const ApiCounters& counters() const { return counters_; }

 private:
  friend class UnaryCall;
  friend class WatchCall;
  friend class Hold;
  struct Connections;  ///< one HttpClient and the calls on it

  Connections* Connect();  ///< the current ones, made anew if the TLS material changed
  void Release(Connections* connections);
  [[nodiscard]] control::HttpRequest Prepare(const ApiRequest& request) const;
  [[nodiscard]] TokenBudget& budget(CallClass call_class);

  control::Network& network_;
  Credentials& credentials_;
  ApiClientOptions options_;
  std::vector<TokenBudget> budgets_;
  std::list<std::unique_ptr<Connections>> connections_;
  ApiCounters counters_;
};

}  // namespace rouse::k8s
