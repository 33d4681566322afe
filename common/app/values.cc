#include "common/app/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

namespace rouse::app {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

// From the largest to the smallest.
constexpr Unit kTimes[] = {{"d", 86'400'000'000'000},
                           {"h", 3'600'000'000'000},
                           {"m", 60'000'000'000},
                           {"s", 1'000'000'000},
                           {"ms", 1'000'000},
                           {"us", 1'000},
                           {"ns", 1}};
constexpr Unit kSizes[] = {
    {"TiB", int64_t{1} << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};

absl::Status NotA(std::string_view text, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", std::string(text), "\" is not ", what));
}

/// The next `number unit` of `text`, in the smallest unit; false where there is none or it is too
/// large.
bool TakeQuantity(std::string_view& text, std::span<const Unit> units, double* out) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const absl::StatusOr<double> number = ParseNumber(text.substr(0, digits));
  if (digits == 0 || !number.ok()) return false;
  text.remove_prefix(digits);
  const size_t letters = std::min(text.find_first_of("0123456789."), text.size());
  const std::string_view unit = text.substr(0, letters);
  text.remove_prefix(letters);
  for (const Unit& each : units) {
    if (each.name == unit) {
      *out = *number * static_cast<double>(each.factor);
      return true;
    }
  }
  return false;
}

std::string Format(int64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) return absl::StrCat(value / unit.factor, std::string(unit.name));
  }
  return absl::StrCat(value);
}

size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

}  // namespace

absl::StatusOr<Duration> ParseDuration(std::string_view text) {
  constexpr const char* kWhat = "a duration (such as 500ms, 30s, 5m, 1h30m)";
  if (text == "0") return Duration::zero();
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) return NotA(text, kWhat);
  while (!rest.empty()) {
    double part = 0;
    if (!TakeQuantity(rest, kTimes, &part)) return NotA(text, kWhat);
    total += part;
  }
  if (total >= static_cast<double>(Duration::max().count()))
    return NotA(text, "a duration we can hold");
  return Duration(std::llround(total));
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  constexpr const char* kWhat = "a size (such as 64KiB, 10MiB, 1GiB)";
  double bytes = 0;
  std::string_view rest = text;
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    const absl::StatusOr<int64_t> whole = ParseInteger(text);
    if (!whole.ok()) return NotA(text, kWhat);
    return static_cast<uint64_t>(*whole);
  }
  if (!TakeQuantity(rest, kSizes, &bytes) || !rest.empty()) return NotA(text, kWhat);
  if (bytes >= 9.2e18) return NotA(text, "a size we can hold");
  return static_cast<uint64_t>(std::llround(bytes));
}

absl::StatusOr<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end) return NotA(text, "an integer");
  return value;
}

absl::StatusOr<double> ParseNumber(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || !std::isfinite(value)) return NotA(text, "a number");
  return value;
}

absl::StatusOr<bool> ParseBoolean(std::string_view text) {
  const absl::string_view value(text.data(), text.size());
  for (const char* yes : {"true", "yes", "on", "1"}) {
    if (absl::EqualsIgnoreCase(value, yes)) return true;
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (absl::EqualsIgnoreCase(value, no)) return false;
  }
  return NotA(text, "true or false");
}

std::vector<std::string> ParseList(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    const absl::string_view part =
        absl::StripAsciiWhitespace({text.data(), std::min(comma, text.size())});
    if (!part.empty()) parts.emplace_back(part.data(), part.size());
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::string FormatDuration(Duration value) {
  if (value == Duration::zero()) return "0s";
  if (value == Duration::max()) return "unlimited";
  return Format(value.count(), kTimes);
}

std::string FormatSize(uint64_t bytes) {
  if (bytes == 0) return "0B";
  if (bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return "unlimited";
  return Format(static_cast<int64_t>(bytes), kSizes);
}

std::string FormatNumber(double value) { return absl::StrCat(value); }

std::string Nearest(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& each : known) {
    const size_t distance = Distance(name, each);
    if (distance < best_distance) {
      best = each;
      best_distance = distance;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& known,
                       std::string_view before) {
  const std::string nearest = Nearest(name, known);
  if (nearest.empty()) return {};
  return absl::StrCat("; did you mean ", absl::string_view(before.data(), before.size()), nearest,
                      "?");
}

}  // namespace rouse::app
