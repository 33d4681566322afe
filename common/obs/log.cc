#include "common/obs/log.h"

#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <absl/strings/str_cat.h>

namespace rouse::obs {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void AppendTime(WallTime wall, std::string& out) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(wall.time_since_epoch());
  const time_t seconds = static_cast<time_t>(since.count() / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  out.append(text, size);
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(since.count() % 1000));
  out += text;
}

/// Bytes of the UTF-8 sequence that begins `text` (RFC 3629 section 4), 0 where it is not one.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;
    return lead == 0xed && byte(1) > 0x9f ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    return lead == 0xf4 && byte(1) > 0x8f ? 0 : 4;
  }
  return 0;
}

/// The short escape of `c`, or 0.
char ShortEscape(char c) {
  switch (c) {
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '"':
    case '\\':
      return c;
    default:
      return 0;
  }
}

void AppendJsonText(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const char c = text[0];
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (const char escape = ShortEscape(c); escape != 0) {
      out += {'\\', escape};
    } else if (IsControl(c)) {
      out += {'\\', 'u', '0', '0', kHex[(c >> 4) & 15], kHex[c & 15]};
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c == ' ' || c == '=' || c == '"' || c == '\\' || IsControl(c)) return true;
  }
  return false;
}

void AppendPlainText(std::string_view text, std::string& out) {
  if (!NeedsQuotes(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (const char escape = ShortEscape(c); escape != 0) {
      out += {'\\', escape};
    } else if (IsControl(c)) {
      out += {'\\', 'x', kHex[(c >> 4) & 15], kHex[c & 15]};
    } else {
      out += c;
    }
  }
  out += '"';
}

void AppendNumber(double value, bool json, std::string& out) {
  if (!std::isfinite(value)) {  // JSON has no such numbers (RFC 8259 section 6)
    out += json ? "null" : (std::isnan(value) ? "nan" : (value > 0 ? "inf" : "-inf"));
    return;
  }
  absl::StrAppend(&out, value);
}

void AppendValue(const LogField& field, bool json, std::string& out) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    json ? AppendJsonText(*text, out) : AppendPlainText(*text, out);
  } else if (const auto* whole = std::get_if<int64_t>(&field.value)) {
    absl::StrAppend(&out, *whole);
  } else if (const auto* number = std::get_if<double>(&field.value)) {
    AppendNumber(*number, json, out);
  } else {
    out += std::get<bool>(field.value) ? "true" : "false";
  }
}

std::string TextLine(WallTime wall, Level level, std::string_view event,
                     std::initializer_list<LogField> fields) {
  std::string line;
  AppendTime(wall, line);
  line += ' ';
  line += NameOf(level);
  line += ' ';
  AppendPlainText(event, line);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    AppendValue(field, false, line);
  }
  line += '\n';
  return line;
}

std::string JsonLine(WallTime wall, Level level, std::string_view event,
                     std::initializer_list<LogField> fields) {
  std::string line = "{\"time\":\"";
  AppendTime(wall, line);
  line += "\",\"level\":\"";
  line += NameOf(level);
  line += "\",\"event\":";
  AppendJsonText(event, line);
  for (const LogField& field : fields) {
    line += ',';
    AppendJsonText(field.key, line);
    line += ':';
    AppendValue(field, true, line);
  }
  line += "}\n";
  return line;
}

std::string Line(Log::Format format, WallTime wall, Level level, std::string_view event,
                 std::initializer_list<LogField> fields) {
  return format == Log::Format::kJson ? JsonLine(wall, level, event, fields)
                                      : TextLine(wall, level, event, fields);
}

}  // namespace

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

/// The bounded queue and the thread that empties it. A batch is written outside the lock, so that a
/// slow sink never holds up whoever logs.
struct Log::Writer {
  Writer(const Clock& clock_in, Options options_in)
      : clock(clock_in), options(std::move(options_in)), thread([this] { Run(); }) {}

  ~Writer() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_one();
    thread.join();
  }

  void Push(std::string line) {
    {
      const std::lock_guard lock(mutex);
      if (queue.size() >= options.queue_lines) {
        ++dropped;
        return;
      }
      queue.push_back(std::move(line));
      ++accepted;
    }
    wake.notify_one();
  }

  void Flush() {
    std::unique_lock lock(mutex);
    const uint64_t target = accepted;
    written_more.wait(lock, [&] { return written >= target; });
  }

  void Run() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      std::deque<std::string> batch;
      batch.swap(queue);
      const uint64_t lost = dropped - dropped_reported;
      dropped_reported = dropped;
      lock.unlock();
      for (const std::string& line : batch) Out(line);
      if (lost > 0) {
        Out(Line(options.format, clock.wall(), Level::kWarn, "log_lines_dropped",
                 {{"lines", lost}, {"queue_lines", options.queue_lines}}));
      }
      lock.lock();
      written += batch.size();
      written_more.notify_all();
    }
  }

  void Out(std::string_view line) {
    if (options.sink) {
      options.sink(line);
    } else {
      std::fwrite(line.data(), 1, line.size(), stderr);
    }
  }

  const Clock& clock;
  const Options options;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable written_more;
  std::deque<std::string> queue;
  uint64_t accepted = 0;
  uint64_t written = 0;
  uint64_t dropped = 0;
  uint64_t dropped_reported = 0;
  bool stopping = false;
  std::thread thread;  // last: starts when all else is there
};

Log::Log(const Clock& clock, Options options)
    : clock_(clock),
      level_(options.level),
      format_(options.format),
      writer_(std::make_unique<Writer>(clock, std::move(options))) {}

Log::~Log() = default;

void Log::Write(Level level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!enabled(level)) return;
  writer_->Push(Line(format_, clock_.wall(), level, event, fields));
}

uint64_t Log::dropped() const {
  const std::lock_guard lock(writer_->mutex);
  return writer_->dropped;
}

void Log::Flush() { writer_->Flush(); }

}  // namespace rouse::obs
