#pragma once
// What:      HTTP/1 heads from bytes: RequestParser, ResponseParser, and the line and field rules
//            that they and chunked trailers share. Strict (security.md 1.4, 1.5), incremental, no
//            I/O.
// Owner:     a driver (h1_server, h1_client), which also owns the bytes.
// Limits:    HeadLimits.
// Invariant: no byte is searched twice but a CR; the first control character ends the message at
//            once, other faults at the end of their line. Offsets, not pointers, are kept: the
//            bytes may move between calls as long as they stay the same.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/error.h"
#include "common/http/message.h"
#include "common/http/target.h"

namespace rouse::http {

struct HeadLimits {
  size_t target_bytes_max = 16 * 1024;
  size_t fields_max = 100;
  size_t field_bytes_max = 16 * 1024;
  size_t head_bytes_max = 64 * 1024;
  size_t method_bytes_max = 32;
  size_t empty_lines_max = 4;
  /// Names with underscores reach the pod. Those that read as a known name with hyphens never do.
  bool underscores_pass = false;
};

/// Of responses: pods may say more.
inline constexpr HeadLimits kResponseLimits{.fields_max = HeaderMap::kFieldsMax};

enum class ParseStep : uint8_t { kMore, kDone, kFailed };

/// Finds lines and fields; the two parsers build on it.
class HeadScanner {
 public:
  HeadScanner(const HeadLimits& limits, Side side) : limits_(limits), side_(side) {}

  /// The next line without its CRLF, as an offset and length into `bytes`; it holds no control
  /// character but HT. kMore where it is incomplete. The verdict does not depend on how the bytes
  /// were cut.
  ParseStep NextLine(std::span<const char> bytes, size_t& offset, size_t& length);
  /// Judges one field line that NextLine found and appends it; the map must be bound to
  /// bytes.data().
  bool Field(std::span<const char> bytes, size_t offset, size_t length, HeaderMap& fields);
  /// Where the next line begins.
  [[nodiscard]] size_t position() const { return line_; }
  [[nodiscard]] const Error& error() const { return error_; }
  bool Fail(ErrorKind kind, const char* detail);
  bool Bad(const char* detail);
  void Reset() {
    line_ = scanned_ = fields_ = 0;
    error_ = {};
  }
  void set_long_line(ErrorKind kind) { long_line_ = kind; }
  [[nodiscard]] const HeadLimits& limits() const { return limits_; }

 private:
  [[nodiscard]] bool MayAppend(std::string_view name) const;
  ParseStep TooLong();

  const HeadLimits limits_;
  Side side_;
  ErrorKind long_line_ = ErrorKind::kHeadTooLarge;
  size_t line_ = 0;
  size_t scanned_ = 0;
  size_t fields_ = 0;
  Error error_;
};

class RequestParser {
 public:
  enum class Scheme : uint8_t { kHttp, kHttps };
  explicit RequestParser(const HeadLimits& limits, Scheme scheme = Scheme::kHttp)
      : scanner_(limits, Side::kDownstream), scheme_(scheme) {}

  /// `bytes` is everything from the message's first byte on; more of it at each call. At kDone
  /// `head` is filled with views into it, and head_bytes() of it are the head. The target is
  /// rewritten in place.
  ParseStep Parse(std::span<char> bytes, RequestHead& head);
  [[nodiscard]] size_t head_bytes() const { return scanner_.position(); }
  [[nodiscard]] const Error& error() const { return scanner_.error(); }
  /// The connection may carry another request after this one (RFC 9112 section 9.3).
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  /// A whole request line has been seen.
  [[nodiscard]] bool started() const { return state_ != State::kStart; }
  void Reset();

 private:
  enum class State : uint8_t { kStart, kFields };
  bool RequestLine(std::span<char> bytes, size_t offset, size_t length, RequestHead& head);
  bool ReadVersion(std::string_view text, RequestHead& head);
  bool Finish(std::span<char> bytes, RequestHead& head);
  bool ReadHost(std::span<char> bytes, RequestHead& head, Authority& authority);
  bool ReadTarget(std::span<char> bytes, const Authority& authority, RequestHead& head);
  bool ReadConnection(RequestHead& head);
  bool ReadExpect(RequestHead& head);

  HeadScanner scanner_;
  Scheme scheme_;
  State state_ = State::kStart;
  size_t empty_lines_ = 0;
  size_t method_at_ = 0;
  size_t method_size_ = 0;
  size_t target_at_ = 0;
  size_t target_size_ = 0;
  bool keep_alive_ = true;
};

class ResponseParser {
 public:
  explicit ResponseParser(const HeadLimits& limits) : scanner_(limits, Side::kUpstream) {}

  /// As RequestParser::Parse. `to_head`: the request was HEAD.
  ParseStep Parse(std::span<char> bytes, bool to_head, ResponseHead& head);
  [[nodiscard]] size_t head_bytes() const { return scanner_.position(); }
  [[nodiscard]] const Error& error() const { return scanner_.error(); }
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  void Reset();

 private:
  bool StatusLine(std::string_view line, ResponseHead& head);
  bool Finish(bool to_head, ResponseHead& head);

  HeadScanner scanner_;
  bool status_seen_ = false;
  size_t reason_at_ = 0;
  size_t reason_size_ = 0;
  bool keep_alive_ = true;
};

/// Makes the views of a head valid over a copy of its bytes, which were at `from` and are now at
/// `to`.
void MoveHead(RequestHead& head, const char* from, const char* to);

}  // namespace rouse::http
