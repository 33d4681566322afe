#pragma once
// What:  values with units as people write them: 500ms, 1m30s, 10MiB, true; read and written.
// Owner: nobody; pure functions. Any thread.
// Never: guesses a unit: a bare number is bytes for a size, and refused for a duration unless it is
//        0.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"

namespace rouse::app {

/// Units ns, us, ms, s, m, h, d; several may follow one another, and a number may have a fraction.
[[nodiscard]] absl::StatusOr<Duration> ParseDuration(std::string_view text);
/// Units B, KiB, MiB, GiB, TiB.
[[nodiscard]] absl::StatusOr<uint64_t> ParseSize(std::string_view text);
[[nodiscard]] absl::StatusOr<int64_t> ParseInteger(std::string_view text);
[[nodiscard]] absl::StatusOr<double> ParseNumber(std::string_view text);
/// true, false, yes, no, on, off, 1, 0.
[[nodiscard]] absl::StatusOr<bool> ParseBoolean(std::string_view text);
/// Parts between commas, without the blanks round them; no parts in an empty text.
[[nodiscard]] std::vector<std::string> ParseList(std::string_view text);

/// In the largest unit that gives a whole number.
[[nodiscard]] std::string FormatDuration(Duration value);
[[nodiscard]] std::string FormatSize(uint64_t bytes);
[[nodiscard]] std::string FormatNumber(double value);

/// Of `known`, the one most like `name`; empty where none is near (Levenshtein distance).
[[nodiscard]] std::string Nearest(std::string_view name, const std::vector<std::string>& known);
/// What an error about a name ends with: `; did you mean `, `before`, the nearest and `?`; empty
/// where none is near.
[[nodiscard]] std::string DidYouMean(std::string_view name, const std::vector<std::string>& known,
                                     std::string_view before = {});

}  // namespace rouse::app
