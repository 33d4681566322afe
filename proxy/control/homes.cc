#include "proxy/control/homes.h"

#include <algorithm>
#include <utility>

#include "common/app/admin_server.h"

namespace rouse::proxy {
namespace {

/// More than any limit: nothing can be granted beside it.
constexpr uint32_t kAllSlots = 1u << 20;
constexpr std::string_view kPath = "/claim";
constexpr uint32_t kTicksBetween = 20;

uint16_t PortNamed(const k8s::EndpointSlice& slice, const std::string& name) {
  for (const k8s::SlicePort& port : slice.ports)
    if (port.name == name && port.port) return *port.port;
  return 0;
}

}  // namespace

Homes::Homes(control::Network& network, obs::Log& log, HomesOptions options, SlotAccess access,
             std::function<void()> moved)
    : network_(network),
      log_(log),
      options_(std::move(options)),
      access_(std::move(access)),
      moved_(std::move(moved)),
      claims_(options_.address, options_.life, options_.fence) {}

Homes::~Homes() { network_.loop().Cancel(timer_); }

absl::Status Homes::Start() {
  const absl::StatusOr<app::HostPort> at = app::ParseHostPort(options_.listen);
  if (!at.ok()) return at.status();
  control::ListenOptions listen;
  listen.host = at->host;
  listen.port = at->port;
  listen.request_body_bytes_max = wire::kClaimBytesMax;
  absl::StatusOr<std::unique_ptr<control::HttpListener>> listener = network_.Listen(listen, *this);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  Tick();
  return absl::OkStatus();
}

// ---- who there is -----------------------------------------------------------------------------

void Homes::OnUpsert(k8s::EndpointSlice slice) {
  slices_[slice.meta.name] = std::move(slice);
  ReadSlices();
}

void Homes::OnDelete(const ObjectKey& key, const std::string&) {
  slices_.erase(key.name);
  ReadSlices();
}

void Homes::OnSynced() {
  synced_ = true;
  ReadSlices();
  moved_();
}

void Homes::ReadSlices() {
  if (!synced_) return;
  std::map<std::string, Proxy> proxies;
  for (const auto& [name, slice] : slices_) {
    const uint16_t internal = PortNamed(slice, options_.internal_port);
    const uint16_t hand_over = PortNamed(slice, options_.hand_over_port);
    if (internal == 0 || hand_over == 0) continue;
    for (const k8s::SliceEndpoint& endpoint : slice.endpoints) {
      if (endpoint.addresses.empty()) continue;
      Proxy& proxy = proxies[endpoint.addresses.front()];
      proxy = {internal, hand_over, proxy.ready || (endpoint.ready && !endpoint.terminating)};
    }
  }
  if (proxies == proxies_) return;
  former_.merge(std::exchange(proxies_, std::move(proxies)));
  std::vector<HomeClaims::Proxy> listed;
  listed.reserve(proxies_.size());
  for (const auto& [name, proxy] : proxies_) listed.push_back({name, proxy.ready});
  if (!claims_.SetProxies(listed, network_.loop().now())) return;
  log_.Info("proxies_changed", {{"listed", proxies_.size()}});
  Sync();
  AskWhoIsOwed();
  moved_();
}

// ---- questions and answers ----------------------------------------------------------------------

void Homes::Tick() {
  const TimePoint now = network_.loop().now();
  const bool changed = claims_.Advance(now);
  AskWhoIsOwed();
  const bool settled = claims_.Settled(now);
  quiet_ticks_ = settled && !changed ? quiet_ticks_ + 1 : 0;
  // The first quiet tick may be a silence that has lasted long enough; now and then what nobody
  // uses any more is let go.
  if (quiet_ticks_ % kTicksBetween <= 1) Sync();
  const Duration pause = settled ? options_.fence / 10 : options_.ask_every;
  timer_ = network_.loop().At(Later(now, pause), [this] { Tick(); });
}

void Homes::AskWhoIsOwed() {
  std::map<std::string, Proxy> former;
  for (const std::string& name : claims_.ToAsk(network_.loop().now())) {
    const auto listed = proxies_.find(name);
    const auto known = former_.find(name);
    if (listed != proxies_.end()) {
      Ask(name, listed->second);
    } else if (known != former_.end()) {
      former.insert(*known);
      Ask(name, known->second);
    } else {
      (void)claims_.Ask(name, network_.loop().now());  // never listed: only time will tell
    }
  }
  former_ = std::move(former);
}

void Homes::Ask(const std::string& name, const Proxy& proxy) {
  Call& call = calls_[name];
  if (call.http != nullptr) return;
  const wire::HomeClaim claim = claims_.Ask(name, network_.loop().now());
  call.round = claim.round;
  call.status = 0;
  call.body.clear();
  if (call.client == nullptr)
    call.client = network_.NewClient({name, proxy.hand_over_port, std::nullopt});
  control::HttpRequest request;
  request.method = "POST";
  request.target = std::string(kPath);
  request.body = wire::EncodeClaim(claim);
  request.limits.connect_timeout = options_.fence / 5;
  request.limits.head_timeout = options_.fence / 5;
  request.limits.idle_timeout = options_.fence / 5;
  control::HttpHandlers handlers;
  handlers.on_head = [&call](int status, const control::Headers&) { call.status = status; };
  handlers.on_data = [&call](std::string_view data) {
    if (call.body.size() + data.size() <= wire::kClaimBytesMax) call.body += data;
  };
  handlers.on_end = [this, name](const absl::Status& status) { OnAnswered(name, status); };
  call.http = call.client->Start(std::move(request), std::move(handlers));
}

void Homes::OnAnswered(const std::string& name, const absl::Status& status) {
  Call& call = calls_[name];
  // The call is over, but still on the stack: it goes with the next turn.
  network_.loop().Post([this, alive = std::weak_ptr<bool>(alive_), name, old = call.http.get()] {
    if (!alive.lock()) return;
    Call& over = calls_[name];
    if (over.http.get() == old) over.http = nullptr;
  });
  if (!status.ok() || call.status != 200) return;  // asked again at the next tick
  const absl::StatusOr<wire::HomeClaim> answer = wire::DecodeClaim(call.body);
  if (!answer.ok() || answer->from != name) return;
  claims_.OnAnswer(*answer, call.round, network_.loop().now());
  Sync();
}

void Homes::Serve(control::IncomingRequest request,
                  std::unique_ptr<control::HttpResponder> responder) {
  if (request.method != "POST" || request.target != kPath) return responder->Respond(404, {}, {});
  const absl::StatusOr<wire::HomeClaim> claim = wire::DecodeClaim(request.body);
  if (!claim.ok()) {
    log_.Warn("claim_refused",
              {{"peer", request.peer}, {"why", std::string(claim.status().message())}});
    return responder->Respond(400, {}, {});
  }
  claims_.OnClaim(*claim, network_.loop().now());
  Sync();
  wire::HomeClaim answer = claims_.Answer();
  // Rather no answer than one that conceals something: that proxy asks again.
  if (!AddHeld(answer, *claim)) return responder->Respond(503, {}, {});
  responder->Respond(200, {{"content-type", "application/x-protobuf"}}, wire::EncodeClaim(answer));
  if (answer.held.empty()) {
    told_.erase(claim->from);
  } else {
    told_.insert(claim->from);
  }
}

bool Homes::AddHeld(wire::HomeClaim& answer, const wire::HomeClaim& claim) const {
  for (const auto& [pod, entry] : entries_) {
    const uint32_t own = access_.in_flight(*entry.slots) - entry.reserved;
    if (own == 0 || HomeAmong(entry.key, claim.members) != claim.from) continue;
    if (answer.held.size() == wire::kHeldMax) return false;
    answer.held.push_back(
        {.key = entry.key, .pod_uid = pod.pod_uid, .port = pod.port, .count = own});
  }
  return true;
}

bool Homes::HandedOver() const {
  return std::none_of(told_.begin(), told_.end(),
                      [&](const std::string& asker) { return proxies_.count(asker) != 0; });
}

// ---- what may be granted here -------------------------------------------------------------------

uint32_t Homes::ToReserve(const EndpointKey& pod, const std::string& key, bool grants) const {
  if (!grants) return kAllSlots;
  return std::min(kAllSlots, claims_.HeldElsewhere(key, pod, network_.loop().now()));
}

void Homes::Sync() {
  bool freed = false;
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto& [pod, entry] = *at;
    if (entry.slots.use_count() == 1) {  // no snapshot, no shard
      at = entries_.erase(at);
      continue;
    }
    const bool grants = claims_.Grants(entry.key, network_.loop().now());
    const uint32_t now = ToReserve(pod, entry.key, grants);
    if (now != entry.reserved) {
      access_.reserve(*entry.slots, entry.reserved, now);
      freed = freed || now < entry.reserved;
      entry.reserved = now;
    }
    ++at;
  }
  if (freed) access_.freed();
}

