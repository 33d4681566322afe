#pragma once
// What:  the forms of a timestamp in the API.
// Owner: functions; pure. Any thread.

#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace rouse::k8s {

/// RFC 3339 with any fraction and offset, as metav1.Time and MicroTime are written; nullopt where
/// it is none.
[[nodiscard]] std::optional<WallTime> ParseTimestamp(std::string_view text);
/// `2026-11-23T19:25:18Z`.
[[nodiscard]] std::string FormatTimestamp(WallTime time);
/// `2026-11-23T19:25:18.123456Z`, which a Lease wants.
[[nodiscard]] std::string FormatMicroTime(WallTime time);

}  // namespace rouse::k8s
