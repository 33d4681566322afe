#pragma once
// What:      AcquireRequest, what asks for a slot; Waiter, an exchange that has to wait for one;
//            Acquiring, that wait.
// Owner:     Acquiring; pooled, since it is all that a parked exchange has beyond its frame. One
//            shard.
// Invariant: in its workload's ParkedList exactly while `waiting`; then `slot` or `error` is set
//            once, and the event signalled.

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/error.h"
#include "common/http/stream.h"
#include "common/net/event.h"
#include "common/net/frame_pool.h"
#include "proxy/admission/slot.h"
#include "proxy/admission/workload.h"
#include "proxy/telemetry/access_log.h"

namespace rouse::proxy {

class Admission;

struct AcquireRequest {
  Slot& slot;  ///< set where there is no error; outlives the wait
  WorkloadRef workload;
  http::ServerStream& stream;
  TimePoint arrival{};                   ///< the order of waiting
  TimePoint hold = kNever;               ///< arrival + hold_timeout: kColdStartTimeout
  TimePoint client_deadline = kNever;    ///< kDeadlineExceeded
  const LocalEndpoint* avoid = nullptr;  ///< where the attempt before failed
  ColdStartTimes& times;                 ///< filled where it was parked; outlives the wait
  bool may_wake = true;  ///< false: nobody could wake it, so without an endpoint kNoAutoscaler
};

struct Waiter : Parked {
  Waiter(Admission& owner, net::Shard& shard, AcquireRequest&& request)
      : Parked(request.arrival),
        event(shard),
        admission(owner),
        slot(request.slot),
        workload(std::move(request.workload)),
        stream(request.stream),
        deadline(std::min(request.hold, request.client_deadline)),
        avoid(request.avoid),
        times(request.times),
        by_client(request.client_deadline <= request.hold),
        may_wake(request.may_wake) {}

  static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
  static void operator delete(void* waiter, size_t bytes) { net::FramePool::Give(waiter, bytes); }

  net::Event event;
  Admission& admission;
  Slot& slot;
  const WorkloadRef workload;
  http::ServerStream& stream;
  const TimePoint deadline;
  const LocalEndpoint* avoid;
  ColdStartTimes& times;             ///< `parked`, `cold`, and with the slot those of its start
  std::optional<uint64_t> ticket{};  ///< its place in the shard's WaiterQueue
  Error error;                       ///< why there is no slot
  uint32_t bytes = 0;                ///< charged for it
  bool parked = false;               ///< it had to wait
  bool waiting = false;              ///< it still does
  const bool by_client;              ///< whose deadline it is
  const bool may_wake;
};

/// The wait of Acquire; to be awaited at once, and then it says why there is no slot. No coroutine
/// of its own: a parked exchange keeps but a Waiter.
class [[nodiscard]] Acquiring {
 public:
  explicit Acquiring(Waiter* waiter);
  Acquiring(const Acquiring&) = delete;
  Acquiring& operator=(const Acquiring&) = delete;
  ~Acquiring();
  [[nodiscard]] bool await_ready() const;
  void await_suspend(std::coroutine_handle<> exchange);
  [[nodiscard]] Error await_resume();

 private:
  std::unique_ptr<Waiter> waiter_;
};

[[nodiscard]] inline Waiter* FrontOf(const ParkedList& list) {
  return static_cast<Waiter*>(list.front());
}
[[nodiscard]] inline Waiter* NextOf(const Waiter& waiter) {
  return static_cast<Waiter*>(waiter.next);
}

}  // namespace rouse::proxy
