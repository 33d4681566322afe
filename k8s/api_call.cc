#include "k8s/api_call.h"

#include <algorithm>
#include <utility>

#include "k8s/api_status.h"
#include "k8s/json_split.h"

namespace rouse::k8s {
namespace {

constexpr size_t kRefusalBytesMax = 64 * 1024;
/// A Retry-After holds back its class of calls no longer than this; the caller may wait longer.
constexpr Duration kHoldMost = std::chrono::seconds(60);

std::optional<Duration> RetryAfter(const control::Headers& headers, WallTime wall) {
  const std::optional<std::string_view> value = control::FindHeader(headers, "Retry-After");
  if (!value) return std::nullopt;
  return ParseRetryAfter(*value, wall);
}

bool Success(int status) { return status >= 200 && status < 300; }

}  // namespace

// ---- one answer -------------------------------------------------------------------------------

UnaryCall::UnaryCall(ApiSession& session, ApiRequest request, BodyHandler handler)
    : session_(session), request_(std::move(request)), handler_(std::move(handler)) {
  const TimePoint now = session_.now();
  deadline_ = Later(now, request_.deadline);
  const TimePoint start = session_.budget(request_.call_class).Reserve(now);
  ++session_.counters.calls;
  if (start > now) ++session_.counters.throttled;
  deadline_timer_ = session_.loop().At(deadline_, [this] {
    deadline_timer_ = 0;
    End(absl::DeadlineExceededError(request_.method + " " + request_.path +
                                    (http_ ? ": no answer in time" : ": waited for its turn")));
  });
  if (start <= now) {
    Begin();
  } else {
    BeginAt(start);
  }
}

UnaryCall::~UnaryCall() {
  session_.loop().Cancel(deadline_timer_);
  session_.loop().Cancel(begin_timer_);
}

void UnaryCall::BeginAt(TimePoint when) {
  begin_timer_ = session_.loop().At(when, [this] {
    begin_timer_ = 0;
    Begin();
  });
}

/// The call goes on once there is a credential, else ends with `otherwise`, or with why there is
/// none.
void UnaryCall::Renew(const absl::Status& otherwise) {
  wait_ = session_.Renew(generation_, [this, otherwise](const absl::Status& status) {
    if (status.ok()) return Begin();
    End(otherwise.ok() ? status : otherwise);
  });
}

void UnaryCall::Begin() {
  http_ = nullptr;
  if (!session_.credentials.usable()) return Renew(absl::OkStatus());
  generation_ = session_.credentials.plugin_generation();
  hold_ = std::make_unique<Hold>(session_);
  status_ = 0;
  body_.clear();
  control::HttpRequest request = session_.Prepare(request_);
  const Duration left = deadline_ - session_.now();
  request.limits.head_timeout = left;
  request.limits.idle_timeout = left;
  control::HttpHandlers handlers;
  handlers.on_head = [this](int status, const control::Headers& headers) {
    OnHead(status, headers);
  };
  handlers.on_data = [this](std::string_view data) { OnData(data); };
  handlers.on_end = [this](const absl::Status& status) { OnEnd(status); };
  http_ = hold_->http().Start(std::move(request), std::move(handlers));
}

void UnaryCall::OnHead(int status, const control::Headers& headers) {
  status_ = status;
  retry_after_ = RetryAfter(headers, session_.loop().clock().wall());
}

void UnaryCall::OnData(std::string_view data) {
  if (body_.size() + data.size() > session_.options.limits.reply_bytes_max) {
    return End(absl::ResourceExhaustedError(request_.path + ": the answer is too large"));
  }
  body_ += data;
}

void UnaryCall::OnEnd(const absl::Status& status) {
  if (!status.ok()) {
    if (status_ == 0) session_.credentials.Doubt();
    return End(absl::Status(status.code(), request_.method + " " + request_.path + ": " +
                                               std::string(status.message())));
  }
  if (Success(status_)) return End(std::move(body_));
  const absl::Status refused = StatusFromReply(status_, body_, retry_after_);
  if (status_ == 401) {
    ++session_.counters.unauthorized;
    if (!std::exchange(repeated_, true)) return Renew(refused);
  }
  const std::optional<ApiFailure> failure = FailureOf(refused);
  if (failure && failure->retry_after && (status_ == 429 || status_ == 503)) {
    const Duration wait = std::min(*failure->retry_after, kHoldMost);
    session_.budget(request_.call_class).HoldUntil(session_.now() + wait);
  }
  End(refused);
}

void UnaryCall::End(absl::StatusOr<std::string> result) {
  session_.loop().Cancel(deadline_timer_);
  session_.loop().Cancel(begin_timer_);
  deadline_timer_ = 0;
  begin_timer_ = 0;
  if (!result.ok()) ++session_.counters.failed;
  http_ = nullptr;
  hold_ = nullptr;
  BodyHandler handler = std::exchange(handler_, nullptr);
  if (handler) handler(std::move(result));
}

// ---- a list -----------------------------------------------------------------------------------

ListCall::ListCall(ApiSession& session, std::string path, ListQuery query, ListHandlers handlers)
    : session_(session),
      path_(std::move(path)),
      query_(std::move(query)),
      handlers_(std::make_shared<ListHandlers>(std::move(handlers))) {
  Ask();
}

ListCall::~ListCall() {
  if (gone_ != nullptr) *gone_ = true;
}

void ListCall::Ask() {
  ApiRequest request;
  request.call_class = CallClass::kWatch;
  request.path = path_;
  if (!continue_token_.empty()) {
    request.query.emplace_back("limit", std::to_string(session_.options.limits.list_page));
    request.query.emplace_back("continue", continue_token_);
  } else if (query_.resource_version.empty()) {
    request.query.emplace_back("limit", std::to_string(session_.options.limits.list_page));
  } else {
    // With a limit, a version would mean exactly that version; without, not older than it.
    request.query.emplace_back("resourceVersion", query_.resource_version);
    request.query.emplace_back("resourceVersionMatch", "NotOlderThan");
  }
  if (!query_.label_selector.empty()) {
    request.query.emplace_back("labelSelector", query_.label_selector);
  }
  if (!query_.field_selector.empty()) {
    request.query.emplace_back("fieldSelector", query_.field_selector);
  }
  request.deadline = session_.options.limits.deadline;
  page_ = std::make_unique<UnaryCall>(
      session_, std::move(request),
      [this](absl::StatusOr<std::string> body) { OnPage(std::move(body)); });
}

void ListCall::OnPage(absl::StatusOr<std::string> body) {
  const std::shared_ptr<ListHandlers> handlers = handlers_;
  if (!body.ok()) {
    const size_t most = session_.options.limits.list_restarts_max;
    if (continue_token_.empty() || !IsExpired(body.status()) || restarts_ >= most) {
      return handlers->on_end(body.status());
    }
    ++restarts_;
    continue_token_.clear();
    Ask();
    if (handlers->on_restart) handlers->on_restart();
    return;
  }
  absl::StatusOr<ListPage> page = SplitList(*body);
  if (!page.ok()) return handlers->on_end(page.status());
  bool gone = false;
  gone_ = &gone;
  for (const std::string_view item : page->items) {
    handlers->on_item(item);
    if (gone) return;
  }
  gone_ = nullptr;
  continue_token_ = page->continue_token;
  if (!continue_token_.empty()) return Ask();
  handlers->on_end(std::move(page->resource_version));
}

// ---- a watch ----------------------------------------------------------------------------------

WatchCall::WatchCall(ApiSession& session, ApiRequest request, WatchHandlers handlers)
    : session_(session),
      request_(std::move(request)),
      handlers_(std::make_shared<WatchHandlers>(std::move(handlers))) {
  ++session_.counters.calls;
  const TimePoint now = session_.now();
  const TimePoint start = session_.budget(request_.call_class).Reserve(now);
  if (start <= now) {
    Begin();
    return;
  }
  ++session_.counters.throttled;
  BeginAt(start);
}

WatchCall::~WatchCall() {
  session_.loop().Cancel(begin_timer_);
  if (gone_ != nullptr) *gone_ = true;
}

void WatchCall::BeginAt(TimePoint when) {
  begin_timer_ = session_.loop().At(when, [this] {
    begin_timer_ = 0;
    Begin();
  });
}

void WatchCall::Renew(const absl::Status& otherwise) {
  wait_ = session_.Renew(generation_, [this, otherwise](const absl::Status& status) {
    if (status.ok()) return Begin();
    End(otherwise.ok() ? status : otherwise);
  });
}

void WatchCall::Begin() {
  http_ = nullptr;
  if (!session_.credentials.usable()) return Renew(absl::OkStatus());
  generation_ = session_.credentials.plugin_generation();
  hold_ = std::make_unique<Hold>(session_);
  status_ = 0;
  refusal_.clear();
  control::HttpRequest request = session_.Prepare(request_);
  request.limits.head_timeout = session_.options.limits.watch_head_timeout;
  request.limits.idle_timeout = Duration::max();
  control::HttpHandlers handlers;
  handlers.on_head = [this](int status, const control::Headers& headers) {
    OnHead(status, headers);
  };
  handlers.on_data = [this](std::string_view data) { OnData(data); };
  handlers.on_end = [this](const absl::Status& status) { OnEnd(status); };
  http_ = hold_->http().Start(std::move(request), std::move(handlers));
}

void WatchCall::OnHead(int status, const control::Headers& headers) {
  status_ = status;
  retry_after_ = RetryAfter(headers, session_.loop().clock().wall());
  const std::shared_ptr<WatchHandlers> handlers = handlers_;
  if (Success(status_) && handlers->on_open) handlers->on_open();
}

void WatchCall::OnData(std::string_view data) {
  if (!Success(status_)) {
    refusal_.append(data.substr(0, kRefusalBytesMax - refusal_.size()));
    return;
  }
  bool gone = false;
  gone_ = &gone;
  JsonStream::OnDocument on_document = [this, &gone](std::string_view document) {
    return OnDocument(document) && !gone;
  };
  const absl::Status status = stream_.Feed(data, on_document);
  if (gone) return;
  gone_ = nullptr;
  if (!status.ok()) End(status);
}

bool WatchCall::OnDocument(std::string_view document) {
  const absl::StatusOr<WatchDocument> parts = SplitWatchDocument(document);
  if (!parts.ok()) {
    End(parts.status());
    return false;
  }
  WatchEvent event;
  event.object = parts->object;
  if (parts->type == "ADDED") {
    event.kind = WatchEvent::Kind::kAdded;
  } else if (parts->type == "MODIFIED") {
    event.kind = WatchEvent::Kind::kModified;
  } else if (parts->type == "DELETED") {
    event.kind = WatchEvent::Kind::kDeleted;
  } else if (parts->type == "BOOKMARK") {
    event.kind = WatchEvent::Kind::kBookmark;
  } else if (parts->type == "ERROR") {
    End(StatusFromErrorEvent(parts->object));
    return false;
  } else {
    return true;  // a kind of event that came after us
  }
  const std::shared_ptr<WatchHandlers> handlers = handlers_;
  handlers->on_event(event);
  return true;
}

void WatchCall::OnEnd(const absl::Status& status) {
  if (!status.ok()) {
    if (status_ == 0) session_.credentials.Doubt();
    return End(status);
  }
  if (Success(status_)) return End(stream_.Finish());
  const absl::Status refused = StatusFromReply(status_, refusal_, retry_after_);
  if (status_ == 401) {
    ++session_.counters.unauthorized;
    if (!std::exchange(repeated_, true)) return Renew(refused);
  }
  End(refused);
}

void WatchCall::End(absl::Status status) {
  if (!status.ok()) ++session_.counters.failed;
  http_ = nullptr;
  hold_ = nullptr;
  const std::shared_ptr<WatchHandlers> handlers = std::exchange(handlers_, nullptr);
  if (handlers) handlers->on_end(std::move(status));
}

}  // namespace rouse::k8s
