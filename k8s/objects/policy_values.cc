#include "k8s/objects/policy_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

namespace rouse::k8s {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

/// Longest first, so that `ms` is not read as `m`.
constexpr std::array<Unit, 8> kTimeUnits{{{"ns", 1},
                                          {"us", 1'000},
                                          {"\xc2\xb5s", 1'000},
                                          {"\xce\xbcs", 1'000},
                                          {"ms", 1'000'000},
                                          {"s", 1'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"h", 3'600'000'000'000}}};

constexpr std::array<Unit, 8> kSizeUnits{{{"", 1},
                                          {"B", 1},
                                          {"KiB", 1 << 10},
                                          {"MiB", 1 << 20},
                                          {"GiB", 1 << 30},
                                          {"Ki", 1 << 10},
                                          {"Mi", 1 << 20},
                                          {"Gi", 1 << 30}}};

/// The unit that `text` begins with; nullptr where none does.
const Unit* TimeUnit(std::string_view text) {
  for (const Unit& unit : kTimeUnits) {
    if (text.substr(0, unit.name.size()) == unit.name) return &unit;
  }
  return nullptr;
}

size_t NumberLength(std::string_view text) {
  size_t length = 0;
  while (length < text.size() &&
         ((text[length] >= '0' && text[length] <= '9') || text[length] == '.')) {
    ++length;
  }
  return length;
}

/// A DNS-1123 name: labels of lower-case letters, digits and hyphens; one label only where `dots`
/// is false.
bool IsName(std::string_view text, bool dots) {
  if (text.empty() || text.size() > 253) return false;
  size_t label = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (dots && text[i] == '.')) {
      if (label == 0 || label > 63 || text[i - 1] == '-') return false;
      label = 0;
      continue;
    }
    const bool letter = absl::ascii_islower(static_cast<unsigned char>(text[i])) ||
                        absl::ascii_isdigit(static_cast<unsigned char>(text[i]));
    if (!letter && (text[i] != '-' || label == 0)) return false;
    ++label;
  }
  return true;
}

bool IsPath(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '\\';
  });
}

bool IsHost(std::string_view host) {
  if (host == "*") return true;
  if (host.substr(0, 2) == "*.") host.remove_prefix(2);
  return IsName(host, true);
}

}  // namespace

std::optional<Duration> ParseDurationText(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  if (text == "0") return Duration();
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const size_t length = NumberLength(text);
    const std::optional<double> number = ParseDecimal(text.substr(0, length));
    if (!number) return std::nullopt;
    text.remove_prefix(length);
    const Unit* unit = TimeUnit(text);
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += *number * static_cast<double>(unit->factor);
  }
  if (total > 9.2e18) return std::nullopt;
  return Duration(std::llround(negative ? -total : total));
}

std::string FormatDurationText(Duration duration) {
  int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text = left < 0 ? "-" : "";
  left = std::abs(left);
  constexpr std::array<Unit, 6> kUnits{{{"h", 3'600'000'000'000},
                                        {"m", 60'000'000'000},
                                        {"s", 1'000'000'000},
                                        {"ms", 1'000'000},
                                        {"us", 1'000},
                                        {"ns", 1}}};
  for (const Unit& unit : kUnits) {
    if (left < unit.factor) continue;
    text += std::to_string(left / unit.factor);
    text += unit.name;
    left %= unit.factor;
  }
  return text;
}

std::optional<int64_t> ParseWholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> ParseDecimal(std::string_view text) {
  if (text.empty() || absl::ascii_isspace(static_cast<unsigned char>(text.front())) ||
      absl::ascii_isspace(static_cast<unsigned char>(text.back()))) {
    return std::nullopt;
  }
  double number = 0;
  if (!absl::SimpleAtod({text.data(), text.size()}, &number)) return std::nullopt;
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::string FormatDecimal(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", number);
  return text.data();
}

std::optional<int64_t> ParseSize(std::string_view text) {
  const size_t length = NumberLength(text);
  const std::optional<double> number = ParseDecimal(text.substr(0, length));
  if (!number) return std::nullopt;
  for (const Unit& unit : kSizeUnits) {
    if (text.substr(length) != unit.name) continue;
    const double bytes = *number * static_cast<double>(unit.factor);
    if (bytes > 9.0e18) return std::nullopt;
    return std::llround(bytes);
  }
  return std::nullopt;
}

std::optional<ScaleTarget> ParseScaleTarget(std::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(text.data(), text.size()), '/');
  for (const std::string& part : parts) {
    if (!IsName(part, true)) return std::nullopt;
  }
  if (parts.size() == 4) return ScaleTarget{parts[0], parts[1], parts[2], parts[3]};
  if (parts.size() != 2) return std::nullopt;
  if (parts[0] == "deployment" || parts[0] == "deployments") {
    return ScaleTarget{"apps", "v1", "deployments", parts[1]};
  }
  if (parts[0] == "statefulset" || parts[0] == "statefulsets") {
    return ScaleTarget{"apps", "v1", "statefulsets", parts[1]};
  }
  return std::nullopt;
}

std::optional<std::vector<HostRule>> ParseHosts(std::string_view text, std::string& why) {
  std::vector<HostRule> rules;
  const absl::string_view list(text.data(), text.size());
  for (const absl::string_view entry : absl::StrSplit(list, ',')) {
    const std::string rule(absl::StripAsciiWhitespace(entry));
    const size_t slash = rule.find('/');
    HostRule parsed{absl::AsciiStrToLower(rule.substr(0, slash)), "/"};
    if (slash != std::string::npos) parsed.path = rule.substr(slash);
    if (!IsHost(parsed.host) || !IsPath(parsed.path)) {
      why = "`" + rule + "` is not HOST[/PATH], where HOST is a DNS name, `*.` and a name, or `*`";
      return std::nullopt;
    }
    rules.push_back(std::move(parsed));
  }
  if (rules.size() > host_rules_max) {
    why = "more than " + std::to_string(host_rules_max) + " hosts";
    return std::nullopt;
  }
  return rules;
}

size_t EditDistance(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t replace = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

}  // namespace rouse::k8s
