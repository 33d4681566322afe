#pragma once
// What:   the values of policy annotations: durations, sizes, numbers, scale targets and hosts as
//         people write them, and how they are written back.
// Owner:  functions; pure. Any thread.
// Limits: host_rules_max rules in one annotation.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "k8s/objects/scale.h"

namespace rouse::k8s {

inline constexpr size_t host_rules_max = 64;

/// One place where a workload answers. `host` is lower case: exact, `*.suffix`, or `*`.
struct HostRule {
  std::string host;
  std::string path = "/";
  bool operator==(const HostRule&) const = default;
};

/// Go's form of a duration: `1m30s`, `500ms`, `0`; nullopt where it is none or overflows.
[[nodiscard]] std::optional<Duration> ParseDurationText(std::string_view text);
/// The shortest such form: `1m30s`.
[[nodiscard]] std::string FormatDurationText(Duration duration);

[[nodiscard]] std::optional<int64_t> ParseWholeNumber(std::string_view text);
/// A finite decimal number.
[[nodiscard]] std::optional<double> ParseDecimal(std::string_view text);
[[nodiscard]] std::string FormatDecimal(double number);
/// Bytes: `65536`, `64KiB`, `10MiB`, `1GiB`, or with Kubernetes' `Ki`, `Mi`, `Gi`.
[[nodiscard]] std::optional<int64_t> ParseSize(std::string_view text);

/// `deployment/NAME`, `statefulset/NAME` or `GROUP/VERSION/RESOURCE/NAME`.
[[nodiscard]] std::optional<ScaleTarget> ParseScaleTarget(std::string_view text);

/// `HOST[/PATH],...`. On failure nullopt, and `why` says what is wrong.
[[nodiscard]] std::optional<std::vector<HostRule>> ParseHosts(std::string_view text,
                                                              std::string& why);

/// Edits (insert, delete, replace) that turn one word into another.
[[nodiscard]] size_t EditDistance(std::string_view from, std::string_view to);

}  // namespace rouse::k8s
