#pragma once
// What:  the static file's workloads and routes as a Snapshot (design 15.12).
// Owner: a pure function; app calls it at start and on SIGHUP.
// Limits: none of its own.

#include <cstdint>

#include "proxy/config.h"
#include "proxy/model/snapshot.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

/// Static endpoints are ready. Where the file has workloads and no routes, the first workload takes every
/// request. `before` (may be null) lends workloads their places, so that what is unchanged stays where it is.
[[nodiscard]] SnapshotPtr BuildStaticSnapshot(const StaticConfig& fixed, const SnapshotPtr& before,
                                              SlotTable& slots, TimePoint now);

}  // namespace rouse::proxy
