#include "common/http/h1_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "common/base/short_copy.h"

namespace rouse::http {
namespace {

/// Appends to a span, or remembers that it did not fit.
class Output {
 public:
  explicit Output(std::span<char> out) : out_(out) {}

  void Add(std::string_view text) {
    if (text.size() > out_.size() - used_) {
      full_ = true;
      return;
    }
    ShortCopy(out_.data() + used_, text);
    used_ += text.size();
  }
  void AddField(std::string_view name, std::string_view value) {
    if (name.size() + value.size() + 4 > out_.size() - used_) {
      full_ = true;
      return;
    }
    char* at = ShortCopy(out_.data() + used_, name);
    *at++ = ':';
    *at++ = ' ';
    at = ShortCopy(at, value);
    *at++ = '\r';
    *at++ = '\n';
    used_ = static_cast<size_t>(at - out_.data());
  }
  /// As AddField, for a name of ours: it and its colon go as one block of fixed size, which what
  /// comes behind overwrites.
  void AddKnown(HeaderId id, std::string_view value) {
    const internal::NameRoom& name = internal::kNameRooms[static_cast<size_t>(id)];
    if (out_.size() - used_ < value.size() + sizeof name.text + 4) {
      AddField(NameOf(id), value);
      return;
    }
    char* at = out_.data() + used_;
    std::memcpy(at, name.text, sizeof name.text);
    at = ShortCopy(at + name.size + 2, value);
    *at++ = '\r';
    *at++ = '\n';
    used_ = static_cast<size_t>(at - out_.data());
  }
  void AddNumberField(HeaderId id, uint64_t value) {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    AddKnown(id, {digits.data(), static_cast<size_t>(end - digits.data())});
  }
  [[nodiscard]] size_t size() const { return full_ ? 0 : used_; }

 private:
  std::span<char> out_;
  size_t used_ = 0;
  bool full_ = false;
};

/// Written from the head itself, or not at all.
constexpr uint64_t kOurs =
    BitOf(HeaderId::kHost) | BitOf(HeaderId::kContentLength) | BitOf(HeaderId::kTransferEncoding) |
    BitOf(HeaderId::kConnection) | BitOf(HeaderId::kKeepAlive) | BitOf(HeaderId::kProxyConnection) |
    BitOf(HeaderId::kUpgrade) | BitOf(HeaderId::kTe) | BitOf(HeaderId::kExpect);

bool IsOurs(HeaderId id) { return id != HeaderId::kOther && (kOurs & BitOf(id)) != 0; }

/// Neighbours that stand as we would write them are copied together.
void AddFields(const HeaderMap& fields, const HeadPatch& patch, Output& out) {
  const size_t size = fields.size();
  const auto goes = [&](size_t i) { return !IsOurs(fields.id(i)) && !patch.dropped(i); };
  for (size_t i = 0; i < size;) {
    const size_t first = i++;
    if (!goes(first)) continue;
    if (!fields.plain(first)) {
      out.AddField(fields.name(first), fields.value(first));
      continue;
    }
    while (i < size && fields.continues(i) && goes(i)) ++i;
    out.Add(fields.lines(first, i));
  }
  for (const HeadPatch::Addition& addition : patch.additions()) {
    if (addition.id == HeaderId::kOther) {
      out.AddField(addition.name, addition.value);
    } else if (!IsOurs(addition.id)) {
      out.AddKnown(addition.id, addition.value);
    }
  }
}

void AddFraming(BodyKind body, uint64_t length, Output& out) {
  if (body == BodyKind::kLength) out.AddNumberField(HeaderId::kContentLength, length);
  if (body == BodyKind::kStreamed) out.Add("transfer-encoding: chunked\r\n");
}

std::string_view ReasonOf(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 508:
      return "Loop Detected";
    default:
      return "";
  }
}

}  // namespace

size_t WriteRequestHead(const RequestHead& head, const HeadPatch& patch, std::span<char> span) {
  Output out(span);
  out.Add(head.method);
  out.Add(" ");
  out.Add(head.path);
  out.Add(" HTTP/1.1\r\n");
  out.AddKnown(HeaderId::kHost, head.authority);
  AddFields(head.fields, patch, out);
  BodyKind body = head.body;
  uint64_t length = head.content_length;
  // An empty body that was said to be one stays said (RFC 9110 section 8.6).
  if (body == BodyKind::kNone && head.fields.has(HeaderId::kContentLength)) {
    body = BodyKind::kLength;
    length = 0;
  }
  AddFraming(body, length, out);
  if (!head.upgrade.empty()) {
    out.Add("connection: upgrade\r\n");
    out.AddField("upgrade", head.upgrade);
  } else if (head.accepts_trailers) {
    out.Add("connection: te\r\nte: trailers\r\n");
  }
  out.Add("\r\n");
  return out.size();
}

size_t WriteResponseHead(const ResponseHead& head, const HeadPatch& patch,
                         const ResponseFraming& framing, std::span<char> span) {
  Output out(span);
  std::array<char, 13> line = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', '0', '0', '0', ' '};
  line[9] = static_cast<char>('0' + head.status / 100 % 10);
  line[10] = static_cast<char>('0' + head.status / 10 % 10);
  line[11] = static_cast<char>('0' + head.status % 10);
  out.Add({line.data(), line.size()});
  out.Add(head.reason.empty() ? ReasonOf(head.status) : head.reason);
  out.Add("\r\n");
  AddFields(head.fields, patch, out);
  if (framing.length_is_told) {
    if (const auto told = head.fields.Find(HeaderId::kContentLength)) {
      out.AddKnown(HeaderId::kContentLength, *told);
    }
  } else {
    AddFraming(framing.body, framing.content_length, out);
  }
  if (head.status == 101) {
    out.Add("connection: upgrade\r\n");
    out.AddField("upgrade", head.fields.Find(HeaderId::kUpgrade).value_or("websocket"));
  } else if (framing.close) {
    out.Add("connection: close\r\n");
  } else if (framing.keep_alive) {
    out.Add("connection: keep-alive\r\n");
  }
  out.Add("\r\n");
  return out.size();
}

size_t WriteChunkHeader(uint64_t size, std::span<char, kChunkHeaderMax> out) {
  char* end = std::to_chars(out.data(), out.data() + out.size() - 2, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<size_t>(end - out.data());
}

size_t WriteLastChunk(const Trailers* trailers, std::span<char> span) {
  Output out(span);
  out.Add("0\r\n");
  for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) {
    // Framing, routing and authentication never come after the body (RFC 9110 section 6.5.1).
    const HeaderId id = trailers->id(i);
    const bool harmless = id == HeaderId::kOther || id == HeaderId::kGrpcStatus ||
                          id == HeaderId::kGrpcMessage || id == HeaderId::kServerTiming;
    if (harmless) out.AddField(trailers->name(i), trailers->value(i));
  }
  out.Add("\r\n");
  return out.size();
}

}  // namespace rouse::http
