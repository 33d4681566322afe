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

/// What it keeps across a wait is what a parked request costs: one Refuse, and no value that comes
/// back by copy.
net::Detached Exchange::Run() {
  const Ending ending{*this};
  if (AnswersItself()) co_return co_await AnswerOptions();
  Error failure = Route();
  // Its home may move while it waits, to another proxy or to this one.
  for (bool moved = failure.ok(); moved;) {
    if (workload_->away()) {
      co_await Hop(failure);
    } else {
      const DemandEntry demand(workload_);  // counted until this scope ends, parked or not
      for (bool again = true; again;) {
        Slot slot = context_.admission.TryAcquire(*workload_, avoid_);
        if (!slot) failure = co_await Park(slot);  // while the workload sleeps or is full
        if (failure.ok()) failure = BeginAttempt(slot);
        if (!failure.ok()) break;
        if (!upstream_) co_await Dial(slot, failure);
        if (upstream_) failure = co_await Forward();  // head, both bodies, trailers
        again = !failure.ok() && Repeats(failure, slot);
        upstream_.Release();  // before the slot: whoever gets that finds the connection idle
        if (again) failure = {};
      }
    }
    moved = failure.kind == ErrorKind::kNotHome && failure.side == Side::kLocal && !hopped_;
    if (moved) failure = {};
  }
  error_ = failure;
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
  return context_.admission.Acquire({.slot = slot,
                                     .workload = workload_,
                                     .stream = *downstream_,
                                     .arrival = arrival_,
                                     .hold = deadlines_.hold,
                                     .client_deadline = deadlines_.exchange,
                                     .avoid = avoid_,
                                     .times = cold_,
                                     .may_wake = context_.can_wake});
}

