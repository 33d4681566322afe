#include "autoscaler/app.h"

#include <algorithm>
#include <utility>

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include "autoscaler/log_events.h"
#include "autoscaler/metrics.h"
#include "common/app/admin_server.h"

namespace rouse::autoscaler {
namespace {

/// Different parts of one program want different random numbers.
uint64_t SeedOf(uint64_t seed, uint64_t part) { return Random(seed + part).Next(); }

std::string NewIdentity(uint64_t seed) {
  char host[256] = "";
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  return absl::StrCat(host, "_", absl::Hex(SeedOf(seed, 99), absl::kZeroPad16));
}

std::string AccountOf(const IntakeConfig& intake) {
  const std::optional<ObjectKey> account = ObjectKey::Parse(intake.service_account);
  if (!account) return {};
  return absl::StrCat("system:serviceaccount:", account->ns, ":", account->name);
}

IntakeAuth NewAuth(const IntakeConfig& intake, TokenReviews& reviews) {
  if (intake.auth == "token-review") return IntakeAuth(reviews);
  return IntakeAuth(intake.auth == "none" ? std::string() : intake.token_file);
}

absl::StatusOr<control::ServerTls> ReadTls(const IntakeConfig& intake) {
  control::ServerTls tls;
  absl::Status read = k8s::ReadSmallFiles({{intake.tls_certificate, tls.certificate_pem},
                                           {intake.tls_key, tls.key_pem},
                                           {intake.tls_client_ca, tls.client_ca_pem}});
  if (!read.ok()) return read;
  return tls;
}

}  // namespace

App::App(control::Network& network, k8s::ApiClient& client, obs::Log& log, const Config& config,
         uint64_t seed)
    : network_(network),
      client_(client),
      log_(log),
      config_(config),
      seed_(seed),
      scale_api_(client),
      demand_(config.demand),
      writer_(network.loop(), scale_api_, SeedOf(seed, 1), config.writer,
              [this] { return leading(); }),
      loop_(network.loop(), demand_, writer_, journal_, log, config.loop,
            [this] { return leading(); }),
      reviews_(client, config.intake.audience, AccountOf(config.intake)),
      intake_(network.loop(), demand_, log, NewAuth(config.intake, reviews_), config.intake.limits,
              [this](const ObjectKey& workload, const wire::Stat& stat) {
                loop_.OnDemand(workload, stat);
              }),
      events_(client, SeedOf(seed, 2)),
      rivals_([this](const ObjectKey& workload, const std::string& rival) {
        OnRival(workload, rival);
      }),
      policies_(config.policy, log, PolicyHandlers()),
      endpoints_([this](const ObjectKey& service) { OnEndpoints(service); },
                 [this] { OnListed(); }),
      proxies_([this](const ObjectKey&) { OnProxies(); }, [this] { OnProxies(); }),
      service_watcher_(client, log, SeedOf(seed, 3), policies_, config.cluster.ns,
                       k8s::kEnabledSelector),
      slice_watcher_(client, log, SeedOf(seed, 4), endpoints_, config.cluster.ns,
                     k8s::kEnabledSelector),
      rival_watcher_(client, log, SeedOf(seed, 7), rivals_, config.cluster.ns, "") {}

App::~App() = default;

absl::Status App::Start() {
  if (absl::Status listening = Listen(); !listening.ok()) return listening;
  service_watcher_.Start();
  slice_watcher_.Start();
  rival_watcher_.Start();
  StartProxyWatch();
  StartLeader();
  loop_.Start();
  log_.Info(log_event::kStarted, {{"intake", config_.intake.listen}, {"port", intake_port()}});
  return absl::OkStatus();
}

absl::Status App::Listen() {
  const absl::StatusOr<app::HostPort> address = app::ParseHostPort(config_.intake.listen);
  if (!address.ok()) return address.status();
  control::ListenOptions options;
  options.host = address->host;
  options.port = address->port;
  options.connections_max = config_.intake.limits.connections_max;
  options.messages.message_bytes_max = wire::kReportBytesMax;
  if (!config_.intake.tls_certificate.empty()) {
    options.tls_again = [&intake = config_.intake] { return ReadTls(intake); };
    absl::StatusOr<control::ServerTls> tls = options.tls_again();
    if (!tls.ok()) return tls.status();
    options.tls = *std::move(tls);
  }
  if (!config_.intake.tls_client_ca.empty()) intake_.RequireCertificates();
  absl::StatusOr<std::unique_ptr<control::HttpListener>> listener =
      network_.Listen(std::move(options), intake_);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  return absl::OkStatus();
}

void App::StartLeader() {
  const LeaseConfig& lease = config_.lease;
  if (!lease.elect) return network_.loop().Post([this] { OnLeadership(true); });
  k8s::LeaderOptions options;
  options.lease = {lease.ns.empty() ? client_.credentials().ns() : lease.ns, lease.name};
  options.identity = lease.identity.empty() ? NewIdentity(seed_) : lease.identity;
  options.lease_duration = lease.duration;
  options.renew_deadline = lease.renew_deadline;
  options.retry_period = lease.retry_period;
  options.call_timeout = std::min(options.call_timeout, lease.renew_deadline / 2);
  leader_ = std::make_unique<k8s::Leader>(client_, log_, SeedOf(seed_, 5), std::move(options),
                                          [this](bool leads) { OnLeadership(leads); });
  leader_->Start();
}

void App::StartProxyWatch() {
  const std::optional<ObjectKey> service = ObjectKey::Parse(config_.cluster.proxy_service);
  if (!service) return;
  proxy_watcher_.emplace(client_, log_, SeedOf(seed_, 6), proxies_, service->ns,
                         absl::StrCat(k8s::kServiceNameLabel, "=", service->name));
  proxy_watcher_->Start();
}

PolicySource::Handlers App::PolicyHandlers() {
  PolicySource::Handlers handlers;
  handlers.on_workload = [this](WorkloadSpec spec) {
    const ObjectKey key = spec.key;
    const k8s::ScaleTarget target = spec.target;
    uids_[key] = spec.uid;
    loop_.OnWorkload(std::move(spec));
    rivals_.Declare(key, target);
    loop_.OnReady(key, endpoints_.ReadyOf(key));
  };
  handlers.on_gone = [this](const ObjectKey& key) {
    uids_.erase(key);
    rivals_.Remove(key);
    loop_.OnWorkloadGone(key);
  };
  handlers.on_invalid = [this](const k8s::Service& service, const std::string& message) {
    // One replica tells people; the log and the counter are each replica's own.
    if (!leading()) return;
    k8s::EventSubject subject;
    subject.ns = service.meta.ns;
    subject.name = service.meta.name;
    subject.uid = service.meta.uid;
    subject.resource_version = service.meta.resource_version;
    events_.Warning(subject, "InvalidAnnotation", message);
  };
  handlers.on_synced = [this] { OnListed(); };
  return handlers;
}

void App::OnEndpoints(const ObjectKey& service) {
  loop_.OnReady(service, endpoints_.ReadyOf(service));
}

void App::OnProxies() {
  const std::optional<ObjectKey> service = ObjectKey::Parse(config_.cluster.proxy_service);
  if (!service || !proxy_watcher_->synced()) return;
  demand_.SetListed(proxies_.PodsOf(*service), network_.loop().now());
}

void App::OnLeadership(bool leads) {
  loop_.OnLeadership(leads);
  for (const auto& [workload, rival] : rivals_.found()) TellRival(workload, rival);
}

void App::OnRival(const ObjectKey& workload, const std::string& rival) {
  loop_.OnRival(workload, rival);
  if (!rival.empty()) TellRival(workload, rival);
}

void App::TellRival(const ObjectKey& workload, const std::string& rival) {
  if (!leading()) return;
  k8s::EventSubject subject;
  subject.ns = workload.ns;
  subject.name = workload.name;
  subject.uid = uids_[workload];
  events_.Warning(subject, "LeftToHPA",
                  absl::StrCat("HorizontalPodAutoscaler ", rival,
                               " scales the same object: Rouse leaves it alone, and does not wake "
                               "it. Delete one of the two."));
}

void App::OnListed() {
  if (ready()) loop_.OnSynced();
}

bool App::ready() const { return service_watcher_.synced() && slice_watcher_.synced(); }

bool App::leading() const {
  if (draining_) return false;
  if (!config_.lease.elect) return true;
  return leader_ != nullptr && leader_->IsLeader(network_.loop().now());
}

bool App::alive(Duration most) const { return network_.loop().now() - loop_.last_tick() <= most; }

uint16_t App::intake_port() const { return listener_ == nullptr ? 0 : listener_->port(); }

void App::Drain(absl::AnyInvocable<void()> done) {
  log_.Info(log_event::kStopping);
  draining_ = true;
  if (listener_ != nullptr) listener_->StopAccepting();
  intake_.Drain();
  if (leader_ == nullptr) return network_.loop().Post(std::move(done));
  leader_->Release(std::move(done));
}

void App::AddMetrics(obs::MetricPage& page) const {
  const TimePoint now = network_.loop().now();
  const TimePoint contact =
      std::max(service_watcher_.last_contact(), slice_watcher_.last_contact());
  autoscaler::AddMetrics({.loop = loop_,
                          .writer = writer_,
                          .demand = demand_,
                          .intake = intake_,
                          .policies = policies_,
                          .leading = leading(),
                          .synced = ready(),
                          .api_silence = now - contact},
                         now, page);
}

std::string App::DecisionsJson(std::string_view only) const {
  const std::optional<ObjectKey> workload = ObjectKey::Parse(only);
  return journal_.Json(workload ? &*workload : nullptr);
}

}  // namespace rouse::autoscaler
