#pragma once
// What:      Slot, leave for one exchange to be in flight at one endpoint; frees itself, and the
//            next waiter goes to its shard's ready list.
// Owner:     the exchange. Moves, never copies.
// Shard:     one.
// Invariant: keeps its workload and endpoint alive, whatever snapshots say meanwhile.

#include <utility>

#include "proxy/admission/workload.h"
#include "proxy/upstream/local_endpoint.h"

namespace rouse::proxy {

class Admission;

class Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept
      : admission_(std::exchange(other.admission_, nullptr)),
        workload_(std::move(other.workload_)),
        endpoint_(std::move(other.endpoint_)) {}
  Slot& operator=(Slot&& other) noexcept {
    if (this != &other) {
      Release();
      admission_ = std::exchange(other.admission_, nullptr);
      workload_ = std::move(other.workload_);
      endpoint_ = std::move(other.endpoint_);
    }
    return *this;
  }
  ~Slot() { Release(); }

  /// False: there was none to be had at once, park for it.
  [[nodiscard]] explicit operator bool() const { return admission_ != nullptr; }
  [[nodiscard]] LocalEndpoint& endpoint() const { return *endpoint_; }
  [[nodiscard]] Workload& workload() const { return *workload_; }
  /// Ends the leave; also done by the destructor.
  void Release();

 private:
  friend class Admission;
  Slot(Admission* admission, WorkloadRef workload, EndpointRef endpoint)
      : admission_(admission), workload_(std::move(workload)), endpoint_(std::move(endpoint)) {}

  Admission* admission_ = nullptr;
  WorkloadRef workload_;
  EndpointRef endpoint_;
};

}  // namespace rouse::proxy
