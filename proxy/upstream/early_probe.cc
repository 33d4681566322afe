#include "proxy/upstream/early_probe.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/backoff.h"
#include "common/base/check.h"
#include "common/net/event.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

namespace {

/// What the kubelet calls itself, so that a function tells our question from a user's as it tells
/// the kubelet's.
constexpr std::string_view kUserAgent = "kube-probe/rouse";

/// HealthCheckResponse with status SERVING: a message of two bytes, field 1 = 1.
constexpr std::string_view kServing("\0\0\0\0\2\x08\1", 7);
/// Longer names than this fit no length byte.
constexpr size_t kGrpcServiceMost = 120;

/// A HealthCheckRequest in gRPC's framing: field 1 is the service, where one is named.
std::string HealthCheckRequest(const std::string& service) {
  std::string message;
  if (!service.empty()) message = std::string("\x0a") + static_cast<char>(service.size()) + service;
  std::string framed("\0\0\0\0", 4);
  framed += static_cast<char>(message.size());
  return framed + message;
}

bool Eligible(const Endpoint& spec) {
  if (spec.probe.grpc_service.size() > kGrpcServiceMost) return false;
  return spec.probe.kind != ProbeSpec::Kind::kNone && !spec.addresses.empty();
}

std::string AuthorityOf(const Endpoint& spec) {
  const std::string& ip = spec.addresses.front();
  const bool v6 = ip.find(':') != std::string::npos;
  return (v6 ? "[" + ip + "]" : ip) + ":" + std::to_string(spec.probe.port);
}

}  // namespace

EarlyProbe::EarlyProbe(net::Shard& shard, const EarlyProbeOptions& options, const DialOptions& dial,
                       ShardStats& stats, EarlyProbeWires wires)
    : shard_(shard), options_(options), dial_(dial), stats_(stats), wires_(std::move(wires)) {
  auto unverified = net::TlsClientContext::Make({.verify = false});
  CHECK(unverified.ok());
  unverified_ = *std::move(unverified);
}

EarlyProbe::~EarlyProbe() { CHECK(running_.empty()); }

void EarlyProbe::Start(uint32_t place, const EndpointRef& endpoint) {
  if (stopping_ || running_.size() >= options_.running_max) return;
  if (!Eligible(*endpoint->spec) || !Wanted(place, *endpoint)) return;
  if (!running_.insert(endpoint.get()).second) return;
  net::Detach(Run(place, endpoint));
}

bool EarlyProbe::Wanted(uint32_t place, const LocalEndpoint& endpoint) {
  return !stopping_ && !endpoint.leaving && !endpoint.probed_ready &&
         endpoint.spec->state == EndpointState::kStarting && wires_.wanted(place);
}

net::Task<void> EarlyProbe::Run(uint32_t place, EndpointRef endpoint) {
  Backoff backoff(options_.wait_first, options_.wait_most);
  net::Event pause(shard_);
  if (shard_.now() < endpoint->spec->probe_from) co_await pause.Wait(endpoint->spec->probe_from);
  while (Wanted(place, *endpoint)) {
    const bool ready = co_await Try(place, endpoint);
    if (ready) break;
    const Duration fair = options_.spacing * static_cast<int64_t>(running_.size());
    const Duration wait = std::max(backoff.Next(shard_.random()), fair);
    co_await pause.Wait(Later(shard_.now(), wait));
  }
  running_.erase(endpoint.get());
}

/// One question. Its own slot on a limited endpoint: Kubernetes may say "ready" while it is under
/// way.
net::Task<bool> EarlyProbe::Try(uint32_t place, EndpointRef endpoint) {
  const std::shared_ptr<EndpointSlots> held = endpoint->counted ? endpoint->shared : nullptr;
  if (held != nullptr && !held->TryTake(endpoint->set->policy.concurrency_limit)) co_return false;
  stats_.probes.Add();
  const net::TlsClientPtr tls = endpoint->spec->tls;
  Answer answer = co_await Ask(*endpoint->spec);
  if (held != nullptr) held->Release();

  const bool still_starting = Wanted(place, *endpoint);
  if (answer.ready && still_starting) {
    stats_.probes_ready.Add();
    const bool usable =
        answer.connection != nullptr && endpoint->spec->tls == tls && wires_.on_probe_connection;
    if (usable) wires_.on_probe_connection(endpoint, std::move(answer.connection));
    wires_.on_ready(place, endpoint->key());
  } else if (held != nullptr && wires_.on_slot_freed) {
    wires_.on_slot_freed(place);
  }
  co_return answer.ready;
}

