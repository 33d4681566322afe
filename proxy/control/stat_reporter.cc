#include "proxy/control/stat_reporter.h"

#include <algorithm>
#include <utility>

#include "common/wire/stat_codec.h"

namespace rouse::proxy {

struct StatReporter::Replica {
  Replica(control::Origin o, std::string n, Backoff b)
      : origin(std::move(o)), name(std::move(n)), backoff(b) {}
  control::Origin origin;
  std::string name;
  Backoff backoff;
  std::unique_ptr<control::MessageChannel> channel;
  control::TimerId redial = 0;
  bool open = false;
  bool complained = false;  ///< of dials that failed since it was open
};

StatReporter::StatReporter(control::Network& network, obs::Log& log, std::string proxy,
                           uint64_t seed, Gather gather, ReporterLimits limits)
    : network_(network),
      log_(log),
      proxy_(std::move(proxy)),
      random_(seed),
      gather_(std::move(gather)),
      limits_(limits) {}

StatReporter::~StatReporter() {
  network_.loop().Cancel(timer_);
  for (auto& [name, replica] : replicas_) network_.loop().Cancel(replica->redial);
}

void StatReporter::Start() {
  started_ = gathered_at_ = network_.loop().now();
  next_tick_ = started_ + limits_.period;
  timer_ = network_.loop().At(next_tick_, [this] { Tick(); });
}

void StatReporter::SetAutoscalers(std::vector<control::Origin> origins) {
  std::set<std::string> wanted;
  for (control::Origin& origin : origins) {
    if (wanted.size() == limits_.replicas_max) {
      log_.Warn("autoscalers_too_many", {{"most", limits_.replicas_max}});
      break;
    }
    std::string name = origin.host + ":" + std::to_string(origin.port);
    wanted.insert(name);
    if (replicas_.count(name) != 0) continue;
    const Backoff backoff(limits_.reconnect_first, limits_.reconnect_most);
    auto replica = std::make_unique<Replica>(std::move(origin), name, backoff);
    Replica& added = *replica;
    replicas_[name] = std::move(replica);
    Dial(added);
  }
  for (auto it = replicas_.begin(); it != replicas_.end();) {
    if (wanted.count(it->first) != 0) {
      ++it;
      continue;
    }
    const bool was_open = it->second->open;
    network_.loop().Cancel(it->second->redial);
    it = replicas_.erase(it);
    if (was_open && connected() == 0 && on_connected_) on_connected_(false);
  }
}

void StatReporter::Dial(Replica& replica) {
  replica.redial = 0;
  ++counters_.connects;
  control::Headers headers;
  const std::string token = token_ ? token_() : std::string();
  if (!token.empty()) headers.push_back({"authorization", "Bearer " + token});
  control::MessageHandlers handlers;
  handlers.on_open = [this, &replica] { OnOpen(replica); };
  handlers.on_close = [this, &replica](const absl::Status& why) { OnClosed(replica, why); };
  control::Origin origin = replica.origin;
  if (tls_) {
    absl::StatusOr<control::ClientTls> tls = tls_();
    if (!tls.ok()) return OnClosed(replica, tls.status());
    origin.tls = *std::move(tls);
  }
  replica.channel =
      network_.Dial(std::move(origin), "/", std::move(headers), {}, std::move(handlers));
}

void StatReporter::OnOpen(Replica& replica) {
  const bool first = connected() == 0;
  replica.open = true;
  replica.complained = false;
  replica.backoff.Reset();
  log_.Info("autoscaler_connected", {{"replica", replica.name}});
  // A replica that comes up must learn at once of what is waited for.
  wire::Report report;
  report.proxy = proxy_;
  for (const ObjectKey& workload : waking_) {
    wire::WorkloadStat stat;
    stat.workload = workload;
    stat.stat.pod_name = proxy_;
    stat.stat.average_concurrent_requests = 1;
    stat.stat.parked_requests = 1;
    report.stats.push_back(std::move(stat));
  }
  SendTo(replica, wire::Encode(report));
  if (first && on_connected_) on_connected_(true);
}

void StatReporter::OnClosed(Replica& replica, const absl::Status& why) {
  if (replica.open) {
    ++counters_.disconnects;
    log_.Warn("autoscaler_lost",
              {{"replica", replica.name},
               {"why", std::string_view(why.message().data(), why.message().size())}});
  }
  const bool was_open = std::exchange(replica.open, false);
  if (!was_open && !std::exchange(replica.complained, true)) {
    log_.Warn("autoscaler_unreachable",
              {{"replica", replica.name},
               {"why", std::string_view(why.message().data(), why.message().size())}});
  }
  replica.redial = network_.loop().At(network_.loop().now() + replica.backoff.Next(random_),
                                      [this, &replica] { Dial(replica); });
  if (was_open && connected() == 0 && on_connected_) on_connected_(false);
}

void StatReporter::Wake(const ObjectKey& workload) {
  waking_.insert(workload);
  ++woken_[workload];
  ++counters_.wakes_sent;
  wire::Report report;
  report.proxy = proxy_;
  wire::WorkloadStat stat;
  stat.workload = workload;
  stat.stat.pod_name = proxy_;
  stat.stat.average_concurrent_requests = 1;
  stat.stat.request_count = 1;
  stat.stat.parked_requests = 1;
  report.stats.push_back(std::move(stat));
  const std::string message = wire::Encode(report);
  for (auto& [name, replica] : replicas_) SendTo(*replica, message);
}

void StatReporter::Tick() {
  const TimePoint now = network_.loop().now();
  next_tick_ = std::max(next_tick_ + limits_.period, now);
  timer_ = network_.loop().At(next_tick_, [this] { Tick(); });
  if (replicas_.empty()) return woken_.clear();  // nobody to tell, nor has anybody been told
  // What was counted while there was nobody to tell is told as a rate too.
  const Duration span = std::max(limits_.period, now - std::exchange(gathered_at_, now));
  gather_(
      [this, span, alive = std::weak_ptr<bool>(alive_)](const std::vector<WorkloadDemand>& demand) {
        if (alive.lock()) Report(demand, span);
      });
}

void StatReporter::Report(const std::vector<WorkloadDemand>& demand, Duration span) {
  const auto woken = std::exchange(woken_, {});
  wire::Report report;
  report.proxy = proxy_;
  const double uptime = std::chrono::duration<double>(network_.loop().now() - started_).count();
  const auto send = [&](bool complete) {
    report.complete = complete;
    const std::string message = wire::Encode(report);
    for (auto& [name, replica] : replicas_) SendTo(*replica, message);
    report.stats.clear();
  };
  const double seconds = std::chrono::duration<double>(span).count();
  for (const WorkloadDemand& one : demand) {
    const auto wakes = woken.find(one.workload);
    const double told = wakes == woken.end() ? 0 : wakes->second;
    wire::WorkloadStat stat;
    stat.workload = one.workload;
    stat.stat.pod_name = proxy_;
    stat.stat.average_concurrent_requests = std::max(0.0, one.average_concurrency - told);
    stat.stat.request_count = std::max(0.0, one.request_count / seconds - told);
    stat.stat.process_uptime_seconds = uptime;
    stat.stat.parked_requests = one.parked;
    report.stats.push_back(std::move(stat));
    if (report.stats.size() == wire::kStatsMax) send(false);
  }
  send(true);
}

void StatReporter::SendTo(Replica& replica, const std::string& message) {
  if (!replica.open) return;
  if (replica.channel->Send(message, true).ok()) {
    ++counters_.reports_sent;
  } else {
    ++counters_.send_failures;
  }
}

size_t StatReporter::connected() const {
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(),
                                           [](const auto& entry) { return entry.second->open; }));
}

}  // namespace rouse::proxy
