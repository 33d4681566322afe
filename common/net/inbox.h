#pragma once
// What:      Inbox, the part of a shard that other threads may touch: its messages, its count of
//            connections and the time of its last turn.
// Owner:     the shard; posters must not outlive it.
// Shard:     Push and the readers from any thread, the rest on the shard's own.
// Limits:    kMessagesMax messages; beyond it Push says no.
// Invariant: the eventfd is written only if the shard sleeps, and once per sleep. This file is one
//            of the two that may use atomics (the other: in-flight counters per endpoint, proxy's
//            slot table).

#include <atomic>
#include <cstdint>
#include <memory>

#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "common/net/descriptor.h"

namespace rouse::net {

class Inbox {
 public:
  static constexpr size_t kMessagesMax = 65536;
  using Message = absl::AnyInvocable<void()>;

  Inbox();
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// Any thread. False where the inbox is full.
  [[nodiscard]] bool Push(Message message);

  /// Runs what has arrived so far, in order per sender; returns how many.
  size_t Run();
  /// To be called before the shard waits for events; false where messages wait, so it must not.
  [[nodiscard]] bool TrySleep();
  /// To be called after a wait that followed TrySleep.
  void Awake();
  [[nodiscard]] bool empty() const;
  /// Becomes readable when a message arrives during sleep. It is edge-triggered and never read.
  [[nodiscard]] int wake_fd() const { return wake_.get(); }

  void Beat(TimePoint now) {
    last_turn_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  [[nodiscard]] int64_t last_turn_ns() const { return last_turn_.load(std::memory_order_relaxed); }

  void AddConnections(int64_t n) { connections_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] int64_t connections() const { return connections_.load(std::memory_order_relaxed); }

 private:
  struct Node {
    Message message;
    Node* next = nullptr;
  };

  /// The newest message, or null, or &asleep_: empty, and the shard waits.
  std::atomic<Node*> newest_ = nullptr;
  std::atomic<size_t> queued_ = 0;
  std::atomic<int64_t> last_turn_ = 0;
  std::atomic<int64_t> connections_ = 0;
  Node asleep_;
  Descriptor wake_;
};

}  // namespace rouse::net
