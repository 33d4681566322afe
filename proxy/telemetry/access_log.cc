#include "proxy/telemetry/access_log.h"

#include <ctime>
#include <utility>

namespace rouse::proxy {

namespace {

/// Printable ASCII stays; quotes, backslashes, controls and bytes above are escaped, so that a line
/// is a line and JSON is JSON whatever a client sends.
void AppendEscaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += byte;
    } else if (code < 0x20 || code >= 0x7f) {
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 15];
    } else {
      out += byte;
    }
  }
}

/// `2026-01-31T12:00:00.123Z`.
std::string Timestamp(WallTime wall) {
  using std::chrono::milliseconds;
  const auto since = std::chrono::floor<milliseconds>(wall.time_since_epoch());
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(since).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  const auto rest = static_cast<int>(since.count() - static_cast<int64_t>(seconds) * 1000);
  std::snprintf(text + size, sizeof(text) - size, ".%03dZ", rest);
  return text;
}

/// Writes `key=value` or `"key":value` pairs into one line.
class Line {
 public:
  Line(AccessFormat format, std::string& out) : json_(format == AccessFormat::kJson), out_(out) {
    if (json_) out_ += '{';
  }
  void End() { out_ += json_ ? "}\n" : "\n"; }

  void Text(std::string_view key, std::string_view value, bool cut = false) {
    if (value.empty()) return;
    Key(key);
    out_ += '"';
    AppendEscaped(out_, value);
    if (cut) out_ += "...";
    out_ += '"';
  }
  template <size_t N>
  void Text(std::string_view key, const ShortText<N>& text) {
    Text(key, text.view(), text.cut);
  }
  void Number(std::string_view key, uint64_t value) {
    Key(key);
    out_ += std::to_string(value);
  }
  void Flag(std::string_view key, bool value) {
    if (!value) return;
    Key(key);
    out_ += "true";
  }
  /// Milliseconds with three decimals; left out where one of the moments never came.
  void Span(std::string_view key, TimePoint from, TimePoint to) {
    if (from == kNever || to == kNever) return;
    const auto span = std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
    const int64_t micros = span > 0 ? span : 0;
    char text[32];
    std::snprintf(text, sizeof(text), "%lld.%03lld", static_cast<long long>(micros / 1000),
                  static_cast<long long>(micros % 1000));
    Key(key);
    out_ += text;
  }

 private:
  void Key(std::string_view key) {
    if (!first_) out_ += json_ ? ',' : ' ';
    first_ = false;
    if (json_) out_ += '"';
    out_ += key;
    out_ += json_ ? "\":" : "=";
  }
  bool json_;
  bool first_ = true;
  std::string& out_;
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
  Line line(format, out);
  line.Text("time", Timestamp(record.wall));
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
  line.End();
}

AccessLog::AccessLog(absl::AnyInvocable<void(Batch)> on_batch) : on_batch_(std::move(on_batch)) {
  pending_.reserve(kRing);
}

AccessRecord* AccessLog::Next() {
  if (!enabled_) return nullptr;
  if (pending_.size() == kRing) {
    ++dropped_;
    return nullptr;
  }
  return &pending_.emplace_back();
}

void AccessLog::Flush() {
  if (pending_.empty()) return;
  Batch batch = std::move(pending_);
  pending_ = Batch();
  pending_.reserve(kRing);
  on_batch_(std::move(batch));
}

}  // namespace rouse::proxy
