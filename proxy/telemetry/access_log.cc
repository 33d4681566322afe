#include "proxy/telemetry/access_log.h"

#include <charconv>
#include <cstring>
#include <utility>

#include "common/base/short_copy.h"

namespace rouse::proxy {

namespace {

/// Longer than any line: every text at its longest and each of its bytes escaped, and the rest.
constexpr size_t kLineMax = 8192;
constexpr size_t kEscapedMax = 6;
static_assert(kEscapedMax * (16 + 64 + 256 + 46 + 128 + 64 + 64) + 2048 < kLineMax);

constexpr uint64_t kEach = 0x0101010101010101;
constexpr uint64_t kTops = kEach * 0x80;
/// Some byte of the word is zero.
constexpr uint64_t HasZero(uint64_t word) { return (word - kEach) & ~word & kTops; }
/// All eight bytes are printable ASCII other than '"' and '\\'.
constexpr bool IsPlain(uint64_t word) {
  const uint64_t control = (word - kEach * 0x20) & ~word & kTops;
  const uint64_t del = HasZero(word ^ (kEach * 0x7f));
  const uint64_t marks = HasZero(word ^ (kEach * '"')) | HasZero(word ^ (kEach * '\\'));
  return ((word & kTops) | control | del | marks) == 0;
}

/// Printable ASCII stays; quotes, backslashes, controls and bytes above are escaped, so that a line
/// is a line and JSON is JSON whatever a client sends.
char* PutEscaped(char* to, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word = 0;
    if (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if (IsPlain(word)) {
        std::memcpy(to, &word, sizeof word);
        to += sizeof word;
        at += sizeof word;
        continue;
      }
    }
    const char byte = text[at++];
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code >= 0x7f) {
      to = ShortCopy(to, "\\u00");
      *to++ = kHex[code >> 4];
      *to++ = kHex[code & 15];
      continue;
    }
    if (byte == '"' || byte == '\\') *to++ = '\\';
    *to++ = byte;
  }
  return to;
}

char* PutDigits(char* to, uint32_t value, size_t width) {
  for (size_t i = width; i-- > 0; value /= 10) to[i] = static_cast<char>('0' + value % 10);
  return to + width;
}

