// Simulated HTTP calls: the caller's handlers on one side, the service's responder on the other.
#include <utility>

#include "tests/support/control/sim_connection.h"

namespace rouse::control {
namespace {

std::string PlaceOf(const Origin& origin) {
  return origin.host + ":" + std::to_string(origin.port);
}

/// asking -> served -> head -> body -> ended, from the caller's side.
class SimCall final : public SimConnection {
 public:
  SimCall(SimCore& core, std::string place, HttpRequest request, HttpHandlers handlers)
      : SimConnection(core, std::move(place)),
        request_(std::move(request)),
        handlers_(std::move(handlers)) {}

  void Start();
  void Cancel();
  void ListenerGone() override;

  // The responder's side.
  void Begin(int status, Headers headers);
  absl::Status Write(std::string data);
  void Finish();
  void Abort();
  void OnGone(Task task) {
    if (serving_) on_gone_ = std::move(task);
  }
  [[nodiscard]] bool serving() const { return serving_; }
  [[nodiscard]] bool begun() const { return begun_; }

 private:
  void Arrive();
  void TellCaller(const absl::Status& status) override { EndCall(status); }
  void TellListener(const absl::Status&) override;
  void EndCall(absl::Status status);
  void ArmTimer(Duration wait, const char* what);
  template <typename F>
  void Tell(F tell);

  HttpRequest request_;
  HttpHandlers handlers_;
  Task on_gone_;
  TimerId timer_ = 0;
  bool serving_ = false;
  bool begun_ = false;
  bool told_end_ = false;
  bool cancelled_ = false;
  int telling_ = 0;
};

class SimResponder final : public HttpResponder {
 public:
  explicit SimResponder(std::shared_ptr<SimCall> call) : call_(std::move(call)) {}
  ~SimResponder() override {
    if (!call_->serving()) return;
    call_->begun() ? call_->Abort() : Respond(500, {}, "Internal Server Error\n");
  }
  void Respond(int status, Headers headers, std::string body) override {
    if (!call_->serving() || call_->begun()) return;
    call_->Begin(status, std::move(headers));
    if (!body.empty()) static_cast<void>(call_->Write(std::move(body)));
    call_->Finish();
  }
  void Begin(int status, Headers headers) override {
    if (call_->serving() && !call_->begun()) call_->Begin(status, std::move(headers));
  }
  absl::Status Write(std::string data) override { return call_->Write(std::move(data)); }
  void End() override {
    if (call_->serving() && call_->begun()) call_->Finish();
  }
  void Abort() override { call_->Abort(); }
  void OnGone(Task task) override { call_->OnGone(std::move(task)); }

