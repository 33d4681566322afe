#include "autoscaler/metrics.h"

#include <algorithm>
#include <array>

#include <absl/strings/str_cat.h>

namespace rouse::autoscaler {
namespace {

struct Row {
  std::string_view name;
  std::string_view labels;
  std::string_view help;
};

/// The rows, in the order of the table; `M` names their places.
enum class M : uint8_t {
  kWanted,
  kReplicas,
  kReady,
  kStable,
  kPanic,
  kTarget,
  kPanicking,
  kParked,
  kExcess,
  kRival,
  kActive,
  kDecisions,
  kChanges,
  kWakes,
  kSets,
  kConflicts,
  kSettling,
  kWakeSent,
  kWakeWritten,
  kLeading,
  kSynced,
  kApiSilence,
  kSenders,
  kConnections,
  kReports,
  kMalformed,
  kUnauthorized,
  kUnknownWorkload,
  kHeldSeconds,
  kInvalidAnnotations,
};
constexpr size_t kRows = static_cast<size_t>(M::kInvalidAnnotations) + 1;

#define ROUSE_METRIC(name) "rouse_autoscaler_" name
constexpr std::array<Row, kRows> kTable{{
    {ROUSE_METRIC("wanted_replicas"), "workload", "Replicas by the last decision; -1: held."},
    {ROUSE_METRIC("spec_replicas"), "workload", "Replicas as last read or written; -1: not known."},
    {ROUSE_METRIC("ready_endpoints"), "workload", "Ready endpoints."},
    {ROUSE_METRIC("demand_stable"), "workload", "Demand over the stable window, in its metric."},
    {ROUSE_METRIC("demand_panic"), "workload", "Demand over the panic window, in its metric."},
    {ROUSE_METRIC("demand_target"), "workload", "Demand that one pod is to carry."},
    {ROUSE_METRIC("panicking"), "workload", "1 while the panic window holds the count up."},
    {ROUSE_METRIC("parked_requests"), "workload",
     "Requests waiting for a pod, by the last reports."},
    {ROUSE_METRIC("excess_burst_capacity"), "workload",
     "Requests that fit beyond demand and the target burst capacity."},
    {ROUSE_METRIC("left_to_hpa"), "workload",
     "1 where a HorizontalPodAutoscaler scales the same object, which is left alone."},
    {ROUSE_METRIC("active_workloads"), "", "Workloads that are decided on at each tick."},
    {ROUSE_METRIC("decisions_total"), "", "Decisions made."},
    {ROUSE_METRIC("decision_changes_total"), "reason", "Decisions that changed number or reason."},
    {ROUSE_METRIC("wakes_total"), "outcome", "Wakes from zero, by what became of them."},
    {ROUSE_METRIC("scale_writes_total"), "outcome", "Other writes, by what became of them."},
    {ROUSE_METRIC("scale_conflicts_total"), "", "Writes that the API refused for an old version."},
    {ROUSE_METRIC("settling_targets"), "",
     "Targets whose version is read again within 6 s; a wake before that may cost a read more."},
    {ROUSE_METRIC("wake_sent_seconds"), "", "Decision to wake -> patch handed to the client."},
    {ROUSE_METRIC("wake_written_seconds"), "", "Decision to wake -> the API's answer."},
    {ROUSE_METRIC("leading"), "", "1 while this replica holds the lease."},
    {ROUSE_METRIC("synced"), "", "1 once Services and endpoints have been listed."},
    {ROUSE_METRIC("api_silence_seconds"), "", "Since the API server last said anything."},
    {ROUSE_METRIC("senders"), "", "Proxies and activators that are known."},
    {ROUSE_METRIC("intake_connections"), "", "Open connections of senders."},
    {ROUSE_METRIC("reports_total"), "", "Reports filed."},
    {ROUSE_METRIC("reports_malformed_total"), "", "Connections closed for what they sent."},
    {ROUSE_METRIC("intake_unauthorized_total"), "", "Connections refused for their token."},
    {ROUSE_METRIC("stats_unknown_workload_total"), "", "Stats for workloads that are not enabled."},
    {ROUSE_METRIC("held_seconds_total"), "",
     "Seconds for which the last value of an unheard proxy was taken."},
    {ROUSE_METRIC("invalid_annotations_total"), "", "Annotations that were not understood."},
}};
#undef ROUSE_METRIC

/// A page with the rows at hand.
class Rows {
 public:
  explicit Rows(obs::MetricPage& page) : page_(page) {}

