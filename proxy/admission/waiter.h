#pragma once
// What:      Waiter, one exchange parked in Admission::Acquire.
// Owner:     the coroutine frame of Acquire. One shard.
// Invariant: in its workload's ParkedList exactly while `outcome` is kWaiting; set once to kSlot or
//            kFailed, then the event is signalled. kWaiting -> kSlot | kFailed.

#include <cstdint>
#include <optional>

#include "common/base/error.h"
#include "common/net/event.h"
#include "proxy/admission/slot.h"

namespace rouse::proxy {

struct Waiter : Parked {
  enum class Outcome : uint8_t { kWaiting, kSlot, kFailed };

  Waiter(net::Shard& shard, Admission& owner, Workload& of, TimePoint arrived)
      : Parked(arrived), event(shard), admission(owner), workload(of) {}

  net::Event event;
  Admission& admission;
  Workload& workload;
  const LocalEndpoint* avoid = nullptr;
  uint64_t bytes = 0;                ///< charged for it
  std::optional<uint64_t> ticket{};  ///< its place in the shard's WaiterQueue
  Outcome outcome = Outcome::kWaiting;
  bool cold = false;  ///< parked while no endpoint was ready
  TimePoint parked{};
  ColdStartPhase phase;  ///< of the cold start it waited for, as of its slot
  Slot slot;
  Error error;
};

[[nodiscard]] inline Waiter* FrontOf(const ParkedList& list) {
  return static_cast<Waiter*>(list.front());
}
[[nodiscard]] inline Waiter* NextOf(const Waiter& waiter) {
  return static_cast<Waiter*>(waiter.next);
}

}  // namespace rouse::proxy
