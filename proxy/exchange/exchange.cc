#include "proxy/exchange/exchange.h"

#include <algorithm>
#include <utility>

#include "proxy/exchange/hop_headers.h"
#include "proxy/exchange/pump.h"
#include "proxy/exchange/tunnel.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

using http::Step;

namespace {

/// More heads follow it.
bool IsEarly(const http::ResponseHead& head) { return head.status < 200 && head.status != 101; }

}  // namespace

Exchange::Exchange(ExchangeContext& context) : context_(context) {}

void Exchange::Start(http::ServerStream& downstream) {
  Begin(downstream);
  Run();
}

void Exchange::StartRefused(http::ServerStream& downstream, const Error& error) {
  Begin(downstream);
  RunRefused(error);
}

/// What it keeps across a wait is what a request costs that is parked, or that streams: one Refuse,
/// and errors in error_ rather than by value.
net::Detached Exchange::Run() {
  const Ending ending{*this};
  co_await context_.shard.AfterEvents();  // the client may have left since
  if (AnswersItself()) co_return co_await AnswerOptions();
  error_ = Route();
  // Its home may move while it waits, to another proxy or to this one.
  for (bool moved = error_.ok(); moved;) {
    if (workload_->away()) {
      co_await Hop();
    } else {
      const DemandEntry demand(workload_);  // counted until this scope ends, parked or not
      for (bool again = true; again;) {
        Slot slot = context_.admission.TryAcquire(*workload_, avoid_);
        if (!slot) error_ = co_await Park(slot);  // while the workload sleeps or is full
        if (error_.ok()) error_ = BeginAttempt(slot);
        if (!error_.ok()) break;
        if (!upstream_) co_await Dial(slot);
        if (upstream_) co_await Forward();  // head, both bodies, trailers
        again = !error_.ok() && Repeats(slot);
        upstream_.Release();  // before the slot: whoever gets that finds the connection idle
        if (again) error_ = {};
      }
    }
    moved = error_.kind == ErrorKind::kNotHome && error_.side == Side::kLocal && !hopped_;
    if (moved) error_ = {};
  }
  if (!error_.ok()) co_await Refuse();
}

net::Detached Exchange::RunRefused(Error error) {
  const Ending ending{*this};
  error_ = error;
  co_await Refuse();
}

void Exchange::Begin(http::ServerStream& downstream) {
  downstream_ = &downstream;
  arrival_ = context_.shard.now();
  request_id_ = RequestIdOf(downstream.head(), hopped_ ? HoppedPolicy() : context_.options.forward,
                            context_.shard.random(), values_);
  ++context_.active;
}

/// `OPTIONS *` asks the proxy, and so does an OPTIONS that may go no further (RFC 9110 section
/// 7.6.2).
bool Exchange::AnswersItself() const {
  const http::RequestHead& head = downstream_->head();
  if (head.method != "OPTIONS") return false;
  if (head.path == "*") return true;
  return head.fields.Find(http::HeaderId::kMaxForwards).value_or("") == "0";
}

/// Host and path -> workload_ and its deadlines; and what is not served at all.
Error Exchange::Route() {
  const http::RequestHead& head = downstream_->head();
  if (head.method == "TRACE" || head.method == "CONNECT") {
    return {ErrorKind::kMethodNotAllowed, Side::kDownstream, false, "not served"};
  }
  const proxy::Route* route = nullptr;
  if (context_.snapshot && context_.snapshot->routes)
    route = context_.snapshot->routes->Match(head.host, head.path);
  Workload* const workload =
      route != nullptr ? context_.admission.WorkloadAt(route->workload) : nullptr;
  if (workload == nullptr) return {ErrorKind::kNoRoute, Side::kLocal, false, "no route"};
  workload_ = WorkloadRef(workload);
  const Error refused = hopped_ ? MayHop() : MayForward(head, context_.options.forward);
  if (refused.ok())
    deadlines_ = DeadlinesOf(head, workload_->policy(), arrival_,
                             hopped_ || context_.options.forward.trusted_hops > 0);
  return refused;
}

