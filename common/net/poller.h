#pragma once
// What:      Poller, epoll: tells PollTargets what their sockets are ready for.
// Owner:     the shard. One shard.
// Limits:    kEventsPerTurn events per Wait.
// Invariant: a connection is added once, edge-triggered, and never modified; closing its descriptor
//            takes it out. Event data is slot index and generation, so an event of a removed target
//            is dropped.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "common/net/descriptor.h"

struct epoll_event;

namespace rouse::net {

/// What a socket has become ready for. `broken` implies `hung_up`, and that `readable`.
struct Readiness {
  bool readable = false;
  bool writable = false;
  bool hung_up = false;  ///< RDHUP, HUP or ERR
  bool broken = false;   ///< ERR
};

class PollTarget {
 public:
  virtual void OnReady(Readiness readiness) = 0;

 protected:
  ~PollTarget() = default;
};

class Poller {
 public:
  static constexpr size_t kEventsPerTurn = 256;
  enum class Trigger : uint8_t {
    kEdge,   ///< connections: told once per change, both directions
    kLevel,  ///< listeners: told as long as it is readable
  };
  struct Registration {
    uint32_t slot = 0;
    uint32_t generation = 0;
  };

  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  /// Over which "lately" goes, here and in the shard.
  static constexpr Duration kWindow = std::chrono::milliseconds(1);

  [[nodiscard]] Registration Add(int fd, PollTarget& target, Trigger trigger = Trigger::kEdge);
  /// As Add for a connection, but the kernel hears of it when the next Wait begins: what was read
  /// by then makes no event, and one that is over by then costs no call.
  [[nodiscard]] Registration AddLate(int fd, PollTarget& target);
  /// To be called before the descriptor is closed. Makes no system call.
  void Remove(Registration registration);
  /// As Remove, for a descriptor that stays open and goes to another shard.
  void Detach(int fd, Registration registration);
  /// Stops or resumes events of a kLevel target.
  void Mute(int fd, Registration registration, bool muted);

  /// Waits at most `most` (Duration::max(): without end) for events; the next Dispatch hands them
  /// out. Makes no system call where nothing was added and there is nothing to wait for.
  void Wait(Duration most);
  /// Events that the next Dispatch will hand out.
  [[nodiscard]] size_t pending() const { return pending_; }
  /// Tells the targets; returns how many events there were. `now` is the turn's.
  size_t Dispatch(TimePoint now);
  /// How many targets had an event within the last whole kWindow; 0 after a time without any.
  [[nodiscard]] size_t ready_lately() const { return ready_lately_; }

 private:
  struct Slot {
    PollTarget* target = nullptr;
    uint32_t generation = 0;
    uint32_t mark = 0;  ///< free: the next free slot; in use: the last window with an event
  };
  struct Late {
    int fd;
    Registration registration;
  };
  [[nodiscard]] Registration Occupy(PollTarget& target);
  void TellKernel(int fd, Registration registration, Trigger trigger);
  void AddThoseLate();
  void TurnWindow(TimePoint now);
  static constexpr uint32_t kNone = UINT32_MAX;

  Descriptor epoll_;
  std::vector<Slot> slots_;
  std::vector<Late> late_;  ///< since the last Wait: what a turn has accepted
  uint32_t first_free_ = kNone;
  size_t registered_ = 0;
  std::unique_ptr<epoll_event[]> events_;
  size_t pending_ = 0;
  uint32_t window_ = 0;
  TimePoint window_began_{};
  size_t ready_now_ = 0;  ///< targets with an event in this window
  size_t ready_lately_ = 0;
};

}  // namespace rouse::net
