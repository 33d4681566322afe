#pragma once
// What:      ScaleLoop, observe -> decide -> apply for every active workload: each tick, and at
//            once for a wake.
// Owner:     app. Control thread.
// Limits:    one decision per workload and LoopOptions::decide_again_after, wakes apart; a tick
//            costs O(active).
// Invariant: a workload is inactive only where it is at zero, wants zero, and has no demand: then
//            only a report, a changed policy, its endpoints or its count bring it back.
// Never:     does arithmetic on demand (demand, decision) or speaks to the API (scale_writer).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/functional/any_invocable.h>

#include "autoscaler/decision/decide.h"
#include "autoscaler/demand/demand_store.h"
#include "autoscaler/model/workload_spec.h"
#include "autoscaler/scaling/journal.h"
#include "autoscaler/scaling/scale_writer.h"
#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::autoscaler {

struct LoopOptions {
  Duration tick = std::chrono::seconds(2);
  /// Between two decisions of one workload because of reports of parked requests.
  Duration decide_again_after = std::chrono::milliseconds(200);
  /// A count that nobody changed is read again this often while its workload is active.
  Duration refresh_every = std::chrono::seconds(60);
};

/// A workload as the pages and metrics show it.
struct WorkloadView {
  ObjectKey key;
  std::string target;
  Phase phase = Phase::kInactive;
  bool active = false;
  Target goal;
  Decision decision;
  std::string problem;  ///< why its scale cannot be written; empty where it can
  std::string rival;    ///< the HorizontalPodAutoscaler that it is left to
};

struct LoopCounters {
  uint64_t ticks = 0;
  uint64_t decisions = 0;
  uint64_t wakes = 0;                        ///< decided at once because of a report
  std::array<uint64_t, kReasons> changes{};  ///< changed decisions by reason
};

class ScaleLoop final : public ScaleWriter::Listener {
 public:
  ScaleLoop(control::Loop& loop, DemandStore& demand, ScaleWriter& writer, Journal& journal,
            obs::Log& log, LoopOptions options, absl::AnyInvocable<bool()> is_leader);
  ~ScaleLoop() override;

  void Start();
  void Stop();

  // From observe/.
  void OnWorkload(WorkloadSpec spec);
  void OnWorkloadGone(const ObjectKey& workload);
  void OnReady(const ObjectKey& workload, int ready);
  /// A HorizontalPodAutoscaler of this name scales the target: it is left alone. Empty: no more.
  void OnRival(const ObjectKey& workload, const std::string& rival);
  /// Ready counts mean something from now on; before, only wakes are written.
  void OnSynced();

  /// From intake: a report says that the workload has demand.
  void OnDemand(const ObjectKey& workload, const wire::Stat& stat);

  void OnLeadership(bool leading);

  // From the writer.
  void OnScale(const ObjectKey& workload) override;
  void OnWritten(const ObjectKey& workload, const Written& written) override;

  [[nodiscard]] std::vector<WorkloadView> Views() const;
  [[nodiscard]] std::string Json() const;  ///< the page /workloads
  [[nodiscard]] size_t workloads() const { return entries_.size(); }
  [[nodiscard]] size_t active() const { return active_.size(); }
  [[nodiscard]] TimePoint last_tick() const { return last_tick_; }
  [[nodiscard]] const LoopCounters& counters() const { return counters_; }

 private:
  struct Entry;

  void Tick();
  [[nodiscard]] Entry* Find(const ObjectKey& workload);
  void DropSharers(const Entry& entry, const std::vector<ObjectKey>& kept);
  void Activate(Entry& entry);
  void Evaluate(Entry& entry);
  [[nodiscard]] Observed Observe(Entry& entry, TimePoint now);
  void Remember(Entry& entry, const Decision& decision, TimePoint now);
  void Apply(Entry& entry, TimePoint now);
  void KeepFresh(Entry& entry, TimePoint now);
  [[nodiscard]] bool MayRest(const Entry& entry) const;

  control::Loop& loop_;
  DemandStore& demand_;
  ScaleWriter& writer_;
  Journal& journal_;
  obs::Log& log_;
  LoopOptions options_;
  absl::AnyInvocable<bool()> is_leader_;
  absl::flat_hash_map<ObjectKey, std::unique_ptr<Entry>> entries_;
  absl::flat_hash_map<ObjectKey, ObjectKey> sharers_;  ///< a sharing Service -> its workload
  absl::flat_hash_set<Entry*> active_;
  bool synced_ = false;
  bool running_ = false;
  control::TimerId tick_timer_ = 0;
  TimePoint last_tick_{};
  LoopCounters counters_;
};

}  // namespace rouse::autoscaler
