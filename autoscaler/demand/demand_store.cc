#include "autoscaler/demand/demand_store.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace rouse::autoscaler {
namespace {

/// A second is taken for silent once it is this old: reports come each second, but not to the
/// millisecond.
constexpr Duration kSilentAfter = std::chrono::seconds(2);

/// Long before everything, and still safe to subtract from.
constexpr TimePoint kLongAgo = TimePoint(std::chrono::hours(-24 * 365));

int64_t SecondOf(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

TimePoint TimeOf(int64_t second) { return TimePoint(std::chrono::seconds(second)); }

double ValueOf(const wire::Stat& stat, Metric metric) {
  const double value =
      metric == Metric::kConcurrency
          ? stat.average_concurrent_requests - stat.average_proxied_concurrent_requests
          : stat.request_count - stat.proxied_request_count;
  return std::max(0.0, value);
}

}  // namespace

/// What one sender has said of one workload.
struct DemandStore::Share {
  Sender* sender;
  double last = 0;    ///< of the last whole period
  double period = 0;  ///< of the period that runs
  double parked = 0;
  bool mentioned = false;  ///< in the period that runs
  TimePoint last_nonzero = kLongAgo;
  TimePoint reported_at = kLongAgo;
  int64_t filled = 0;  ///< the last second that has this share's value

  [[nodiscard]] double present() const { return std::max(last, period); }
};

struct DemandStore::Workload {
  Workload(const Policy& policy)
      : metric(policy.metric),
        averaging(policy.averaging),
        stable(policy.stable_window),
        panic(policy.panic_window()) {}

  void Record(TimePoint at, double value) {
    stable.Record(at, value);
    panic.Record(at, value);
  }
  [[nodiscard]] Duration span() const { return std::chrono::seconds(seconds()); }
  [[nodiscard]] int64_t seconds() const { return static_cast<int64_t>(stable.buckets()); }

