#pragma once
// What:      ScaleWriter brings a target's `scale` to a wanted count, and remembers the last count
//            and version it saw. Wake raises 0 -> n, on any replica; Set does everything else, on
//            the leader only (architecture 15.8).
// Owner:     app; the listener (scale_loop) must outlive it. Control thread.
// Limits:    WriterLimits; one call in flight per target, a later want replaces an earlier one.
// Invariant: every patch carries a resourceVersion under which this process saw the count that it
//            replaces; Wake replaces only 0; Set asks for the lease immediately before. A count
//            that moved is handed back to be decided anew, never overwritten.
// Never:     decides a count.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>

#include "autoscaler/scaling/scale_api.h"
#include "common/base/backoff.h"
#include "common/base/random.h"
#include "common/control/channel.h"
#include "common/obs/metrics.h"

namespace rouse::autoscaler {

struct WriterLimits {
  Duration retry_first = std::chrono::milliseconds(20);
  Duration retry_most = std::chrono::seconds(2);
  int wake_tries_max = 8;  ///< then the next report of a parked request begins again
  Duration refused_first =
      std::chrono::seconds(1);  ///< after an answer that a repeat will not change
  Duration refused_most = std::chrono::seconds(30);
  size_t refreshes_max = 16;  ///< reads in flight that nobody waits for
};

enum class WriteOutcome : uint8_t {
  kWritten,
  kAlready,  ///< the count was there, or, for a wake, above zero
  kMoved,    ///< the count is not the one that was decided on, or changed meanwhile: decide again
  kNotLeader,
  kUnset,    ///< the object has no replica count to read or set
  kMissing,  ///< no such object
  kRefused,  ///< not permitted, or not valid
  kFailed,   ///< the API could not be asked
};
inline constexpr size_t kWriteOutcomes = 8;
[[nodiscard]] std::string_view NameOf(WriteOutcome outcome);

struct Written {
  WriteOutcome outcome = WriteOutcome::kFailed;
  bool wake = false;
  int from = 0;
  int to = 0;
  Duration took{};      ///< from the want to its end
  absl::Status status;  ///< what went wrong, if anything
};

struct WriterCounters {
  uint64_t reads = 0;
  uint64_t patches = 0;
  uint64_t conflicts = 0;
  uint64_t retries = 0;
  std::array<uint64_t, kWriteOutcomes> wakes{};  ///< by outcome
  std::array<uint64_t, kWriteOutcomes> sets{};   ///< by outcome
  obs::Histogram wake_sent;                      ///< want -> the first patch handed to the client
  obs::Histogram wake_written;                   ///< want -> the API's answer
};

class ScaleWriter {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    /// The count is known for the first time, or has changed.
    virtual void OnScale(const ObjectKey& workload) = 0;
    virtual void OnWritten(const ObjectKey& workload, const Written& written) = 0;
  };

  ScaleWriter(control::Loop& loop, ScaleApi& api, uint64_t seed, WriterLimits limits,
              absl::AnyInvocable<bool()> is_leader);
  ~ScaleWriter();
  void SetListener(Listener* listener) { listener_ = listener; }

  /// A changed target is begun anew. Its count is read soon.
  void Declare(const ObjectKey& workload, const k8s::ScaleTarget& target);
  void Remove(const ObjectKey& workload);

  void Wake(const ObjectKey& workload, int replicas);
  /// `decided_on` is the count that the decision saw.
  void Set(const ObjectKey& workload, int replicas, int decided_on);
  /// The count that is there is wanted after all: a Set that has not been sent is dropped.
  void Keep(const ObjectKey& workload);
  /// Reads the count again soon.
  void Refresh(const ObjectKey& workload);
  /// The workload has gone to zero, or is new: learn the version that it comes to rest at, so that
  /// the next wake is one patch without a read.
  void Settle(const ObjectKey& workload);

  struct Known {
    int replicas;
    TimePoint seen_at;
  };
  [[nodiscard]] std::optional<Known> known(const ObjectKey& workload) const;
  /// Targets that have been told to Settle and are to be read again.
  [[nodiscard]] size_t settling() const;
  /// Why the target cannot be written, as of the last answer; OK where it can.
  [[nodiscard]] const absl::Status& problem(const ObjectKey& workload) const;
  [[nodiscard]] const WriterCounters& counters() const { return counters_; }

 private:
  struct Want {
    uint64_t id = 0;
    bool wake = false;
    int replicas = 0;
    int decided_on = 0;
    TimePoint since{};
  };
  struct Target;

  [[nodiscard]] Target* Find(const ObjectKey& workload);
  void WantIt(Target& target, Want want);
  void MakeWay(Target& target);
  void Step(Target& target);
  void StepWake(Target& target);
  void StepSet(Target& target);
  void Read(Target& target, bool wake);
  void OnRead(Target& target, absl::StatusOr<k8s::Scale> scale);
  void Patch(Target& target);
  void OnPatched(Target& target, absl::StatusOr<k8s::Scale> scale);
  void OnConflict(Target& target);
  void OnFailure(Target& target, const absl::Status& status);
  void RetryLater(Target& target);
  void Learn(Target& target, const k8s::Scale& scale);
  void Finish(Target& target, const Want& want, WriteOutcome outcome, absl::Status status = {});
  void StartRefreshes();
  void ArmSettle(Target& target);

  control::Loop& loop_;
  ScaleApi& api_;
  Random random_;
  WriterLimits limits_;
  absl::AnyInvocable<bool()> is_leader_;
  Listener* listener_ = nullptr;
  absl::flat_hash_map<ObjectKey, std::unique_ptr<Target>> targets_;
  std::deque<ObjectKey> refresh_queue_;
  size_t refreshing_ = 0;
  uint64_t next_want_ = 1;
  WriterCounters counters_;
};

}  // namespace rouse::autoscaler