Acquiring Exchange::Park(Slot& slot) {
  if (!cold_) cold_ = std::make_unique<ColdStart>();
  return context_.admission.Acquire({.slot = slot,
                                     .workload = workload_,
                                     .stream = *downstream_,
                                     .arrival = arrival_,
                                     .hold = deadlines_.hold,
                                     .client_deadline = deadlines_.exchange,
                                     .avoid = avoid_,
                                     .times = *cold_,
                                     .may_wake = context_.can_wake});
}

/// Opens a connection for the slot; sets upstream_ or error_.
net::Task<void> Exchange::Dial(const Slot& slot) {
  LocalEndpoint& endpoint = slot.endpoint();
  const TimePoint by = std::min(deadlines_.exchange,
                                Later(context_.shard.now(), context_.options.dial.connect_timeout));
  const bool any = ProtocolFor(*endpoint.spec) == endpoint.spec->protocol;
  if (any && context_.pool.dialling(endpoint)) {
    upstream_ = co_await context_.pool.JoinDial(endpoint, by);
    if (upstream_) co_return;
    if (context_.shard.now() >= by) {
      error_ = Judge({ErrorKind::kConnectTimeout, Side::kUpstream, true, "no stream was free"});
      co_return;
    }
  }
  if (!context_.pool.TakePlace(endpoint)) {
    const bool place = co_await WaitForPlace(endpoint, by);
    if (!place) {
      error_ = Judge({ErrorKind::kConnectTimeout, Side::kUpstream, true, "no connection was free"});
      co_return;
    }
  }
  const EndpointSetPtr set = endpoint.set;  // keeps `spec` while we dial
  const Endpoint& spec = *endpoint.spec;
  const UpstreamProtocol protocol = ProtocolFor(spec);
  context_.stats.dials.Add();
  Result<std::unique_ptr<http::ClientConnection>> wire =
      co_await proxy::Dial(context_.shard, spec, protocol, context_.options.dial, by);
  if (!wire) {
    context_.stats.dial_failures.Add();
    context_.pool.ReturnPlace(endpoint);
    if (wire.error().side == Side::kUpstream) context_.admission.ConnectFailed(slot);
    error_ = Judge(wire.error());
    co_return;
  }
  context_.admission.Connected(slot);
  if (protocol == UpstreamProtocol::kAgreed) endpoint.agreed_http1 = !(*wire)->multiplexes();
  upstream_ = context_.pool.Add(endpoint, spec.tls, std::move(*wire));
}

/// An upgrade goes by HTTP/1 where the pod leaves us the choice: by HTTP/2 few servers take it.
UpstreamProtocol Exchange::ProtocolFor(const Endpoint& endpoint) const {
  const bool choice = endpoint.protocol == UpstreamProtocol::kAgreed;
  return choice && !downstream_->head().upgrade.empty() ? UpstreamProtocol::kHttp1
                                                        : endpoint.protocol;
}

/// The slot is ours, but its connection idles at another shard: that one closes it first (15.6).
net::Task<bool> Exchange::WaitForPlace(LocalEndpoint& endpoint, TimePoint deadline) {
  constexpr Duration kLookAgain = std::chrono::milliseconds(1);
  struct Want {
    EndpointSlots& slots;
    explicit Want(EndpointSlots& s) : slots(s) { slots.WantPlace(); }
    ~Want() { slots.UnwantPlace(); }
  };
  const std::shared_ptr<EndpointSlots> shared = endpoint.shared;
  const Want want(*shared);
  net::Event pause(context_.shard);
  for (;;) {
    if (context_.make_place) context_.make_place(shared);
    const TimePoint now = context_.shard.now();
    if (now >= deadline) co_return false;
    co_await pause.Wait(std::min(deadline, Later(now, kLookAgain)));
    if (context_.pool.TakePlace(endpoint)) co_return true;
  }
}

