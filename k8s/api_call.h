#pragma once
// What:      the three kinds of calls behind ApiClient: one answer (UnaryCall), a list in pages
//            (ListCall), and a stream of events (WatchCall).
// Owner:     whoever made the call, as an ApiCall; the session outlives it. Control thread.
// Limits:    ApiLimits.
// Invariant: the last handler runs at most once, and nothing of the call is touched after it.

#include <memory>
#include <string>

#include "k8s/api_session.h"
#include "k8s/api_types.h"
#include "k8s/json_stream.h"

namespace rouse::k8s {

/// One use of the session's connections: taken at construction, given back at the end of the scope.
class Hold {
 public:
  explicit Hold(ApiSession& session) : session_(session), connections_(session.Connect()) {}
  ~Hold() { session_.Release(connections_); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  [[nodiscard]] control::HttpClient& http() { return *connections_->http; }

 private:
  ApiSession& session_;
  ApiSession::Connections* connections_;
};

/// waiting (for the budget, for a credential) -> asking -> ended; from asking once back to waiting,
/// after a 401.
class UnaryCall final : public ApiCall {
 public:
  UnaryCall(ApiSession& session, ApiRequest request, BodyHandler handler);
  ~UnaryCall() override;

 private:
  void BeginAt(TimePoint when);
  void Begin();
  void OnHead(int status, const control::Headers& headers);
  void OnData(std::string_view data);
  void OnEnd(const absl::Status& status);
  void Renew(const absl::Status& otherwise);
  void End(absl::StatusOr<std::string> result);

  ApiSession& session_;
  ApiRequest request_;
  BodyHandler handler_;
  TimePoint deadline_;
  control::TimerId deadline_timer_ = 0;
  control::TimerId begin_timer_ = 0;
  CredentialWait wait_;
  uint64_t generation_ = 0;  ///< of the plugin's gift that it is asked with
  bool repeated_ = false;
  int status_ = 0;
  std::optional<Duration> retry_after_;
  std::string body_;
  std::unique_ptr<Hold> hold_;
  std::unique_ptr<control::HttpCall> http_;  ///< ends before the connections it runs on
};

/// page after page; a 410 on a later page starts over.
class ListCall final : public ApiCall {
 public:
  ListCall(ApiSession& session, std::string path, ListQuery query, ListHandlers handlers);
  ~ListCall() override;

 private:
  void Ask();
  void OnPage(absl::StatusOr<std::string> body);

  ApiSession& session_;
  std::string path_;
  ListQuery query_;
  std::shared_ptr<ListHandlers> handlers_;  ///< shared with the one that is running
  std::string continue_token_;
  size_t restarts_ = 0;
  bool* gone_ = nullptr;  ///< set where a handler under way outlives this call
  std::unique_ptr<ApiCall> page_;
};

/// waiting -> asking -> open -> ended; from asking once back to waiting, after a 401.
class WatchCall final : public ApiCall {
 public:
  WatchCall(ApiSession& session, ApiRequest request, WatchHandlers handlers);
  ~WatchCall() override;

 private:
  void BeginAt(TimePoint when);
  void Begin();
  void OnHead(int status, const control::Headers& headers);
  void OnData(std::string_view data);
  bool OnDocument(std::string_view document);
  void OnEnd(const absl::Status& status);
  void Renew(const absl::Status& otherwise);
  void End(absl::Status status);

  ApiSession& session_;
  ApiRequest request_;
  /// Shared with the handler that is running, which may destroy this call.
  std::shared_ptr<WatchHandlers> handlers_;
  control::TimerId begin_timer_ = 0;
  CredentialWait wait_;
  uint64_t generation_ = 0;  ///< of the plugin's gift that it is asked with
  bool repeated_ = false;
  int status_ = 0;
  std::optional<Duration> retry_after_;
  std::string refusal_;  ///< the start of a body that is no stream of events
  JsonStream stream_;
  bool* gone_ = nullptr;  ///< set where a handler under way outlives this call
  std::unique_ptr<Hold> hold_;
  std::unique_ptr<control::HttpCall> http_;
};

}  // namespace rouse::k8s
