#include "k8s/objects/timestamp.h"

#include <array>
#include <cstdio>

namespace rouse::k8s {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using std::chrono::sys_days;

/// Exactly `digits` decimal digits at `at`; -1 where they are not there.
int Digits(std::string_view text, size_t at, size_t digits) {
  if (at + digits > text.size()) return -1;
  int number = 0;
  for (size_t i = at; i < at + digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    number = number * 10 + (text[i] - '0');
  }
  return number;
}

/// `Z` or `+hh:mm` at `at`, to the end of the text; nullopt where it is neither.
std::optional<seconds> Offset(std::string_view text, size_t at) {
  if (at >= text.size()) return std::nullopt;
  if ((text[at] == 'Z' || text[at] == 'z') && at + 1 == text.size()) return seconds(0);
  if (text[at] != '+' && text[at] != '-') return std::nullopt;
  if (at + 6 != text.size() || text[at + 3] != ':') return std::nullopt;
  const int hours = Digits(text, at + 1, 2);
  const int minutes = Digits(text, at + 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
  const seconds offset(hours * 3600 + minutes * 60);
  return text[at] == '-' ? -offset : offset;
}

/// Date and time of day, UTC, to whole seconds.
std::array<int, 6> Civil(WallTime time) {
  const auto whole = std::chrono::floor<seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(whole);
  const std::chrono::year_month_day date(day);
  const int second = static_cast<int>((whole - day).count());
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          second / 3600,
          second / 60 % 60,
          second % 60};
}

}  // namespace

std::optional<WallTime> ParseTimestamp(std::string_view text) {
  // 2026-11-23T19:25:18[.fraction]offset
  const int year = Digits(text, 0, 4);
  const int month = Digits(text, 5, 2);
  const int day = Digits(text, 8, 2);
  const int hour = Digits(text, 11, 2);
  const int minute = Digits(text, 14, 2);
  const int second = Digits(text, 17, 2);
  if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0) return std::nullopt;
  const bool shaped = text[4] == '-' && text[7] == '-' && (text[10] == 'T' || text[10] == 't') &&
                      text[13] == ':' && text[16] == ':';
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!shaped || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;

  size_t at = 19;
  std::chrono::nanoseconds fraction(0);
  if (at < text.size() && text[at] == '.') {
    int64_t unit = 100'000'000;
    const size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      fraction += std::chrono::nanoseconds((text[at] - '0') * unit);
    }
    if (at == first) return std::nullopt;
  }
  const std::optional<seconds> offset = Offset(text, at);
  if (!offset) return std::nullopt;
  const auto whole = sys_days(date) + seconds(hour * 3600 + minute * 60 + second) - *offset;
  return std::chrono::time_point_cast<WallTime::duration>(whole + fraction);
}

std::string FormatTimestamp(WallTime time) {
  const std::array<int, 6> civil = Civil(time);
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02dZ", civil[0], civil[1],
                civil[2], civil[3], civil[4], civil[5]);
  return text.data();
}

std::string FormatMicroTime(WallTime time) {
  const auto fraction = std::chrono::floor<microseconds>(time) - std::chrono::floor<seconds>(time);
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), ".%06dZ", static_cast<int>(fraction.count()));
  std::string whole = FormatTimestamp(time);
  whole.pop_back();
  return whole + text.data();
}

}  // namespace rouse::k8s