/// `2026-01-31T12:00:00.123456Z`.
char* PutTime(char* to, WallTime wall) {
  using namespace std::chrono;
  const auto since = floor<microseconds>(wall.time_since_epoch());
  const auto day = floor<days>(since);
  const year_month_day date{sys_days(day)};
  const auto second = static_cast<uint32_t>(floor<seconds>(since - day).count());
  const auto rest = static_cast<uint32_t>((since - floor<seconds>(since)).count());
  to = PutDigits(to, static_cast<uint32_t>(static_cast<int>(date.year())), 4);
  *to++ = '-';
  to = PutDigits(to, static_cast<unsigned>(date.month()), 2);
  *to++ = '-';
  to = PutDigits(to, static_cast<unsigned>(date.day()), 2);
  *to++ = 'T';
  to = PutDigits(to, second / 3'600, 2);
  *to++ = ':';
  to = PutDigits(to, second / 60 % 60, 2);
  *to++ = ':';
  to = PutDigits(to, second % 60, 2);
  *to++ = '.';
  to = PutDigits(to, rest, 6);
  *to++ = 'Z';
  return to;
}

/// Writes `key=value` or `"key":value` pairs into one line.
class Line {
 public:
  explicit Line(AccessFormat format) : json_(format == AccessFormat::kJson) {
    if (json_) *at_++ = '{';
  }
  void End(std::string& out) {
    if (json_) *at_++ = '}';
    *at_++ = '\n';
    out.append(text_.data(), static_cast<size_t>(at_ - text_.data()));
  }

  void Time(std::string_view key, WallTime wall) {
    Key(key);
    *at_++ = '"';
    at_ = PutTime(at_, wall);
    *at_++ = '"';
  }
  void Text(std::string_view key, std::string_view value, bool cut = false) {
    if (value.empty()) return;
    Key(key);
    *at_++ = '"';
    at_ = PutEscaped(at_, value);
    if (cut) at_ = ShortCopy(at_, "...");
    *at_++ = '"';
  }
  template <size_t N>
  void Text(std::string_view key, const ShortText<N>& text) {
    Text(key, text.view(), text.cut);
  }
  void Number(std::string_view key, uint64_t value) {
    Key(key);
    at_ = std::to_chars(at_, text_.data() + text_.size(), value).ptr;
  }
  void Flag(std::string_view key, bool value) {
    if (!value) return;
    Key(key);
    at_ = ShortCopy(at_, "true");
  }
  /// Milliseconds with three decimals; left out where one of the moments never came.
  void Span(std::string_view key, TimePoint from, TimePoint to) {
    if (from == kNever || to == kNever) return;
    const auto span = std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
    const auto micros = static_cast<uint64_t>(span > 0 ? span : 0);
    Number(key, micros / 1000);
    *at_++ = '.';
    at_ = PutDigits(at_, static_cast<uint32_t>(micros % 1000), 3);
  }

 private:
  void Key(std::string_view key) {
    if (!first_) *at_++ = json_ ? ',' : ' ';
    first_ = false;
    if (json_) *at_++ = '"';
    at_ = ShortCopy(at_, key);
    if (json_) *at_++ = '"';
    *at_++ = json_ ? ':' : '=';
  }
  bool json_;
  bool first_ = true;
  std::array<char, kLineMax> text_;  // not cleared: a line writes what it uses
  char* at_ = text_.data();
};

std::string_view NameOf(http::Version version) {
  switch (version) {
    case http::Version::kHttp10:
      return "1.0";
    case http::Version::kHttp11:
      return "1.1";
    case http::Version::kHttp2:
      return "2";
  }
  return "";
}

}  // namespace

void FormatRecord(const AccessRecord& record, AccessFormat format, std::string& out) {
  Line line(format);
  line.Time("time", record.wall);
  line.Text("client", record.client);
  line.Text("method", record.method);
  line.Text("host", record.host);
  line.Text("path", record.path);
  line.Text("version", NameOf(record.version));
  line.Flag("tls", record.tls);
  line.Number("status", static_cast<uint64_t>(record.status));
  if (record.error != ErrorKind::kNone) line.Text("error", CodeOf(record.error));
  line.Number("bytes_in", record.bytes_in);
  line.Number("bytes_out", record.bytes_out);
  line.Span("duration_ms", record.start, record.end);
  line.Text("workload", record.workload);
  line.Text("pod", record.pod);
  line.Number("attempts", record.attempts);
  line.Text("request_id", record.request_id);
  const ColdStartTimes& cold = record.cold;
  if (cold.was_parked()) {
    line.Flag("cold_start", cold.cold);
    line.Span("wait_ms", cold.parked, cold.slot == kNever ? record.end : cold.slot);
    line.Span("reported_ms", cold.parked, cold.reported);
    line.Span("endpoint_ms", cold.parked, cold.known);
    line.Span("ready_ms", cold.parked, cold.ready);
    line.Flag("probed", cold.probed);
    line.Span("first_byte_ms", cold.parked, cold.first_byte);
  }
  line.End(out);
}

AccessLog::AccessLog(OnBatch on_batch) : on_batch_(std::move(on_batch)) {}

AccessRecord* AccessLog::Next() {
  if (!enabled_) return nullptr;
  if (pending_ == kRing) {
    ++dropped_;
    return nullptr;
  }
  if (!ring_) ring_ = std::make_unique<AccessRecord[]>(kRing);
  return &ring_[pending_++];
}

void AccessLog::Flush() {
  if (pending_ == 0) return;
  on_batch_({ring_.get(), pending_});
  pending_ = 0;
}

}  // namespace rouse::proxy
