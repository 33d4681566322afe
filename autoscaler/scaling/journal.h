#pragma once
// What:      Journal, the last decisions of each workload with what they were made from and what
//            became of them; the page /decisions.
// Owner:     app; scale_loop writes. Control thread.
// Limits:    kEntriesMax per workload; the oldest goes first. A workload's entries go with it.
// Invariant: one entry per change of number or reason, so that the entries replay the story.

#include <cstddef>
#include <deque>
#include <map>
#include <string>

#include "autoscaler/model/decision.h"
#include "autoscaler/scaling/json_text.h"
#include "common/base/object_key.h"

namespace rouse::autoscaler {

class Journal {
 public:
  static constexpr size_t kEntriesMax = 64;

  struct Entry {
    TimePoint at;
    WallTime wall;
    Decision decision;
    bool leader = false;  ///< did this replica lead when it decided
    std::string
        outcome{};  ///< what became of it: "written 0 -> 1", "conflict", ...; empty: nothing to do
  };

  void Add(const ObjectKey& workload, Entry entry);
  /// Notes what became of the workload's last decision.
  void Note(const ObjectKey& workload, std::string outcome);
  void Remove(const ObjectKey& workload) { entries_.erase(workload); }

  /// Oldest first; empty where none.
  [[nodiscard]] const std::deque<Entry>& EntriesOf(const ObjectKey& workload) const;

  /// `{"decisions": [{"workload": ..., "entries": [...]}]}`, newest entry first. `only` narrows it
  /// to one workload.
  [[nodiscard]] std::string Json(const ObjectKey* only = nullptr) const;

 private:
  std::map<ObjectKey, std::deque<Entry>> entries_;
};

/// The figures of a decision as members of an open object.
void AppendDecision(const Decision& decision, JsonText& json);

}  // namespace rouse::autoscaler