EndpointSetPtr Homes::Place(std::shared_ptr<EndpointSet> set, const std::string& key) {
  if (set->policy.concurrency_limit == 0) return set;
  if (!claims_.IsHome(key)) return Away(*set, claims_.HomeOf(key));
  const bool grants = claims_.Grants(key, network_.loop().now());
  for (const Endpoint& endpoint : set->endpoints) {
    if (endpoint.slots == nullptr) continue;
    Entry& entry = entries_[endpoint.key];
    if (entry.slots != endpoint.slots) entry = {.key = key, .slots = endpoint.slots};
    entry.key = key;
    const uint32_t now = ToReserve(endpoint.key, key, grants);
    if (now != entry.reserved) access_.reserve(*entry.slots, entry.reserved, now);
    if (std::exchange(entry.reserved, now) > now) access_.freed();
  }
  return set;
}

/// To the data side it is a workload without a limit, with one endpoint: the home.
EndpointSetPtr Homes::Away(const EndpointSet& set, std::string_view home) const {
  auto away = std::make_shared<EndpointSet>();
  away->workload = set.workload;
  away->policy = set.policy;
  away->policy.concurrency_limit = 0;
  away->away = true;
  away->slots = set.slots;
  const auto proxy = proxies_.find(std::string(home));
  if (proxy == proxies_.end()) return away;
  Endpoint endpoint;
  endpoint.key = {"proxy/" + proxy->first, proxy->second.internal_port};
  endpoint.addresses = {proxy->first};
  endpoint.protocol = UpstreamProtocol::kHttp2;
  endpoint.pod_name = "proxy/" + proxy->first;
  endpoint.hop = true;
  away->endpoints.push_back(std::move(endpoint));
  return away;
}

}  // namespace rouse::proxy