/// Opens a connection for the slot; sets upstream_ or `failure`.
net::Task<void> Exchange::Dial(const Slot& slot, Error& failure) {
  LocalEndpoint& endpoint = slot.endpoint();
  const TimePoint by = std::min(deadlines_.exchange,
                                Later(context_.shard.now(), context_.options.dial.connect_timeout));
  const bool any = ProtocolFor(*endpoint.spec) == endpoint.spec->protocol;
  if (any && context_.pool.dialling(endpoint)) {
    upstream_ = co_await context_.pool.JoinDial(endpoint, by);
    if (upstream_) co_return;
    if (context_.shard.now() >= by) {
      failure = Judge({ErrorKind::kConnectTimeout, Side::kUpstream, true, "no stream was free"});
      co_return;
    }
  }
  if (!context_.pool.TakePlace(endpoint)) {
    const bool place = co_await WaitForPlace(endpoint, by);
    if (!place) {
      failure =
          Judge({ErrorKind::kConnectTimeout, Side::kUpstream, true, "no connection was free"});
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
    failure = Judge(wire.error());
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
net::Task<Error> Exchange::Forward() {
  downstream_->OnGone({&OnClientGone, this});
  if (downstream_->gone())
    co_return Error{ErrorKind::kDownstreamClosed, Side::kDownstream, false, "the client left"};
  const Step sent = SendRequest();
  if (sent == Step::kFailed && upstream_.stream().request_body().error().side != Side::kUpstream)
    co_return upstream_.stream().request_body().error();
  // Where sending failed the pod may have answered before it left.
  const bool whole = sent == Step::kFailed || (sent == Step::kDone && first_.end);
  const TimePoint by = whole ? ResponseStartBy() : deadlines_.exchange;
  net::Running upload;
  if (!whole) upload.Start(Upload());  // both directions at once
  // Heads as they come, then the response.
  const http::ResponseHead* head = nullptr;
  Error failure;
  for (bool more = true; more;) {
    failure = co_await net::Into(head, upstream_.stream().ReceiveHead(by));
    more = failure.ok() && IsEarly(*head);
    if (more) Relay(*head);
  }
  if (failure.ok() && !TryRespond(*head, failure)) failure = co_await RespondRest(*head);
  if (!failure.ok()) failure = Judge(failure);
  if (whole) co_return failure;
  if (!upload_over_) StopUpload(failure);
  co_await upload;
  response_timer_.reset();
  const bool client_failed = !upload_error_.ok() && upload_error_.side == Side::kDownstream;
  co_return client_failed && !response_begun_ ? upload_error_ : failure;
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

/// The rest of the request.
net::Task<void> Exchange::Upload() {
  upload_over_ = false;
  http::BodyWriter& to = upstream_.stream().request_body();
  upload_error_ = co_await net::ErrorOf(to.Flush(deadlines_.exchange));  // head and first piece
  if (upload_error_.ok() && !first_.end) {
    // This may take long, and nothing is read of the head meanwhile.
    downstream_->CompactHead();
    request_id_ = values_.ClearBut(request_id_);
    body_given_ = true;
    upload_error_ =
        co_await Pump(context_.shard, downstream_->request_body(), to, deadlines_.exchange);
  }
  EndUpload();
}

/// The response's clock starts at the request's end.
void Exchange::EndUpload() {
  upload_over_ = true;
  upload_error_ = Judge(upload_error_);
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
void Exchange::StopUpload(const Error& failure) {
  constexpr Error kAnswered{ErrorKind::kDownstreamClosed, Side::kLocal, false,
                            "answered before its end"};
  upstream_.stream().Cancel(failure.ok() ? kAnswered : failure);
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

/// Head and first bytes in one write. True where they are all of it, or `failure` says why it is
/// over.
bool Exchange::TryRespond(const http::ResponseHead& head, Error& failure) {
  if (hopping_ && SaysNotHome(head)) {
    failure = {ErrorKind::kNotHome, Side::kUpstream, true, "it is not that one's home"};
    return true;
  }
  response_timer_.reset();
  response_begun_ = true;
  if (head.status == 101) return false;
  if (cold_.was_parked()) cold_.first_byte = context_.shard.now();
  http::BodyReader& from = upstream_.stream().response_body();
  http::HeadPatch patch;
  PatchAnswer(head, patch);
  if (cold_.was_parked()) AddColdStartFields(patch);

  http::Piece piece;
  const Step read = from.TryRead(piece);
  if (read == Step::kFailed) {
    failure = from.error();
    return true;
  }
  if (context_.draining) downstream_->CloseAfter();
  status_ = head.status;
  last_sent_ = read == Step::kDone && piece.end && from.trailers() == nullptr;
  const Step sent = downstream_->TrySendHead(head, patch, piece.data, last_sent_);
  if (sent == Step::kFailed) failure = downstream_->response_body().error();
  return sent == Step::kFailed || (sent == Step::kDone && last_sent_);
}

/// What TryRespond could not send at once.
net::Task<Error> Exchange::RespondRest(const http::ResponseHead& head) {
  return head.status == 101 ? Upgrade(head) : RespondBody();
}

net::Task<Error> Exchange::RespondBody() {
  http::BodyReader& from = upstream_.stream().response_body();
  http::BodyWriter& to = downstream_->response_body();
  const Error unsent = co_await net::ErrorOf(to.Flush(deadlines_.exchange));  // the head, a piece
  if (!unsent.ok() || last_sent_) co_return unsent;
  co_return co_await Pump(context_.shard, from, to, deadlines_.exchange);
}

net::Task<Error> Exchange::Upgrade(const http::ResponseHead& head) {
  http::HeadPatch patch;
  PatchAnswer(head, patch);
  status_ = head.status;
  tunnel_ = true;
  Step sent = downstream_->TrySendHead(head, patch, {}, false);
  if (sent == Step::kMustWait) {
    const Result<void> flushed = co_await downstream_->response_body().Flush(deadlines_.exchange);
    sent = flushed ? Step::kDone : Step::kFailed;
  }
  if (sent == Step::kFailed) co_return downstream_->response_body().error();
  Tunnel tunnel(context_.shard, *downstream_, upstream_.stream(),
                workload_->policy().tunnel_idle_timeout);
  co_return co_await tunnel.Run();
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

bool Exchange::Repeats(const Error& failure, const Slot& slot) {
  const Repeat repeat = MayRepeat({.failure = failure,
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