/// Sends the request and brings the response back. An error that may be repeated has left nothing
/// behind.
net::Task<void> Exchange::Forward() {
  downstream_->OnGone({&OnClientGone, this});
  if (downstream_->gone()) {
    error_ = {ErrorKind::kDownstreamClosed, Side::kDownstream, false, "the client left"};
    co_return;
  }
  const Step sent = SendRequest();
  if (sent == Step::kFailed && upstream_.stream().request_body().error().side != Side::kUpstream) {
    error_ = upstream_.stream().request_body().error();
    co_return;
  }
  // Where sending failed the pod may have answered before it left.
  const bool whole = sent == Step::kFailed || (sent == Step::kDone && first_.end);
  const TimePoint by = whole ? ResponseStartBy() : deadlines_.exchange;
  net::Running upload;
  if (!whole) upload.Start(sent == Step::kDone ? Upload() : UploadBehindFlush());
  const http::ResponseHead* head = TakeHead();
  while (head == nullptr && error_.ok()) {
    co_await upstream_.stream().Wait(by);
    head = TakeHead();
  }
  if (error_.ok() && !TryRespond(*head)) co_await RespondRest(*head);
  if (!error_.ok()) error_ = Judge(error_);
  if (whole) co_return;
  if (!upload_over_) StopUpload();
  co_await upload;
  response_timer_.reset();
  const bool client_failed = !upload_error_.ok() && upload_error_.side == Side::kDownstream;
  if (client_failed && !response_begun_) error_ = upload_error_;
}

/// The response's head; null where it must be waited for. What comes before it is relayed.
const http::ResponseHead* Exchange::TakeHead() {
  for (;;) {
    const Result<const http::ResponseHead*> head = upstream_.stream().TryReceiveHead();
    if (!head) error_ = head.error();
    if (!head || *head == nullptr) return nullptr;
    if (!IsEarly(**head)) return *head;
    Relay(**head);
  }
}

Step Exchange::SendRequest() {
  if (hopped_ || hopping_) return SendHopRequest();
  const http::RequestHead& head = downstream_->head();
  http::HeadPatch patch;
  PatchRequest(head, downstream_->peer(), context_.options.forward, request_id_,
               deadlines_.Remaining(context_.shard.now()), values_, patch);
  return upstream_.stream().TrySendHead(head, patch, first_.data, first_.end);
}

/// A slot has been granted: not before is the body read, so only now does `100 Continue` go out.
/// Sets upstream_ where a connection is idle.
Error Exchange::BeginAttempt(const Slot& slot) {
  if (slot.endpoint().spec->hop != hopping_)
    return {ErrorKind::kNotHome, Side::kLocal, true, "the home has moved"};
  ++attempts_;
  endpoint_ = EndpointRef(&slot.endpoint());
  const Error failure = ReadFirstPiece();
  const Endpoint& spec = *slot.endpoint().spec;
  const bool any = !repeated_fresh_ && ProtocolFor(spec) == spec.protocol;
  if (failure.ok() && any) upstream_ = context_.pool.TakeIdle(slot.endpoint());
  return failure;
}

/// What can be sent along with the head. A second attempt finds the same piece.
Error Exchange::ReadFirstPiece() {
  if (first_read_) return {};
  if (downstream_->head().body == http::BodyKind::kNone) {
    first_ = {.data = {}, .end = true};
  } else {
    http::BodyReader& body = downstream_->request_body();
    const Step step = body.TryRead(first_);
    if (step == Step::kFailed) return body.error();
    if (step == Step::kMustWait) {
      first_ = {};
      return {};  // to be read again
    }
    // Trailers do not fit into the head's write.
    if (first_.end && body.trailers() != nullptr) first_.end = false;
  }
  first_read_ = true;
  return {};
}

/// The rest of the request, beside the response. It may take long, and nothing is read of the head
/// meanwhile.
net::Task<void> Exchange::Upload() {
  upload_over_ = false;
  body_given_ = true;
  downstream_->CompactHead();
  request_id_ = values_.ClearBut(request_id_);
  return Pump(context_.shard, downstream_->request_body(), upstream_.stream().request_body(),
              deadlines_.exchange, {&OnUploaded, this});
}

/// The same where head and first piece could not go out at once.
net::Task<void> Exchange::UploadBehindFlush() {
  upload_over_ = false;
  http::BodyWriter& to = upstream_.stream().request_body();
  const Error failure = co_await net::ErrorOf(to.Flush(deadlines_.exchange));
  if (failure.ok() && !first_.end) co_return co_await Upload();
  EndUpload(failure);
}

void Exchange::OnUploaded(void* self, const Error& failure) {
  static_cast<Exchange*>(self)->EndUpload(failure);
}

