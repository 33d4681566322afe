#pragma once
// What:      ColumnsOf: objects as the table that `get` prints, with kubectl's columns.
// Owner:     nobody; pure functions. Any thread.

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "k8s/local/json.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

struct TableOptions {
  bool wide = false;
  bool namespaces = false;  ///< a column for the namespace
};

/// The heading and a line for each object, aligned; empty where there are no objects.
[[nodiscard]] std::string TableOf(const ResourceKind& kind, const JsonArray& objects, WallTime now,
                                  TableOptions options);

/// `5s`, `3m10s`, `4h5m`, `2d3h`, as kubectl shows ages.
[[nodiscard]] std::string AgeText(Duration age);

}  // namespace rouse::k8s::local