  void Set(M metric, double value, const obs::Labels& labels = {}) {
    page_.Add(row(metric).name, row(metric).help, labels, obs::Gauge{value});
  }
  void Count(M metric, uint64_t value, const obs::Labels& labels = {}) {
    page_.Add(row(metric).name, row(metric).help, labels, obs::Counter{value});
  }
  void Time(M metric, const obs::Histogram& value) {
    page_.Add(row(metric).name, row(metric).help, {}, value);
  }

 private:
  static const Row& row(M metric) { return kTable[static_cast<size_t>(metric)]; }
  obs::MetricPage& page_;
};

void AddWorkloads(const ScaleLoop& loop, Rows& rows) {
  for (const WorkloadView& view : loop.Views()) {
    const obs::Labels labels = {{"workload", view.key.text()}};
    const Observed& observed = view.decision.observed;
    rows.Set(M::kWanted, view.decision.wanted, labels);
    rows.Set(M::kReplicas, observed.replicas, labels);
    rows.Set(M::kReady, observed.ready, labels);
    rows.Set(M::kStable, observed.stable, labels);
    rows.Set(M::kPanic, observed.panic, labels);
    rows.Set(M::kTarget, view.goal.target, labels);
    rows.Set(M::kPanicking, view.decision.panicking ? 1 : 0, labels);
    rows.Set(M::kParked, observed.parked, labels);
    rows.Set(M::kExcess, view.decision.excess_burst_capacity, labels);
    if (!view.rival.empty()) rows.Set(M::kRival, 1, labels);
  }
}

void AddScaling(const ScaleLoop& loop, const ScaleWriter& writer, Rows& rows) {
  rows.Set(M::kActive, static_cast<double>(loop.active()));
  rows.Count(M::kDecisions, loop.counters().decisions);
  for (size_t i = 0; i < kReasons; ++i) {
    const std::string reason(NameOf(static_cast<Reason>(i)));
    rows.Count(M::kChanges, loop.counters().changes[i], {{"reason", reason}});
  }
  const WriterCounters& written = writer.counters();
  for (size_t i = 0; i < kWriteOutcomes; ++i) {
    const obs::Labels labels = {{"outcome", std::string(NameOf(static_cast<WriteOutcome>(i)))}};
    rows.Count(M::kWakes, written.wakes[i], labels);
    rows.Count(M::kSets, written.sets[i], labels);
  }
  rows.Count(M::kConflicts, written.conflicts);
  rows.Set(M::kSettling, static_cast<double>(writer.settling()));
  rows.Time(M::kWakeSent, written.wake_sent);
  rows.Time(M::kWakeWritten, written.wake_written);
}

}  // namespace

void AddMetrics(const MetricSources& sources, TimePoint now, obs::MetricPage& page) {
  Rows rows(page);
  AddWorkloads(sources.loop, rows);
  AddScaling(sources.loop, sources.writer, rows);
  rows.Set(M::kLeading, sources.leading ? 1 : 0);
  rows.Set(M::kSynced, sources.synced ? 1 : 0);
  rows.Set(M::kApiSilence, std::chrono::duration<double>(sources.api_silence).count());
  rows.Set(M::kSenders, static_cast<double>(sources.demand.Senders(now).size()));
  rows.Set(M::kConnections, static_cast<double>(sources.intake.connections()));
  rows.Count(M::kReports, sources.demand.counters().reports);
  rows.Count(M::kMalformed, sources.intake.counters().malformed);
  rows.Count(M::kUnauthorized, sources.intake.counters().unauthorized);
  rows.Count(M::kUnknownWorkload, sources.demand.counters().unknown_workload);
  rows.Count(M::kHeldSeconds, sources.demand.counters().seconds_held);
  rows.Count(M::kInvalidAnnotations, sources.policies.counters().invalid);
}

std::string MetricTableMarkdown() {
  std::string table = "| Metric | Labels | Help |\n|---|---|---|\n";
  for (const Row& row : kTable) {
    absl::StrAppend(&table, "| `", absl::string_view(row.name.data(), row.name.size()), "` | ",
                    absl::string_view(row.labels.data(), row.labels.size()), " | ",
                    absl::string_view(row.help.data(), row.help.size()), " |\n");
  }
  return table;
}

}  // namespace rouse::autoscaler
