#include "proxy/upstream/balancer.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

void Balancer::Set(std::vector<LocalEndpoint*> ready, uint32_t limit) {
  ready_ = std::move(ready);
  limit_ = limit;
  ejected_until_ = TimePoint{};
  for (const LocalEndpoint* endpoint : ready_) {
    ejected_until_ = std::max(ejected_until_, endpoint->ejected_until);
  }
}

LocalEndpoint* Balancer::Take(const LocalEndpoint* avoid, TimePoint now, Random& random) {
  if (ready_.empty()) return nullptr;
  const bool packs = limit_ != 0 && limit_ <= kFirstFreeMost;
  if (!packs) {
    if (LocalEndpoint* taken = TakeOfTwo(avoid, now, random)) return taken;
    if (limit_ == 0) return TakeLeast(avoid, now);
  }
  return TakeFirstFree(avoid, now);
}

/// Two looks at random; null where neither may be used, and the caller looks at all.
LocalEndpoint* Balancer::TakeOfTwo(const LocalEndpoint* avoid, TimePoint now, Random& random) {
  const size_t count = ready_.size();
  LocalEndpoint* first = ready_[count == 1 ? 0 : random.Below(count)];
  LocalEndpoint* second = first;
  if (count > 1) {
    // One of the others, each as likely.
    const size_t place = random.Below(count - 1);
    second = ready_[place] == first ? ready_[count - 1] : ready_[place];
  }
  const auto usable = [&](const LocalEndpoint& endpoint) {
    return &endpoint != avoid && !ejected(endpoint, now);
  };
  if (!usable(*first)) std::swap(first, second);
  if (!usable(*first)) return nullptr;
  if (usable(*second) && LoadOf(*second) < LoadOf(*first)) std::swap(first, second);
  if (TryTake(*first)) return first;
  return usable(*second) && TryTake(*second) ? second : nullptr;
}

/// No limit, and the two looks met only ejected or avoided ones.
LocalEndpoint* Balancer::TakeLeast(const LocalEndpoint* avoid, TimePoint now) {
  LocalEndpoint* best = nullptr;
  const auto rank = [&](const LocalEndpoint& endpoint) {
    return std::pair(2 * ejected(endpoint, now) + (&endpoint == avoid), LoadOf(endpoint));
  };
  for (LocalEndpoint* endpoint : ready_) {
    if (best == nullptr || rank(*endpoint) < rank(*best)) best = endpoint;
  }
  CHECK(best != nullptr && TryTake(*best));
  return best;
}

/// In order, so that load packs onto the first ones and the last ones go idle. The avoided one only
/// where it stands alone, the ejected ones only where there are no others.
LocalEndpoint* Balancer::TakeFirstFree(const LocalEndpoint* avoid, TimePoint now) {
  bool others = false;
  for (LocalEndpoint* endpoint : ready_) {
    if (endpoint == avoid || ejected(*endpoint, now)) continue;
    others = true;
    if (TryTake(*endpoint)) return endpoint;
  }
  if (others) return nullptr;
  for (LocalEndpoint* endpoint : ready_) {
    if (TryTake(*endpoint)) return endpoint;
  }
  return nullptr;
}

bool Balancer::TryTake(LocalEndpoint& endpoint) const {
  if (endpoint.counted && !endpoint.shared->TryTake(limit_)) return false;
  ++endpoint.in_flight;
  return true;
}

uint32_t Balancer::LoadOf(const LocalEndpoint& endpoint) {
  return endpoint.counted ? endpoint.shared->in_flight() : endpoint.in_flight;
}

void Balancer::Release(LocalEndpoint& endpoint) {
  CHECK(endpoint.in_flight > 0);
  --endpoint.in_flight;
  if (endpoint.counted) endpoint.shared->Release();
}

TimePoint Balancer::NextReturn(TimePoint now) const {
  TimePoint next = kNever;
  if (now >= ejected_until_) return next;
  for (const LocalEndpoint* endpoint : ready_) {
    if (now < endpoint->ejected_until) next = std::min(next, endpoint->ejected_until);
  }
  return next;
}

void Balancer::ConnectFailed(LocalEndpoint& endpoint, TimePoint now) {
  const uint32_t doublings = std::min(endpoint.connect_failures, 5u);
  ++endpoint.connect_failures;
  const Duration span = std::min<Duration>(kEjectFirst * (1u << doublings), kEjectMost);
  endpoint.ejected_until = Later(now, span);
  ejected_until_ = std::max(ejected_until_, endpoint.ejected_until);
}

}  // namespace rouse::proxy
