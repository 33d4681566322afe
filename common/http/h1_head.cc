#include "common/http/h1_head.h"

#include <algorithm>
#include <array>

#include "common/http/framing.h"
#include "common/http/scan.h"
#include "common/http/syntax.h"
#include "common/http/target.h"

namespace rouse::http {
namespace {

/// What a line holds beside its longest part: the method, spaces and version of a request line.
constexpr size_t kLineRoom = 64;

}  // namespace

// ---- lines and fields
// -------------------------------------------------------------------------------

bool HeadScanner::Fail(ErrorKind kind, const char* detail) {
  const bool upstream = side_ == Side::kUpstream;
  error_ = {upstream ? ErrorKind::kUpstreamProtocol : kind, side_, false, detail};
  return false;
}

bool HeadScanner::Bad(const char* detail) { return Fail(ErrorKind::kBadRequest, detail); }

ParseStep HeadScanner::TooLong() {
  const bool line = line_ + limits_.field_bytes_max + kLineRoom <= limits_.head_bytes_max;
  Fail(line ? long_line_ : ErrorKind::kHeadTooLarge,
       line ? "a line is too long" : "the head is too long");
  return ParseStep::kFailed;
}

ParseStep HeadScanner::NextLine(std::span<const char> bytes, size_t& offset, size_t& length) {
  const std::string_view text(bytes.data(), bytes.size());
  const size_t at = FindControl(text, scanned_);
  const size_t most = std::min(line_ + limits_.field_bytes_max + kLineRoom, limits_.head_bytes_max);
  if (at > most) return TooLong();
  scanned_ = at;
  if (at == text.size()) return ParseStep::kMore;
  if (text[at] == '\r' && at + 1 == text.size()) return ParseStep::kMore;
  if (text[at] != '\r' || text[at + 1] != '\n') {
    Bad("an illegal byte in the head");
    return ParseStep::kFailed;
  }
  offset = line_;
  length = at - line_;
  line_ = scanned_ = at + 2;
  return ParseStep::kDone;
}

bool HeadScanner::Field(std::span<const char> bytes, size_t offset, size_t length,
                        HeaderMap& fields) {
  const std::string_view line(bytes.data() + offset, length);
  if (++fields_ > limits_.fields_max) return Fail(ErrorKind::kHeadTooLarge, "too many fields");
  if (length > limits_.field_bytes_max)
    return Fail(ErrorKind::kHeadTooLarge, "a field is too long");
  // Most names are letters, digits and hyphens, which go sixteen at a time.
  const size_t common = SkipAlnumHyphen(bytes.subspan(offset));
  size_t colon = common;
  while (colon < line.size() && IsA(line[colon], kTokenChar)) ++colon;
  // Space before the colon, a folded line, an empty name and a missing colon all end here.
  if (colon == 0 || colon >= line.size() || line[colon] != ':')
    return Bad("a field's name is malformed");
  const std::string_view name = line.substr(0, colon);
  const HeaderId id = IdOf(name);
  if (id == HeaderId::kOther && colon != common && !MayAppend(name)) return true;
  const std::string_view value = TrimOws(line.substr(colon + 1));
  if (value.empty()) {
    fields.Append(name, line.substr(line.size()), id);
    return true;
  }
  const bool plain = line[colon + 1] == ' ' && value.size() + colon + 2 == line.size();
  fields.Append(name, value, id, plain);
  return true;
}

/// N11: some servers read an underscore as a hyphen, so such names never pass as something else.
bool HeadScanner::MayAppend(std::string_view name) const {
  constexpr size_t kKnownMax = 32;
  if (side_ == Side::kUpstream || name.find('_') == std::string_view::npos) return true;
  if (!limits_.underscores_pass) return false;
  if (name.size() > kKnownMax) return true;
  std::array<char, kKnownMax> plain{};
  std::replace_copy(name.begin(), name.end(), plain.begin(), '_', '-');
  return IdOf({plain.data(), name.size()}) == HeaderId::kOther;
}

// ---- requests
// ---------------------------------------------------------------------------------------

void RequestParser::Reset() {
  scanner_.Reset();
  state_ = State::kStart;
  empty_lines_ = 0;
  keep_alive_ = true;
}

[[gnu::flatten]] ParseStep RequestParser::Parse(std::span<char> bytes, RequestHead& head) {
  head.fields.Bind(bytes.data());
  if (state_ == State::kStart) {
    head.method = head.authority = head.host = head.path = head.upgrade = {};
    head.body = BodyKind::kNone;
    head.fields.Clear();
  } else {
    head.method = {bytes.data() + method_at_, method_size_};
  }
  for (;;) {
    size_t offset = 0;
    size_t length = 0;
    scanner_.set_long_line(state_ == State::kStart ? ErrorKind::kTargetTooLong
                                                   : ErrorKind::kHeadTooLarge);
    const ParseStep step = scanner_.NextLine(bytes, offset, length);
    if (step != ParseStep::kDone) return step;
    if (state_ == State::kStart) {
      if (length == 0) {
        if (++empty_lines_ <= scanner_.limits().empty_lines_max) continue;
        scanner_.Bad("too many empty lines");
        return ParseStep::kFailed;
      }
      if (!RequestLine(bytes, offset, length, head)) return ParseStep::kFailed;
      state_ = State::kFields;
      continue;
    }
    if (length == 0) return Finish(bytes, head) ? ParseStep::kDone : ParseStep::kFailed;
    if (!scanner_.Field(bytes, offset, length, head.fields)) return ParseStep::kFailed;
  }
}

bool RequestParser::RequestLine(std::span<char> bytes, size_t offset, size_t length,
                                RequestHead& head) {
  const std::string_view line(bytes.data() + offset, length);
  size_t method = 0;
  while (method < line.size() && IsA(line[method], kTokenChar)) ++method;
  if (method == 0 || method == line.size() || line[method] != ' ') {
    return scanner_.Bad("the request line is malformed");
  }
  if (method > scanner_.limits().method_bytes_max) {
    return scanner_.Fail(ErrorKind::kNotImplemented, "the method is too long");
  }
  const size_t space = line.find(' ', method + 1);
  if (space == std::string_view::npos || space == method + 1) {
    return scanner_.Bad("the request line is malformed");
  }
  const std::string_view target = line.substr(method + 1, space - method - 1);
  // Half of an HTTP/2 preface is no request of a later version, but garbage (L11).
  if (line.substr(0, method) == "PRI") return scanner_.Bad("an HTTP/2 preface");
  if (!ReadVersion(line.substr(space + 1), head)) return false;
  if (target.size() > scanner_.limits().target_bytes_max) {
    return scanner_.Fail(ErrorKind::kTargetTooLong, "the target is too long");
  }
  method_at_ = offset;
  method_size_ = method;
  target_at_ = offset + method + 1;
  target_size_ = target.size();
  head.method = line.substr(0, method);
  return true;
}

bool RequestParser::ReadVersion(std::string_view text, RequestHead& head) {
  const bool shaped = text.size() == 8 && text.substr(0, 5) == "HTTP/" &&
                      IsA(text[5], kDigitChar) && text[6] == '.' && IsA(text[7], kDigitChar);
  if (!shaped) return scanner_.Bad("the version is malformed");
  if (text == "HTTP/1.1") {
    head.version = Version::kHttp11;
    return true;
  }
  head.version = Version::kHttp10;
  if (text == "HTTP/1.0") return true;
  return scanner_.Fail(ErrorKind::kVersionUnsupported, "only HTTP/1.0 and HTTP/1.1");
}

bool RequestParser::Finish(std::span<char> bytes, RequestHead& head) {
  head.scheme = scheme_ == Scheme::kHttp ? "http" : "https";
  Authority authority;
  if (!ReadHost(bytes, head, authority) || !ReadTarget(bytes, authority, head)) return false;
  const Result<Framing> framing = FramingOfRequest(head.fields, head.version);
  if (!framing) return scanner_.Fail(framing.error().kind, framing.error().detail);
  head.body = framing->kind;
  head.content_length = framing->length;
  if (!ReadConnection(head) || !ReadExpect(head)) return false;
  if (head.method == "TRACE" || head.method == "CONNECT") {
    return scanner_.Fail(ErrorKind::kMethodNotAllowed, "TRACE and CONNECT are not forwarded");
  }
  return true;
}

bool RequestParser::ReadHost(std::span<char> bytes, RequestHead& head, Authority& authority) {
  size_t hosts = 0;
  std::string_view value;
  for (size_t i = 0; i < head.fields.size(); ++i) {
    if (head.fields.id(i) != HeaderId::kHost) continue;
    ++hosts;
    value = head.fields.value(i);
  }
  if (hosts != 1) return scanner_.Bad(hosts == 0 ? "no Host" : "several Host fields");
  const auto at = static_cast<size_t>(value.data() - bytes.data());
  const auto parsed = ParseAuthority(bytes.subspan(at, value.size()));
  if (!parsed) return scanner_.Bad("Host is malformed");
  authority = *parsed;
  head.authority = parsed->text;
  head.host = parsed->host;
  return true;
}

bool RequestParser::ReadTarget(std::span<char> bytes, const Authority& authority,
                               RequestHead& head) {
  std::span<char> target = bytes.subspan(target_at_, target_size_);
  const std::string_view text(target.data(), target.size());
  if (head.method == "CONNECT") return true;  // refused in Finish
  if (text == "*") {
    head.path = text;
    return head.method == "OPTIONS" || scanner_.Bad("'*' is for OPTIONS");
  }
  const std::string_view scheme = scheme_ == Scheme::kHttp ? "http://" : "https://";
  if (text.front() != '/' && EqualsIgnoreCase(text.substr(0, scheme.size()), scheme)) {
    const size_t end = std::min(text.find_first_of("/?#", scheme.size()), text.size());
    const auto named = ParseAuthority(target.subspan(scheme.size(), end - scheme.size()));
    const std::string_view port = scheme_ == Scheme::kHttp ? "80" : "443";
    if (!named || !SameAuthority(*named, authority, port)) {
      return scanner_.Bad("the target's authority is not the Host");
    }
    // The authority stands in head.authority, so its last byte may become the path's slash.
    const size_t begin = end < text.size() && text[end] == '/' ? end : end - 1;
    target = target.subspan(begin);
    target[0] = '/';
  }
  const auto path = NormalisePath(target);
  if (!path) return scanner_.Bad("the target is malformed");
  head.path = *path;
  return true;
}

bool RequestParser::ReadConnection(RequestHead& head) {
  bool close = false;
  bool keep = false;
  bool upgrade = false;
  head.accepts_trailers = false;
  head.upgrade = {};
  size_t upgrades = 0;
  std::string_view wanted;
  const bool any = head.fields.has(HeaderId::kConnection) || head.fields.has(HeaderId::kTe) ||
                   head.fields.has(HeaderId::kUpgrade);
  for (size_t i = 0; any && i < head.fields.size(); ++i) {
    const std::string_view value = head.fields.value(i);
    if (head.fields.id(i) == HeaderId::kConnection) {
      close = close || ListHas(value, "close");
      keep = keep || ListHas(value, "keep-alive");
      upgrade = upgrade || ListHas(value, "upgrade");
    } else if (head.fields.id(i) == HeaderId::kTe) {
      head.accepts_trailers = head.accepts_trailers || ListHas(value, "trailers");
    } else if (head.fields.id(i) == HeaderId::kUpgrade) {
      ++upgrades;
      wanted = value;
    }
  }
  keep_alive_ = !close && (head.version == Version::kHttp11 || keep);
  const bool valid = upgrade && upgrades == 1 && EqualsIgnoreCase(wanted, "websocket") &&
                     head.method == "GET" && head.version == Version::kHttp11;
  if (!valid) return true;
  if (head.body != BodyKind::kNone) return scanner_.Bad("an upgrade with a body");
  head.upgrade = wanted;
  return true;
}

bool RequestParser::ReadExpect(RequestHead& head) {
  head.expects_continue = false;
  if (!head.fields.has(HeaderId::kExpect) || head.version == Version::kHttp10) return true;
  size_t expects = 0;
  bool known = true;
  for (size_t i = 0; i < head.fields.size(); ++i) {
    if (head.fields.id(i) != HeaderId::kExpect) continue;
    ++expects;
    known = known && EqualsIgnoreCase(head.fields.value(i), "100-continue");
  }
  if (expects > 1 || !known) {
    return scanner_.Fail(ErrorKind::kExpectationFailed, "only Expect: 100-continue");
  }
  head.expects_continue = head.body != BodyKind::kNone;
  return true;
}

void MoveHead(RequestHead& head, const char* from, const char* to) {
  const auto move = [&](std::string_view& view) {
    // Some views are of static text: those stay.
    if (view.data() == nullptr || std::less<>()(view.data(), from)) return;
    if (view.data() - from > static_cast<ptrdiff_t>(HeadLimits{}.head_bytes_max)) return;
    view = {to + (view.data() - from), view.size()};
  };
  move(head.method);
  move(head.authority);
  move(head.host);
  move(head.path);
  move(head.upgrade);
  head.fields.Rebase(to);
}

// ---- responses
// --------------------------------------------------------------------------------------

void ResponseParser::Reset() {
  scanner_.Reset();
  status_seen_ = false;
  reason_at_ = reason_size_ = 0;
  keep_alive_ = true;
}

[[gnu::flatten]] ParseStep ResponseParser::Parse(std::span<char> bytes, bool to_head,
                                                 ResponseHead& head) {
  head.fields.Bind(bytes.data());
  head.reason = {bytes.data() + reason_at_, reason_size_};
  if (!status_seen_) head.fields.Clear();
  for (;;) {
    size_t offset = 0;
    size_t length = 0;
    const ParseStep step = scanner_.NextLine(bytes, offset, length);
    if (step != ParseStep::kDone) return step;
    if (!status_seen_) {
      if (!StatusLine({bytes.data() + offset, length}, head)) return ParseStep::kFailed;
      reason_at_ = offset + std::min<size_t>(length, 13);
      reason_size_ = length - std::min<size_t>(length, 13);
      head.reason = {bytes.data() + reason_at_, reason_size_};
      status_seen_ = true;
      continue;
    }
    if (length == 0) return Finish(to_head, head) ? ParseStep::kDone : ParseStep::kFailed;
    if (!scanner_.Field(bytes, offset, length, head.fields)) return ParseStep::kFailed;
  }
}

bool ResponseParser::StatusLine(std::string_view line, ResponseHead& head) {
  const std::string_view version = line.substr(0, std::min<size_t>(line.size(), 8));
  if (version == "HTTP/1.1") {
    head.version = Version::kHttp11;
  } else if (version == "HTTP/1.0") {
    head.version = Version::kHttp10;
  } else {
    return scanner_.Bad("no status line");
  }
  // "HTTP/1.1 200" and "HTTP/1.1 200 reason"; the space before an empty reason may be missing.
  const bool shaped = line.size() >= 12 && line[8] == ' ' &&
                      AllAre(line.substr(9, 3), kDigitChar) &&
                      (line.size() == 12 || line[12] == ' ');
  if (!shaped) return scanner_.Bad("the status line is malformed");
  head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return head.status >= 100 || scanner_.Bad("a status below 100");
}

bool ResponseParser::Finish(bool to_head, ResponseHead& head) {
  const Result<Framing> framing =
      FramingOfResponse(head.fields, head.version, head.status, to_head);
  if (!framing) return scanner_.Bad(framing.error().detail);
  head.body = framing->kind;
  head.content_length = framing->length;
  bool close = false;
  bool keep = false;
  for (size_t i = 0; head.fields.has(HeaderId::kConnection) && i < head.fields.size(); ++i) {
    if (head.fields.id(i) != HeaderId::kConnection) continue;
    close = close || ListHas(head.fields.value(i), "close");
    keep = keep || ListHas(head.fields.value(i), "keep-alive");
  }
  keep_alive_ =
      !close && (head.version == Version::kHttp11 || keep) && head.body != BodyKind::kUntilClose;
  return true;
}

}  // namespace rouse::http