 private:
  std::shared_ptr<SimCall> call_;
};

void SimCall::Start() {
  if (cancelled_) return;
  ArmTimer(request_.limits.head_timeout, "head timeout: no answer");
  const SimLink& link = core_.LinkTo(place());
  if (link.black_hole) {
    if (request_.limits.connect_timeout < request_.limits.head_timeout) {
      ArmTimer(request_.limits.connect_timeout, "connect timeout");
    }
    return;
  }
  if (link.refuse || core_.Find(place()) == nullptr) {
    Send(Side::kCaller, [this] {
      EndCall(absl::UnavailableError("connect " + place() + ": Connection refused"));
    });
    return;
  }
  core_.Join(shared_from_this());
  Send(Side::kListener, [this] { Arrive(); });
}

void SimCall::Arrive() {
  listener = core_.Find(place());
  if (listener == nullptr) return CutNow(absl::UnavailableError("read: Connection reset by peer"));
  IncomingRequest incoming;
  incoming.method = request_.method;
  incoming.target = request_.target;
  incoming.headers = request_.headers;
  incoming.headers.push_back({"Host", place()});
  incoming.body = request_.body;
  incoming.peer = "127.0.0.1:1";
  incoming.local = place();
  serving_ = true;
  auto self = std::static_pointer_cast<SimCall>(shared_from_this());
  listener->service.Serve(std::move(incoming), std::make_unique<SimResponder>(std::move(self)));
}

void SimCall::Begin(int status, Headers headers) {
  begun_ = true;
  Send(Side::kCaller, [this, status, headers = std::move(headers)] {
    ArmTimer(request_.limits.idle_timeout, "idle timeout: the answer stopped");
    Tell([&] {
      if (handlers_.on_head) handlers_.on_head(status, headers);
    });
  });
}

absl::Status SimCall::Write(std::string data) {
  if (!serving_ || !begun_) return absl::UnavailableError("the peer has gone");
  Send(Side::kCaller, [this, data = std::move(data)] {
    ArmTimer(request_.limits.idle_timeout, "idle timeout: the answer stopped");
    if (data.empty() || request_.method == "HEAD") return;
    Tell([&] {
      if (handlers_.on_data) handlers_.on_data(data);
    });
  });
  return absl::OkStatus();
}

void SimCall::Finish() {
  serving_ = false;
  on_gone_ = nullptr;
  Send(Side::kCaller, [this] { EndCall(absl::OkStatus()); });
}

void SimCall::Abort() {
  if (!serving_) return;
  serving_ = false;
  on_gone_ = nullptr;
  const char* what =
      begun_ ? "answer cut short: closed by the peer" : "no answer: closed by the peer";
  Send(Side::kCaller, [this, what] { EndCall(absl::UnavailableError(what)); });
}

void SimCall::ListenerGone() {
  serving_ = false;
  on_gone_ = nullptr;
  CutNow(absl::UnavailableError("read: Connection reset by peer"));
}

void SimCall::TellListener(const absl::Status&) {
  serving_ = false;
  if (on_gone_) std::exchange(on_gone_, nullptr)();
}

void SimCall::ArmTimer(Duration wait, const char* what) {
  core_.loop.Cancel(timer_);
  timer_ = 0;
  if (wait == Duration::max()) return;
  timer_ = core_.loop.At(Later(core_.loop.now(), wait), [weak = weak_from_this(), what] {
    const auto self = weak.lock();
    if (!self) return;
    auto& call = static_cast<SimCall&>(*self);
    call.EndCall(absl::DeadlineExceededError(what));
  });
}

void SimCall::EndCall(absl::Status status) {
  if (told_end_) return;
  told_end_ = true;
  core_.loop.Cancel(timer_);
  if (status.ok()) {
    End();
  } else {
    CutNow(status);
  }
  Tell([&] {
    if (handlers_.on_end) handlers_.on_end(std::move(status));
  });
}

template <typename F>
void SimCall::Tell(F tell) {
  if (cancelled_) return;
  const auto self = shared_from_this();
  ++telling_;
  tell();
  --telling_;
  if (cancelled_ && telling_ == 0) handlers_ = {};
}

void SimCall::Cancel() {
  core_.loop.Cancel(timer_);
  cancelled_ = told_end_ = true;
  if (telling_ == 0) handlers_ = {};
  Send(Side::kListener, [this] { CutNow(absl::CancelledError("cancelled")); });
}

class SimCallHandle final : public HttpCall {
 public:
  explicit SimCallHandle(std::shared_ptr<SimCall> call) : call_(std::move(call)) {}
  ~SimCallHandle() override { call_->Cancel(); }

 private:
  std::shared_ptr<SimCall> call_;
};

class SimClient final : public HttpClient {
 public:
  SimClient(SimCore& core, Origin origin) : core_(core), place_(PlaceOf(origin)) {}
  std::unique_ptr<HttpCall> Start(HttpRequest request, HttpHandlers handlers) override {
    auto call = std::make_shared<SimCall>(core_, place_, std::move(request), std::move(handlers));
    core_.loop.Post([call] { call->Start(); });
    return std::make_unique<SimCallHandle>(std::move(call));
  }

 private:
  SimCore& core_;
  std::string place_;
};

}  // namespace

std::unique_ptr<HttpClient> NewSimClient(SimCore& core, Origin origin) {
  return std::make_unique<SimClient>(core, std::move(origin));
}

}  // namespace rouse::control
