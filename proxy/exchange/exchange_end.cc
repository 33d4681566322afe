// How an exchange ends: downstream finished, numbers counted, the record written, and itself given
// back.

#include <charconv>
#include <utility>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/hop_headers.h"

namespace rouse::proxy {
namespace {

/// `name;dur=12.3`: milliseconds with one decimal (Server-Timing, W3C).
std::string_view Timing(std::string_view name, Duration taken, ValueStore& values) {
  const int64_t tenths = std::chrono::duration_cast<std::chrono::microseconds>(taken).count() / 100;
  char digits[24];
  char* end = std::to_chars(digits, digits + 20, tenths / 10).ptr;
  *end++ = '.';
  *end++ = static_cast<char>('0' + tenths % 10);
  return values.Concat({name, ";dur=", {digits, static_cast<size_t>(end - digits)}});
}

/// Between two moments; zero where either did not happen or they are out of order.
Duration Between(TimePoint from, TimePoint to) {
  if (from == kNever || to == kNever || to < from) return Duration::zero();
  return to - from;
}

}  // namespace

/// What a client may see of a cold start, where the workload asks for it.
void Exchange::AddColdStartFields(http::HeadPatch& patch) {
  if (!workload_->policy().server_timing) return;
  const std::string_view held = Timing("held", Between(cold_->parked, cold_->slot), values_);
  const std::string_view first =
      Timing("first_byte", Between(cold_->slot, cold_->first_byte), values_);
  patch.Add("x-rouse-cold-start", cold_->cold ? "true" : "false");
  if (!cold_->cold) {
    patch.Add("server-timing", values_.Concat({held, ", ", first}));
    return;
  }
  const std::string_view wake = Timing("wake", Between(cold_->parked, cold_->reported), values_);
  const std::string_view pod = Timing("pod", Between(cold_->reported, cold_->ready), values_);
  patch.Add("server-timing", values_.Concat({held, ", ", wake, ", ", pod, ", ", first}));
}

void Exchange::CountColdStart() {
  if (!was_parked() || !cold_->cold || cold_->first_byte == kNever) return;
  WorkloadStats& stats = workload_->stats();
  stats.slot_to_first_byte.Observe(Between(cold_->slot, cold_->first_byte));
  stats.cold_start.Observe(Between(cold_->parked, cold_->first_byte));
}

void Exchange::StartRedirect(http::ServerStream& downstream, uint16_t port) {
  Begin(downstream);
  RunRedirect(port);
}

net::Detached Exchange::RunRedirect(uint16_t port) {
  const Ending ending{*this};
  LocalReply reply;
  BuildRedirect(downstream_->head(), port, request_id_, values_, reply);
  co_await SendReply(reply);
}

void Exchange::Record() {
  AccessRecord* const record = context_.access_log.Next();
  if (record == nullptr) return;
  const http::RequestHead& head = downstream_->head();
  const http::PeerInfo& peer = downstream_->peer();
  // Both clocks at one moment, which may be well after the turn's beginning: time less duration is
  // the arrival.
  record->wall = context_.shard.clock().wall();
  record->end = context_.shard.clock().now();
  record->start = arrival_;
  record->cold = cold_ ? *cold_ : ColdStartTimes{};
  record->bytes_in = downstream_->request_body().bytes_read();
  record->bytes_out = downstream_->response_body().bytes_written();
  record->status = status_;
  record->version = head.version;
  record->error = error_.kind;
  record->attempts = attempts_;
  record->tls = peer.tls;
  record->method = head.method;
  record->host = head.host;
  record->path = head.path;
  const ForwardPolicy& policy = hopped_ ? HoppedPolicy() : context_.options.forward;
  record->client = ClientAddressOf(head, peer, policy);
  record->workload = workload_ ? std::string_view(workload_->name()) : std::string_view();
  record->pod = endpoint_ ? std::string_view(endpoint_->spec->pod_name) : std::string_view();
  record->request_id = request_id_;
}

void Exchange::End() {
  context_.stats.bytes_received.Add(downstream_->request_body().bytes_read());
  context_.stats.bytes_sent.Add(downstream_->response_body().bytes_written());
  if (!error_.ok()) context_.stats.errors[static_cast<size_t>(error_.kind)].Add();
  if (workload_) {
    WorkloadStats& stats = workload_->stats();
    stats.requests[static_cast<size_t>(CodeClassOf(status_))].Add();
    if (!tunnel_) stats.request.Observe(context_.shard.now() - arrival_);
    CountColdStart();
  }
  Record();

  http::ServerStream& downstream = *std::exchange(downstream_, nullptr);
  const Error error = cut_ ? error_ : Error{};
  if (repeating_) context_.retries.Return();
  --context_.active;
  response_timer_.reset();
  workload_.Reset();
  endpoint_.Reset();
  avoid_ = nullptr;
  deadlines_ = {};
  cold_.reset();
  first_ = {};
  error_ = upload_error_ = {};
  status_ = 0;
  attempts_ = 0;
  first_read_ = body_given_ = response_begun_ = repeated_fresh_ = repeating_ = false;
  upload_over_ = last_sent_ = unsent_ = tunnel_ = hopped_ = hopping_ = cut_ = false;
  request_id_ = {};
  values_.Clear();
  context_.retire(*this);  // from here on it may run again
  downstream.OnGone({});
  downstream.Finish(error);
}

}  // namespace rouse::proxy
