#include "proxy/tls_material.h"

#include <algorithm>
#include <set>
#include <utility>

#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include "k8s/credentials.h"
#include "proxy/log_events.h"
#include "proxy/telemetry/shard_stats.h"

namespace rouse::proxy {
namespace {

constexpr size_t kSeedLeast = 32;
constexpr std::string_view kExpiry = "rouse_proxy_tls_certificate_expiry_seconds";
constexpr std::string_view kExpiryHelp =
    "When a certificate ends, in seconds since 1970, by its first name";
constexpr std::string_view kLoads = "rouse_proxy_tls_certificate_loads_total";
constexpr std::string_view kLoadsHelp = "Certificates taken into use";
constexpr std::string_view kFailures = "rouse_proxy_tls_certificate_failures_total";
constexpr std::string_view kFailuresHelp =
    "Changed certificate files that could not be used; what was stays in force";

std::string KeyOf(const CertificateFiles& files) {
  return absl::StrCat(files.certificate, "\n", files.key, "\n", files.staple);
}

absl::Status In(const std::string& file, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(file, ": ", status.message()));
}

std::string_view TextOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

TlsMaterial::TlsMaterial(control::Loop& loop, obs::Log& log, const ListenerOptions& options,
                         Adopt adopt)
    : loop_(loop), log_(log), options_(options), adopt_(std::move(adopt)) {
  for (ListenerConfig& config : ListenersOf(options)) {
    listeners_.push_back(nullptr);
    if (!config.secure) continue;
    for (const CertificateFiles& files : config.tls.certificates)
      pairs_.try_emplace(KeyOf(files)).first->second.files = files;
    listeners_.back() = std::make_unique<Listener>();
    listeners_.back()->config = std::move(config);
  }
}

TlsMaterial::~TlsMaterial() { *alive_ = false; }

absl::Status TlsMaterial::Start() {
  const bool some = std::any_of(listeners_.begin(), listeners_.end(),
                                [](const auto& listener) { return listener != nullptr; });
  if (!some) return absl::OkStatus();
  if (const absl::Status status = LoadSeed(); !status.ok()) return status;
  for (auto& [key, pair] : pairs_)
    if (const absl::Status status = Load(pair); !status.ok()) return status;
  for (const std::unique_ptr<Listener>& listener : listeners_)
    if (listener)
      if (const absl::Status status = LoadContext(*listener); !status.ok()) return status;
  HandOut();
  LookLater();
  return absl::OkStatus();
}

absl::Status TlsMaterial::LoadSeed() {
  if (options_.ticket_seed_file.empty()) {
    log_.Info(log_event::kTicketSeed, {{"source", "this process alone"}});
    SetTicketSeed(net::TlsTicketKeys::RandomSeed());
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> seed = k8s::ReadSmallFile(options_.ticket_seed_file);
  if (!seed.ok()) return In(options_.ticket_seed_file, seed.status());
  if (seed->size() < kSeedLeast)
    return In(options_.ticket_seed_file,
              absl::InvalidArgumentError(absl::StrCat("at least ", kSeedLeast, " bytes")));
  log_.Info(log_event::kTicketSeed, {{"source", options_.ticket_seed_file}});
  SetTicketSeed(*seed);
  return absl::OkStatus();
}

void TlsMaterial::SetTicketSeed(const std::string& seed) {
  tickets_ = std::make_shared<net::TlsTicketKeys>(seed, loop_.clock().wall());
}

TlsMaterial::Stamp TlsMaterial::StampOf(const std::string& file) {
  struct stat about{};
  if (file.empty() || stat(file.c_str(), &about) != 0) return {};
  return {.device = static_cast<int64_t>(about.st_dev),
          .inode = static_cast<int64_t>(about.st_ino),
          .size = about.st_size,
          .changed_ns = about.st_ctim.tv_sec * 1'000'000'000 + about.st_ctim.tv_nsec};
}

std::vector<TlsMaterial::Stamp> TlsMaterial::StampsOf(const CertificateFiles& files) {
  return {StampOf(files.certificate), StampOf(files.key), StampOf(files.staple)};
}

/// The stamps are taken before the files are read, so that a change meanwhile is seen next time.
absl::Status TlsMaterial::Load(Pair& pair) {
  pair.tried = StampsOf(pair.files);
  net::TlsCertificate::Source source;
  const std::pair<const std::string&, std::string&> parts[] = {
      {pair.files.certificate, source.chain_pem},
      {pair.files.key, source.key_pem},
      {pair.files.staple, source.staple_der}};
  for (const auto& [file, into] : parts) {
    if (file.empty()) continue;
    absl::StatusOr<std::string> text = k8s::ReadSmallFile(file);
    if (!text.ok()) return In(file, text.status());
    into = *std::move(text);
  }
  absl::StatusOr<net::TlsCertificatePtr> made =
      net::TlsCertificate::Make(source, loop_.clock().wall());
  if (!made.ok()) return In(pair.files.certificate, made.status());
  pair.certificate = *std::move(made);
  pair.good = pair.tried;
  pair.told = false;
  loads_.Add();
  return absl::OkStatus();
}

absl::Status TlsMaterial::LoadContext(Listener& listener) {
  const TlsConfig& tls = listener.config.tls;
  net::TlsServerPolicy policy = tls.Policy(listener.config.address);
  listener.client_ca = StampOf(tls.client_ca);
  if (!tls.client_ca.empty()) {
    absl::StatusOr<std::string> text = k8s::ReadSmallFile(tls.client_ca);
    if (!text.ok()) return In(tls.client_ca, text.status());
    policy.client_ca_pem = *std::move(text);
  }
  auto context = net::TlsServerContext::Make(policy);
  if (!context.ok()) return In(listener.config.address, context.status());
  listener.context = *std::move(context);
  return absl::OkStatus();
}

void TlsMaterial::Look() {
  bool changed = false;
  for (auto& [key, pair] : pairs_) changed = LookAt(pair) || changed;
  for (const std::unique_ptr<Listener>& listener : listeners_)
    if (listener) changed = LookAt(*listener) || changed;
  if (changed) HandOut();
}

/// True where another certificate is in force.
bool TlsMaterial::LookAt(Pair& pair) {
  const std::vector<Stamp> now = StampsOf(pair.files);
  if (now == pair.good) return false;
  const bool again = now == pair.tried;
  if (again && pair.told) return false;
  const absl::Status status = Load(pair);
  if (status.ok()) {
    log_.Info(log_event::kCertificateTaken, {{"file", pair.files.certificate}});
    return true;
  }
  // Certificate and key are replaced one after the other: what is seen in between is no mistake.
  pair.told = again;
  if (!again) return false;
  failures_.Add();
  log_.Warn(log_event::kCertificateRefused,
            {{"error", TextOf(status)}, {"kept", "the one in force"}});
  return false;
}

bool TlsMaterial::LookAt(Listener& listener) {
  const std::string& file = listener.config.tls.client_ca;
  if (file.empty() || StampOf(file) == listener.client_ca) return false;
  const absl::Status status = LoadContext(listener);
  if (status.ok()) {
    log_.Info(log_event::kCertificateTaken, {{"file", file}});
    return true;
  }
  failures_.Add();
  log_.Warn(log_event::kCertificateRefused,
            {{"error", TextOf(status)}, {"kept", "the one in force"}});
  return false;
}

void TlsMaterial::SetExtra(const std::string& name, net::TlsCertificatePtr certificate,
                           std::vector<std::string> hosts) {
  if (certificate) {
    loads_.Add();
    extras_[name] = {std::move(certificate), std::move(hosts)};
  } else {
    extras_.erase(name);
  }
  // Many Services may tell in one turn.
  if (std::exchange(hand_out_posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    hand_out_posted_ = false;
    HandOut();
  });
}

std::shared_ptr<const net::TlsCertificates> TlsMaterial::CertificatesOf(
    const Listener& listener) const {
  std::vector<net::TlsCertificates::Entry> entries;
  for (const CertificateFiles& files : listener.config.tls.certificates) {
    const net::TlsCertificatePtr& certificate = pairs_.at(KeyOf(files)).certificate;
    entries.push_back({certificate, certificate->names()});
  }
  for (const auto& [name, extra] : extras_) entries.push_back({extra.certificate, extra.hosts});
  return std::make_shared<const net::TlsCertificates>(entries);
}

void TlsMaterial::HandOut() {
  for (size_t i = 0; i < listeners_.size(); ++i) {
    if (!listeners_[i] || !listeners_[i]->context) continue;
    auto server = std::make_shared<net::TlsServer>();
    server->context = listeners_[i]->context;
    server->certificates = CertificatesOf(*listeners_[i]);
    server->tickets = tickets_;
    adopt_(i, std::move(server));
  }
}

void TlsMaterial::LookLater() {
  loop_.At(Later(loop_.now(), options_.watch_interval), [this, alive = alive_] {
    if (!*alive) return;
    Look();
    LookLater();
  });
}

void TlsMaterial::AddTo(obs::MetricPage& page) const {
  page.Add(kLoads, kLoadsHelp, {}, loads_);
  page.Add(kFailures, kFailuresHelp, {}, failures_);
  std::set<std::string> shown;
  const auto show = [&](const net::TlsCertificatePtr& certificate) {
    if (!certificate || shown.size() >= kShownMost) return;
    const std::string name = certificate->names().empty() ? "" : certificate->names().front();
    if (!shown.insert(name).second) return;
    obs::Gauge end;
    end.Set(static_cast<double>(std::chrono::duration_cast<std::chrono::seconds>(
                                    certificate->not_after().time_since_epoch())
                                    .count()));
    page.Add(kExpiry, kExpiryHelp, {{"name", name}}, end);
  };
  for (const auto& [key, pair] : pairs_) show(pair.certificate);
  for (const auto& [name, extra] : extras_) show(extra.certificate);
}

std::string TlsMaterial::MetricTable() {
  return MetricLine({kLoads, "counter", "", kLoadsHelp}) +
         MetricLine({kFailures, "counter", "", kFailuresHelp}) +
         MetricLine({kExpiry, "gauge", "name", kExpiryHelp});
}

}  // namespace rouse::proxy