/// The response's clock starts at the request's end.
void Exchange::EndUpload(const Error& failure) {
  upload_over_ = true;
  upload_error_ = Judge(failure);
  if (upload_error_.ok()) {
    if (response_begun_) return;
    response_timer_ = std::make_unique<ResponseTimer>(&OnResponseLate, this);
    response_timer_->Arm(context_.shard.timers(), ResponseStartBy());
  } else if (upload_error_.side == Side::kDownstream) {
    // A body that fails must not look complete to the pod (security.md 1.1).
    upstream_.stream().Cancel(upload_error_);
  }
}

/// Nobody wants the rest of a request that has been answered (security.md P04).
void Exchange::StopUpload() {
  constexpr Error kAnswered{ErrorKind::kDownstreamClosed, Side::kLocal, false,
                            "answered before its end"};
  upstream_.stream().Cancel(error_.ok() ? kAnswered : error_);
  downstream_->CancelRead(kAnswered);
}

void Exchange::PatchAnswer(const http::ResponseHead& head, http::HeadPatch& patch) {
  if (hopping_) return PatchHopped(head, patch);
  PatchResponse(head, context_.options.forward, request_id_, values_, patch);
}

void Exchange::Relay(const http::ResponseHead& head) {
  response_begun_ = true;
  http::HeadPatch patch;
  PatchAnswer(head, patch);
  // A client that takes no 1xx now does without.
  (void)downstream_->TrySendInformational(head, patch);
}

/// Head and first bytes in one write. True where they are all of it, or error_ says why it is
/// over.
bool Exchange::TryRespond(const http::ResponseHead& head) {
  if (hopping_ && SaysNotHome(head)) {
    error_ = {ErrorKind::kNotHome, Side::kUpstream, true, "it is not that one's home"};
    return true;
  }
  response_timer_.reset();
  response_begun_ = true;
  if (head.status == 101) return false;
  if (was_parked()) cold_->first_byte = context_.shard.now();
  http::BodyReader& from = upstream_.stream().response_body();
  http::HeadPatch patch;
  PatchAnswer(head, patch);
  if (was_parked()) AddColdStartFields(patch);

  http::Piece piece;
  const Step read = from.TryRead(piece);
  if (read == Step::kFailed) {
    error_ = from.error();
    return true;
  }
  if (context_.draining) downstream_->CloseAfter();
  status_ = head.status;
  last_sent_ = read == Step::kDone && piece.end && from.trailers() == nullptr;
  const Step sent = downstream_->TrySendHead(head, patch, piece.data, last_sent_);
  unsent_ = sent == Step::kMustWait;
  if (sent == Step::kFailed) error_ = downstream_->response_body().error();
  return sent == Step::kFailed || (sent == Step::kDone && last_sent_);
}

/// What TryRespond could not send at once.
net::Task<void> Exchange::RespondRest(const http::ResponseHead& head) {
  if (head.status == 101) return Upgrade(head);
  return unsent_ ? RespondBehindFlush() : RespondBody();
}

net::Task<void> Exchange::RespondBody() {
  return Pump(context_.shard, upstream_.stream().response_body(), downstream_->response_body(),
              deadlines_.exchange, {&OnResponded, this});
}

void Exchange::OnResponded(void* self, const Error& failure) {
  static_cast<Exchange*>(self)->error_ = failure;
}

net::Task<void> Exchange::RespondBehindFlush() {
  error_ = co_await net::ErrorOf(downstream_->response_body().Flush(deadlines_.exchange));
  if (error_.ok() && !last_sent_) co_await RespondBody();
}

/// A patch has no place in the frame of what may last for days.
Step Exchange::SendUpgrade(const http::ResponseHead& head) {
  http::HeadPatch patch;
  PatchAnswer(head, patch);
  return downstream_->TrySendHead(head, patch, {}, false);
}

net::Task<void> Exchange::Upgrade(const http::ResponseHead& head) {
  status_ = head.status;
  tunnel_ = true;
  Step sent = SendUpgrade(head);
  if (sent == Step::kMustWait) {
    const Result<void> flushed = co_await downstream_->response_body().Flush(deadlines_.exchange);
    sent = flushed ? Step::kDone : Step::kFailed;
  }
  if (sent == Step::kFailed) {
    error_ = downstream_->response_body().error();
    co_return;
  }
  Tunnel tunnel(context_.shard, *downstream_, upstream_.stream(),
                workload_->policy().tunnel_idle_timeout);
  error_ = co_await tunnel.Run();
}

