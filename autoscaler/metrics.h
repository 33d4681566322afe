#pragma once
// What:      every metric of rouse-autoscaler: its row (name, labels, help), and the page made from
//            the parts' own counters when it is asked for.
// Owner:     functions; app calls them. Control thread.
// Limits:    labels come from workloads, reasons and outcomes only.

#include <string>

#include "autoscaler/demand/demand_store.h"
#include "autoscaler/intake/intake_server.h"
#include "autoscaler/observe/policy_source.h"
#include "autoscaler/scaling/scale_loop.h"
#include "autoscaler/scaling/scale_writer.h"
#include "common/obs/metrics.h"

namespace rouse::autoscaler {

/// The parts that count.
struct MetricSources {
  const ScaleLoop& loop;
  const ScaleWriter& writer;
  const DemandStore& demand;
  const IntakeServer& intake;
  const PolicySource& policies;
  bool leading = false;
  bool synced = false;
  Duration api_silence{};  ///< since the API server last said anything
};

void AddMetrics(const MetricSources& sources, TimePoint now, obs::MetricPage& page);

/// The table of the README.
[[nodiscard]] std::string MetricTableMarkdown();

}  // namespace rouse::autoscaler