  Metric metric;
  Averaging averaging;
  Window stable;
  Window panic;
  TimePoint nonzero_at = kLongAgo;
  std::vector<Share> shares;
};

struct DemandStore::Sender {
  std::string name;
  bool knative = false;
  bool listed = false;
  size_t connections = 0;
  TimePoint heard = kLongAgo;
  TimePoint fresh_since = kLongAgo;  ///< heard without a gap since; meaningless while unheard
  absl::flat_hash_set<Workload*> shared{};  ///< workloads that have a share of this sender
  absl::flat_hash_set<Workload*> active{};  ///< those whose share is not zero
};

DemandStore::DemandStore(DemandLimits limits) : limits_(limits) {}
DemandStore::~DemandStore() = default;

void DemandStore::Declare(const ObjectKey& key, const Policy& policy, TimePoint now) {
  std::unique_ptr<Workload>& workload = workloads_[key];
  if (workload == nullptr) {
    workload = std::make_unique<Workload>(policy);
    return;
  }
  workload->averaging = policy.averaging;
  if (workload->metric == policy.metric) {
    workload->stable.Resize(policy.stable_window, now);
    workload->panic.Resize(policy.panic_window(), now);
    return;
  }
  workload->metric = policy.metric;
  workload->stable = Window(policy.stable_window);
  workload->panic = Window(policy.panic_window());
  for (Share& share : workload->shares) share.last = share.period = 0;
}

void DemandStore::Remove(const ObjectKey& key) {
  const auto found = workloads_.find(key);
  if (found == workloads_.end()) return;
  for (const Share& share : found->second->shares) {
    share.sender->shared.erase(found->second.get());
    share.sender->active.erase(found->second.get());
  }
  workloads_.erase(found);
}

bool DemandStore::Connect(const std::string& name, bool knative, TimePoint now) {
  const auto found = senders_.find(name);
  if (found == senders_.end() && senders_.size() >= limits_.senders_max) {
    ++counters_.senders_refused;
    return false;
  }
  std::unique_ptr<Sender>& sender = senders_[name];
  if (sender == nullptr) sender = std::make_unique<Sender>(Sender{.name = name});
  Hear(*sender, now);
  sender->knative = knative;
  ++sender->connections;
  return true;
}

void DemandStore::Disconnect(const std::string& name, TimePoint now) {
  const auto found = senders_.find(name);
  if (found == senders_.end() || found->second->connections == 0) return;
  Sender& sender = *found->second;
  --sender.connections;
  if (!sender.knative || sender.connections > 0) return;
  // Its silence was zero up to now; from here on what it said last is held.
  sender.heard = now;
  for (Workload* workload : sender.active) {
    Share& share = ShareOf(*workload, sender);
    if (now - share.reported_at > limits_.heard_within) share.last = 0;
    share.filled = std::max(share.filled, SecondOf(now) - 1);
  }
}

void DemandStore::Record(const std::string& name, const wire::Report& report, TimePoint now,
                         OnDemand on_demand) {
  const auto found = senders_.find(name);
  if (found == senders_.end()) return;
  Sender& sender = *found->second;
  ++counters_.reports;
  Hear(sender, now);
  for (const wire::WorkloadStat& entry : report.stats) {
    const auto workload = workloads_.find(entry.workload);
    if (workload == workloads_.end()) {
      ++counters_.unknown_workload;
      continue;
    }
    ++counters_.stats;
    Add(*workload->second, sender, entry.stat, now);
    if (entry.stat.average_concurrent_requests > 0 || entry.stat.parked_requests > 0) {
      on_demand(entry.workload, entry.stat);
    }
  }
  if (report.complete) EndPeriod(sender, now);
}

void DemandStore::Add(Workload& workload, Sender& sender, const wire::Stat& stat, TimePoint now) {
  const double value = ValueOf(stat, workload.metric);
  Share& share = ShareOf(workload, sender);
  if (!sender.knative && now - share.reported_at > limits_.heard_within) share.period = 0;
  // Zeros end a demand; of a workload without any they would only dilute its next wake.
  if (value > 0) workload.nonzero_at = now;
  if (now - workload.nonzero_at <= workload.span()) workload.Record(now, value);
  share.mentioned = true;
  share.reported_at = now;
  share.filled = SecondOf(now);
  share.parked = stat.parked_requests;
  share.period += value;
  // Knative marks no end of a period: each stat is one.
  if (sender.knative) share.last = std::exchange(share.period, 0);
  if (value > 0 || stat.request_count > 0 || stat.parked_requests > 0) {
    share.last_nonzero = now;
    sender.active.insert(&workload);
  }
}

void DemandStore::EndPeriod(Sender& sender, TimePoint now) {
  absl::erase_if(sender.active, [&](Workload* workload) {
    Share& share = ShareOf(*workload, sender);
    share.last = std::exchange(share.period, 0);
    share.filled = SecondOf(now);
    if (!std::exchange(share.mentioned, false)) share.parked = 0;
    return share.last == 0 && share.parked == 0;
  });
}

void DemandStore::Hear(Sender& sender, TimePoint now) const {
  if (!IsHeard(sender, now)) sender.fresh_since = now;
  sender.heard = now;
}

DemandStore::Share& DemandStore::ShareOf(Workload& workload, Sender& sender) {
  for (Share& share : workload.shares) {
    if (share.sender == &sender) return share;
  }
  sender.shared.insert(&workload);
  return workload.shares.emplace_back(Share{.sender = &sender});
}

void DemandStore::SetListed(const std::vector<std::string>& proxies, TimePoint now) {
  listing_ = true;
  for (auto& [name, sender] : senders_) sender->listed = false;
  for (const std::string& name : proxies) {
    if (!senders_.contains(name) && senders_.size() >= limits_.senders_max) {
      ++counters_.senders_refused;
      continue;
    }
    std::unique_ptr<Sender>& sender = senders_[name];
    if (sender == nullptr) sender = std::make_unique<Sender>(Sender{.name = name});
    sender->listed = true;
  }
  Sweep(now);
}

Demand DemandStore::Read(const ObjectKey& key, TimePoint now) {
  const auto found = workloads_.find(key);
  if (found == workloads_.end()) return {};
  Workload& workload = *found->second;
  Fill(workload, now);

  Demand demand;
  demand.has_data = AnyLive(now);
  // The second that runs counts once somebody has reported in it. (Knative takes it for stale, so
  // that a panic window of one second reads 0 most of the time.)
  const TimePoint at = workload.stable.Reaches(now) ? now : now - std::chrono::seconds(1);
  const bool linear = workload.averaging == Averaging::kLinear;
  demand.stable = linear ? workload.stable.Average(at) : workload.stable.WeightedAverage(at);
  demand.panic = linear ? workload.panic.Average(at) : workload.panic.WeightedAverage(at);
  for (const Share& share : workload.shares) {
    if (!IsLive(*share.sender, now)) continue;
    demand.parked += share.parked;
    const bool silent = share.sender->knative && now - share.reported_at > limits_.heard_within;
    if (!silent) demand.present += share.present();
  }
  demand.zero_proven = demand.stable == 0 && IsZeroProven(workload, now);
  return demand;
}

void DemandStore::Fill(Workload& workload, TimePoint now) {
  for (Share& share : workload.shares) {
    const bool unheard = IsLive(*share.sender, now) && !IsHeard(*share.sender, now);
    if (unheard && share.present() > 0) Hold(workload, share, now);
  }
  // Silent seconds become zeros, so that an average falls; one that is 0 already is let go stale,
  // so that the next wake is not diluted by it.
  const TimePoint silent = now - kSilentAfter;
  if (workload.stable.Reaches(silent) || workload.stable.Average(now) == 0) return;
  if (AnyLive(now)) workload.Record(silent, 0);
}

void DemandStore::Hold(Workload& workload, Share& share, TimePoint now) {
  const int64_t last = SecondOf(now) - 1;
  int64_t second = std::max(share.filled + 1, last - workload.seconds() + 1);
  for (; second <= last; ++second) {
    workload.Record(TimeOf(second), share.present());
    ++counters_.seconds_held;
  }
  share.filled = std::max(share.filled, last);
}

bool DemandStore::IsHeard(const Sender& sender, TimePoint now) const {
  if (sender.knative && sender.connections > 0) return true;
  return now - sender.heard <= limits_.heard_within;
}

bool DemandStore::IsLive(const Sender& sender, TimePoint now) const {
  if (sender.listed || IsHeard(sender, now)) return true;
  const bool unlisted_is_gone = listing_ && !sender.knative;
  return !unlisted_is_gone && now - sender.heard <= limits_.forget_after;
}

bool DemandStore::AnyLive(TimePoint now) const {
  return std::any_of(senders_.begin(), senders_.end(), [&](const auto& entry) {
    return entry.second->heard != kLongAgo && IsLive(*entry.second, now);
  });
}

bool DemandStore::IsZeroProven(const Workload& workload, TimePoint now) const {
  const int64_t window_start = SecondOf(now) - workload.seconds();
  bool any = false;
  for (const auto& [name, sender] : senders_) {
    if (!IsLive(*sender, now)) continue;
    if (!IsHeard(*sender, now) || SecondOf(sender->fresh_since) >= window_start) return false;
    any = true;
  }
  const auto is_zero = [&](const Share& share) {
    if (!IsLive(*share.sender, now)) return true;
    const double present = share.sender->knative ? 0 : share.present();
    return present == 0 && share.parked == 0 && SecondOf(share.last_nonzero) < window_start;
  };
  return any && std::all_of(workload.shares.begin(), workload.shares.end(), is_zero);
}

void DemandStore::Sweep(TimePoint now) {
  std::vector<std::string> gone;
  for (const auto& [name, sender] : senders_) {
    if (sender->connections == 0 && !IsLive(*sender, now)) gone.push_back(name);
  }
  for (const std::string& name : gone) Forget(name);
}

void DemandStore::Forget(const std::string& name) {
  const auto found = senders_.find(name);
  Sender* sender = found->second.get();
  for (Workload* workload : sender->shared) {
    std::erase_if(workload->shares, [&](const Share& share) { return share.sender == sender; });
  }
  senders_.erase(found);
}

std::vector<SenderView> DemandStore::Senders(TimePoint now) const {
  std::vector<SenderView> views;
  for (const auto& [name, sender] : senders_) {
    const bool heard = sender->heard != kLongAgo;
    views.push_back({.name = name,
                     .knative = sender->knative,
                     .listed = sender->listed,
                     .connections = sender->connections,
                     .unheard_for = heard ? now - sender->heard : Duration::max()});
  }
  std::sort(views.begin(), views.end(),
            [](const SenderView& a, const SenderView& b) { return a.name < b.name; });
  return views;
}

void DemandStore::CheckInvariants() const {
  size_t shares = 0;
  for (const auto& [key, workload] : workloads_) {
    shares += workload->shares.size();
    for (const Share& share : workload->shares) {
      CHECK(share.sender->shared.contains(workload.get()));
      CHECK(share.present() == 0 || share.sender->active.contains(workload.get()));
    }
  }
  size_t shared = 0;
  for (const auto& [name, sender] : senders_) {
    shared += sender->shared.size();
    CHECK(sender->active.size() <= sender->shared.size());
  }
  CHECK(shares == shared);
  CHECK(senders_.size() <= limits_.senders_max);
}

}  // namespace rouse::autoscaler