TimePoint Exchange::ResponseStartBy() const {
  const Duration own = workload_->policy().response_start_timeout;
  Duration timeout = own > Duration::zero() ? own : context_.options.response_start_timeout;
  if (hopping_) timeout += workload_->policy().hold_timeout;  // it may be parked there
  return std::min(deadlines_.exchange, Later(context_.shard.now(), timeout));
}

/// A wait that ended at the exchange's own deadline says so, whatever it waited for.
Error Exchange::Judge(Error error) const {
  if (error.ok() || context_.shard.now() < deadlines_.exchange) return error;
  switch (error.kind) {
    case ErrorKind::kConnectTimeout:
    case ErrorKind::kResponseStartTimeout:
    case ErrorKind::kUpstreamTimeout:
    case ErrorKind::kBodyTimeout:
    case ErrorKind::kDownstreamTimeout:
      return {ErrorKind::kDeadlineExceeded, Side::kLocal, false, "the request's deadline passed"};
    default:
      return error;
  }
}

bool Exchange::Repeats(const Slot& slot) {
  const Repeat repeat = MayRepeat({.failure = error_,
                                   .response_begun = response_begun_,
                                   .body_given = body_given_,
                                   .idempotent = http::IsIdempotent(downstream_->head().method),
                                   .untouched = upstream_ && upstream_.stream().untouched(),
                                   .repeated_fresh = repeated_fresh_,
                                   .attempts = attempts_});
  if (repeat == Repeat::kNo || downstream_->gone()) return false;
  if (context_.shard.now() >= deadlines_.exchange) return false;
  if (!repeating_ && !context_.retries.Take(context_.active)) return false;
  repeating_ = true;
  // A connection that died idle seldom dies alone: the repeat goes over a fresh one, to another pod
  // if there is one.
  repeated_fresh_ = true;
  avoid_ = &slot.endpoint();
  upload_error_ = {};
  workload_->stats().retries.Add();
  return true;
}

/// The one place where an error becomes an answer, or an end without one.
net::Task<void> Exchange::Refuse() {
  cut_ = downstream_->head_sent() || error_.kind == ErrorKind::kDownstreamClosed;
  if (cut_) co_return;
  LocalReply reply;
  ReplyContext with{.request = &downstream_->head(), .request_id = request_id_};
  if (workload_) with.retry_after = workload_->retry_after();
  BuildLocalReply(error_, with, values_, reply);
  co_await SendReply(reply);
}

net::Task<void> Exchange::AnswerOptions() {
  LocalReply reply;
  BuildPlainReply(204, kAllowedMethods, request_id_, reply);
  co_await SendReply(reply);
}

net::Task<void> Exchange::SendReply(LocalReply& reply) {
  constexpr Duration kReplyTimeout = std::chrono::seconds(10);
  if (reply.close || context_.draining) downstream_->CloseAfter();
  status_ = reply.head.status;
  const Step sent = downstream_->TrySendHead(reply.head, reply.patch, reply.body, true);
  cut_ = sent == Step::kFailed;
  if (sent == Step::kMustWait) {
    const TimePoint by = Later(context_.shard.now(), kReplyTimeout);
    const Result<void> flushed = co_await downstream_->response_body().Flush(by);
    cut_ = flushed.has_error();
  }
}

void Exchange::OnClientGone(void* self) {
  auto& exchange = *static_cast<Exchange*>(self);
  if (exchange.upstream_)
    exchange.upstream_.stream().Cancel(
        {ErrorKind::kDownstreamClosed, Side::kDownstream, false, "the client left"});
}

void Exchange::OnResponseLate(void* self) {
  auto& exchange = *static_cast<Exchange*>(self);
  if (exchange.upstream_ && !exchange.response_begun_)
    exchange.upstream_.stream().Cancel(
        {ErrorKind::kResponseStartTimeout, Side::kUpstream, false, "no response in time"});
}

void Exchange::Abort(const Error& error) {
  if (upstream_) upstream_.stream().Cancel(error);
  downstream_->CancelRead(error);
}

}  // namespace rouse::proxy
