#pragma once
// What:      Log, one line per event: level, event name, fields (`endpoint_ready workload=a/b
//            wait_ms=812`).
// Owner:     one per program, built in main and passed by reference. Any thread may write.
// Limits:    a bounded queue to the writer's thread (Options::queue_lines): full = drop and count.
// Invariant: a line is written whole or not at all; control characters in values are escaped.
// Never:     blocks the caller; one line per request (that is the access log).

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "common/base/clock.h"

namespace rouse::obs {

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };

/// "debug", "info", "warn", "error".
[[nodiscard]] std::string_view NameOf(Level level);

struct LogField {
  std::string_view key;
  std::variant<std::string_view, int64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  LogField(std::string_view k, T v) : key(k), value(static_cast<int64_t>(v)) {}
};

class Log {
 public:
  enum class Format : uint8_t { kText, kJson };
  /// Takes finished lines, newline included. Called on the writer's thread only.
  using Sink = std::function<void(std::string_view line)>;

  struct Options {
    Level level = Level::kInfo;
    Format format = Format::kText;
    size_t queue_lines = 8192;
    Sink sink;  ///< none: standard error
  };

  Log(const Clock& clock, Options options);
  ~Log();  ///< writes what is queued
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void Write(Level level, std::string_view event, std::initializer_list<LogField> fields = {});
  void Debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
    if (enabled(Level::kDebug)) Write(Level::kDebug, event, fields);
  }
  void Info(std::string_view event, std::initializer_list<LogField> fields = {}) {
    if (enabled(Level::kInfo)) Write(Level::kInfo, event, fields);
  }
  void Warn(std::string_view event, std::initializer_list<LogField> fields = {}) {
    if (enabled(Level::kWarn)) Write(Level::kWarn, event, fields);
  }
  /// A person should act.
  void Error(std::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(Level::kError, event, fields);
  }

  [[nodiscard]] bool enabled(Level level) const { return level >= level_; }
  /// Lines dropped because the queue was full.
  [[nodiscard]] uint64_t dropped() const;
  /// Returns once every line written before the call has reached the sink.
  void Flush();

 private:
  struct Writer;
  const Clock& clock_;
  Level level_;
  Format format_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace rouse::obs