/// `target` is a copy: a snapshot may replace the endpoint's meanwhile.
net::Task<EarlyProbe::Answer> EarlyProbe::Ask(Endpoint target) {
  const net::TlsClientPtr traffic = target.tls;
  if (!target.probe.tls)
    target.tls = nullptr;
  else if (!traffic || traffic->verify())
    target.tls = unverified_;
  const bool grpc = target.probe.kind == ProbeSpec::Kind::kGrpc;
  const UpstreamProtocol asked = grpc ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1;
  // An httpGet probe speaks HTTP/1, as the kubelet's does, whatever the traffic speaks.
  const bool same_wire =
      target.key.port == target.probe.port && target.tls == traffic &&
      (target.protocol == asked || (target.protocol == UpstreamProtocol::kAgreed && !grpc));
  target.key.port = target.probe.port;
  const TimePoint deadline = Later(shard_.now(), target.probe.timeout);
  Answer answer;
  Result<std::unique_ptr<http::ClientConnection>> dialled =
      co_await Dial(shard_, target, asked, dial_, deadline);
  if (!dialled) co_return answer;
  std::unique_ptr<http::ClientConnection> connection = std::move(*dialled);
  if (target.probe.kind == ProbeSpec::Kind::kTcpSocket) {
    answer.ready = true;
  } else {
    http::ClientStream& stream = connection->Open();
    if (grpc) {
      answer.ready = co_await AskGrpc(stream, target, deadline);
    } else {
      answer.ready = co_await AskHttp(stream, target, deadline);
    }
    stream.Finish();
  }
  const bool fit = answer.ready && same_wire && connection->streams_free() > 0;
  if (fit) answer.connection = std::move(connection);
  co_return answer;
}

/// SERVING is ready (grpc.health.v1, Health/Check), as the kubelet has it.
net::Task<bool> EarlyProbe::AskGrpc(http::ClientStream& stream, const Endpoint& spec,
                                    TimePoint deadline) {
  const std::string authority = AuthorityOf(spec);
  const std::string request = HealthCheckRequest(spec.probe.grpc_service);
  http::HeadPatch patch;
  patch.Add("content-type", "application/grpc");
  patch.Add("user-agent", kUserAgent);
  http::RequestHead head;
  head.method = "POST";
  head.scheme = "http";
  head.authority = authority;
  head.host = authority;
  head.path = "/grpc.health.v1.Health/Check";
  head.body = http::BodyKind::kStreamed;
  head.accepts_trailers = true;
  const http::Step sent = stream.TrySendHead(head, patch, request, true);
  if (sent == http::Step::kFailed) co_return false;
  if (sent == http::Step::kMustWait) {
    const Result<void> flushed = co_await stream.request_body().Flush(deadline);
    if (!flushed) co_return false;
  }
  const Result<const http::ResponseHead*> answer = co_await stream.ReceiveHead(deadline);
  if (!answer || (*answer)->status != 200) co_return false;
  std::string message;
  while (message.size() <= options_.body_max) {
    const Result<http::Piece> piece = co_await stream.response_body().Read(deadline);
    if (!piece) co_return false;
    message += piece->data;
    if (piece->end) break;
  }
  const http::Trailers* const trailers = stream.response_body().trailers();
  const bool fine =
      trailers != nullptr && trailers->Find(http::HeaderId::kGrpcStatus).value_or("") == "0";
  co_return fine&& message == kServing;
}

/// 200 to 399 is ready, as the kubelet has it.
net::Task<bool> EarlyProbe::AskHttp(http::ClientStream& stream, const Endpoint& spec,
                                    TimePoint deadline) {
  std::string authority = AuthorityOf(spec);
  http::HeadPatch patch;
  bool agent_declared = false;
  for (const auto& [name, value] : spec.probe.headers) {
    if (http::EqualsIgnoreCase(name, "host")) {
      authority = value;
      continue;
    }
    agent_declared = agent_declared || http::EqualsIgnoreCase(name, "user-agent");
    patch.Add(name, value);
  }
  if (!agent_declared) patch.Add("user-agent", kUserAgent);
  http::RequestHead head;
  head.method = "GET";
  head.scheme = "http";
  head.authority = authority;
  head.host = authority;
  head.path = spec.probe.path;
  const http::Step sent = stream.TrySendHead(head, patch, "", true);
  if (sent == http::Step::kFailed) co_return false;
  if (sent == http::Step::kMustWait) {
    const Result<void> flushed = co_await stream.request_body().Flush(deadline);
    if (!flushed) co_return false;
  }
  int status = 0;
  while (status < 200) {
    const Result<const http::ResponseHead*> answer = co_await stream.ReceiveHead(deadline);
    if (!answer) co_return false;
    status = (*answer)->status;
    if (status == 101) co_return false;
  }
  // The rest only so that the connection can be kept.
  while (stream.response_body().bytes_read() <= options_.body_max) {
    const Result<http::Piece> piece = co_await stream.response_body().Read(deadline);
    if (!piece || piece->end) break;
  }
  co_return status < 400;
}

}  // namespace rouse::proxy
