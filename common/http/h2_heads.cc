#include "common/http/h2_heads.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "common/http/syntax.h"
#include "common/http/target.h"
#include "common/http/web_socket_key.h"
#include "common/net/frame_pool.h"

namespace rouse::http {
namespace {

constexpr Error kFine{};

Error Bad(const char* detail) { return {ErrorKind::kBadRequest, Side::kDownstream, false, detail}; }
Error PodBad(const char* detail) {
  return {ErrorKind::kUpstreamProtocol, Side::kUpstream, false, detail};
}

/// The fields of a block, over the copy of its bytes.
class BlockReader {
 public:
  BlockReader(const H2Block& block, std::span<char> copy) : block_(block), copy_(copy) {}
  [[nodiscard]] size_t size() const { return block_.fields.size(); }
  [[nodiscard]] std::string_view name(size_t i) const {
    return {copy_.data() + block_.fields[i].at, block_.fields[i].name_size};
  }
  [[nodiscard]] std::string_view value(size_t i) const {
    return {copy_.data() + block_.fields[i].value_at, block_.fields[i].value_size};
  }
  [[nodiscard]] std::span<char> bytes(std::string_view view) const {
    return copy_.subspan(static_cast<size_t>(view.data() - copy_.data()), view.size());
  }

 private:
  const H2Block& block_;
  std::span<char> copy_;
};

struct Pseudo {
  std::string_view method;
  std::string_view scheme;
  std::string_view authority;
  std::string_view path;
  std::string_view protocol;
};

void TakePseudo(std::string_view name, std::string_view value, Pseudo& pseudo) {
  if (name == ":method") pseudo.method = value;
  if (name == ":scheme") pseudo.scheme = value;
  if (name == ":authority") pseudo.authority = value;
  if (name == ":path") pseudo.path = value;
  if (name == ":protocol") pseudo.protocol = value;
}

/// As HeadScanner has it: what CGI-like servers read as one of our names never passes.
bool MayAppend(std::string_view name, bool underscores_pass) {
  if (name.find('_') == std::string_view::npos) return true;
  if (!underscores_pass) return false;
  std::string hyphens(name);
  std::replace(hyphens.begin(), hyphens.end(), '_', '-');
  return IdOf(hyphens) == HeaderId::kOther;
}

size_t CookieBytes(const H2Block& block) {
  size_t bytes = 0;
  for (const H2Block::Field& field : block.fields) {
    if (field.name_size != 6 || block.bytes.substr(field.at, 6) != "cookie") continue;
    bytes += field.value_size + 2;
  }
  return bytes;
}

/// Crumbs become one line (RFC 9113 section 8.2.3). `room` lies behind the block's copy.
void JoinCookies(const BlockReader& block, std::span<char> room, HeaderMap& fields) {
  size_t used = 0;
  const auto put = [&](std::string_view text) {
    std::copy(text.begin(), text.end(), room.data() + used);
    used += text.size();
  };
  std::string_view name;
  for (size_t i = 0; i < block.size(); ++i) {
    if (block.name(i) != "cookie") continue;
    if (!name.empty()) put("; ");
    name = block.name(i);
    put(block.value(i));
  }
  fields.Append(name, {room.data(), used}, HeaderId::kCookie);
}

Error ReadAuthority(const BlockReader& block, const Pseudo& pseudo, std::string_view host,
                    bool has_host, RequestHead& head) {
  if (pseudo.authority.empty() && !has_host) return Bad("no authority");
  const std::string_view text = pseudo.authority.empty() ? host : pseudo.authority;
  const auto parsed = ParseAuthority(block.bytes(text));
  if (!parsed) return Bad("the authority is malformed");
  if (has_host && !pseudo.authority.empty()) {
    const auto other = ParseAuthority(block.bytes(host));
    const std::string_view port = head.scheme == "https" ? "443" : "80";
    if (!other || !SameAuthority(*other, *parsed, port)) return Bad("Host is not the authority");
  }
  head.authority = parsed->text;
  head.host = parsed->host;
  return kFine;
}

Error ReadPath(const BlockReader& block, const Pseudo& pseudo, const HeadLimits& limits,
               RequestHead& head) {
  if (pseudo.path.size() > limits.target_bytes_max)
    return {ErrorKind::kTargetTooLong, Side::kDownstream, false, "the target is too long"};
  if (pseudo.path == "*") {
    head.path = pseudo.path;
    return head.method == "OPTIONS" ? kFine : Bad("'*' is for OPTIONS");
  }
  if (!pseudo.path.starts_with('/')) return Bad("the path does not begin with a slash");
  const auto path = NormalisePath(block.bytes(pseudo.path));
  if (!path) return Bad("the target is malformed");
  head.path = *path;
  return kFine;
}

Error ReadBody(const H2Block& block, size_t lengths, std::string_view length, RequestHead& head) {
  head.body = block.end ? BodyKind::kNone : BodyKind::kStreamed;
  head.content_length = 0;
  if (lengths == 0) return kFine;
  const auto value = ParseContentLength(length);
  if (lengths > 1 || !value) return Bad("content-length is no plain number");
  if (block.end) return *value == 0 ? kFine : Bad("a content-length without a body");
  head.body = BodyKind::kLength;
  head.content_length = *value;
  return kFine;
}

constexpr size_t kConnectRoom = 64;

/// Appends a field that did not come, in `room`.
void AppendMade(std::string_view name, std::string_view value, std::span<char> room,
                HeaderMap& fields) {
  std::copy(name.begin(), name.end(), room.begin());
  std::copy(value.begin(), value.end(), room.begin() + name.size());
  fields.Append({room.data(), name.size()}, {room.data() + name.size(), value.size()},
                HeaderId::kOther);
}

/// An extended CONNECT as HTTP/1 would have said it.
Error ReadConnect(const Pseudo& pseudo, bool has_length, std::span<char> room, Random& random,
                  RequestHead& head) {
  if (pseudo.method != "CONNECT") return kFine;
  if (pseudo.protocol.empty())
    return {ErrorKind::kMethodNotAllowed, Side::kDownstream, false, "CONNECT is not forwarded"};
  if (pseudo.protocol != "websocket")
    return {ErrorKind::kNotImplemented, Side::kDownstream, false, "an unknown :protocol"};
  if (has_length) return Bad("a CONNECT with a content-length");
  const WebSocketKey key = MakeWebSocketKey(random);
  AppendMade("sec-websocket-key", {key.data(), key.size()}, room, head.fields);
  head.method = "GET";
  head.upgrade = "websocket";
  head.body = BodyKind::kNone;
  return kFine;
}

}  // namespace

H2HeadBytes::~H2HeadBytes() {
  if (data_ != nullptr) net::FramePool::Give(data_, size_);
}

std::span<char> H2HeadBytes::Take(size_t size) {
  if (data_ != nullptr) net::FramePool::Give(data_, size_);
  size_ = std::max<size_t>(size, 1);
  data_ = static_cast<char*>(net::FramePool::Take(size_));
  return {data_, size_};
}

Error ReadRequest(const H2Block& block, const HeadLimits& limits, std::string_view scheme,
                  Random& random, H2HeadBytes& bytes, RequestHead& head) {
  const size_t cookies = CookieBytes(block);
  const std::span<char> all = bytes.Take(block.bytes.size() + cookies + kConnectRoom);
  std::copy(block.bytes.begin(), block.bytes.end(), all.begin());
  const BlockReader reader(block, all);
  head.fields.Bind(all.data());
  head.version = Version::kHttp2;
  head.scheme = scheme;
  head.accepts_trailers = true;
  Pseudo pseudo;
  std::string_view host;
  std::string_view length;
  size_t hosts = 0;
  size_t lengths = 0;
  size_t crumbs = 0;
  size_t expects = 0;
  for (size_t i = 0; i < reader.size(); ++i) {
    const std::string_view name = reader.name(i);
    const std::string_view value = reader.value(i);
    if (name.starts_with(':')) {
      TakePseudo(name, value, pseudo);
      continue;
    }
    if (!IsFieldValue(value)) return Bad("a control character in a field");
    const HeaderId id = IdOf(name);
    if (id == HeaderId::kCookie) ++crumbs;
    if (id == HeaderId::kHost && ++hosts > 0) host = value;
    if (id == HeaderId::kContentLength && ++lengths > 0) length = value;
    if (id == HeaderId::kExpect) {
      ++expects;
      head.expects_continue = EqualsIgnoreCase(value, "100-continue");
    }
    if (id != HeaderId::kCookie && MayAppend(name, limits.underscores_pass))
      head.fields.Append(name, value, id);
  }
  if (crumbs > 0) JoinCookies(reader, all.subspan(block.bytes.size(), cookies), head.fields);
  head.method = pseudo.method;
  if (block.too_large)
    return {ErrorKind::kHeadTooLarge, Side::kDownstream, false, "the head is too large"};
  if (!IsToken(head.method) || head.method.size() > limits.method_bytes_max)
    return Bad("the method is malformed");
  // Written as HTTP/1 it could pass for a preface (security.md L11).
  if (head.method == "PRI") return Bad("PRI is no method");
  if (hosts > 1) return Bad("several Host fields");
  if (head.method == "TRACE")
    return {ErrorKind::kMethodNotAllowed, Side::kDownstream, false, "TRACE is not forwarded"};
  const bool tunnel = pseudo.method == "CONNECT" && pseudo.protocol.empty();
  // A proxy in front may have ended TLS: both are said on either kind of listener.
  if (!tunnel && pseudo.scheme != "http" && pseudo.scheme != "https")
    return Bad("the scheme is neither http nor https");
  Error error = ReadAuthority(reader, pseudo, host, hosts > 0, head);
  if (error.ok() && !tunnel) error = ReadPath(reader, pseudo, limits, head);
  if (error.ok()) error = ReadBody(block, lengths, length, head);
  if (error.ok()) error = ReadConnect(pseudo, lengths > 0, all.last(kConnectRoom), random, head);
  if (!error.ok()) return error;
  if (expects > 1 || (expects == 1 && !head.expects_continue))
    return {ErrorKind::kExpectationFailed, Side::kDownstream, false, "only 100-continue"};
  head.expects_continue = head.expects_continue && head.body != BodyKind::kNone;
  return kFine;
}

// ---- parked -------------------------------------------------------------------------------------

namespace {

/// Then the fields, then the text: method, authority, host, path, upgrade, and of each field its
/// name and value.
struct PackedRequest {
  uint64_t content_length;
  uint32_t text_sizes[5];
  uint16_t fields;
  BodyKind body;
  uint8_t expects_continue : 1;
  uint8_t accepts_trailers : 1;
};

struct PackedField {
  uint32_t value_size;
  uint16_t name_size;
  HeaderId id;
};

static_assert(alignof(PackedRequest) <= 8 && alignof(PackedField) <= 8);

std::array<std::string_view, 5> TextsOf(const RequestHead& head) {
  return {head.method, head.authority, head.host, head.path, head.upgrade};
}

}  // namespace

H2HeadBytes PackRequest(const RequestHead& head) {
  const auto texts = TextsOf(head);
  const size_t fields = head.fields.size();
  size_t bytes = sizeof(PackedRequest) + fields * sizeof(PackedField);
  for (const std::string_view text : texts) bytes += text.size();
  for (size_t i = 0; i < fields; ++i)
    bytes += head.fields.name(i).size() + head.fields.value(i).size();
  H2HeadBytes packed;
  char* const begin = packed.Take(bytes).data();
  char* at = begin + sizeof(PackedRequest) + fields * sizeof(PackedField);
  const auto put = [&at](std::string_view text) {
    at = std::copy(text.begin(), text.end(), at);
    return static_cast<uint32_t>(text.size());
  };
  auto& packed_head = *::new (begin) PackedRequest{.content_length = head.content_length,
                                                   .text_sizes = {},
                                                   .fields = static_cast<uint16_t>(fields),
                                                   .body = head.body,
                                                   .expects_continue = head.expects_continue,
                                                   .accepts_trailers = head.accepts_trailers};
  for (size_t i = 0; i < texts.size(); ++i) packed_head.text_sizes[i] = put(texts[i]);
  char* const table = begin + sizeof(PackedRequest);
  for (size_t i = 0; i < fields; ++i) {
    const std::string_view name = head.fields.name(i);
    const std::string_view value = head.fields.value(i);
    put(name);
    put(value);
    ::new (table + i * sizeof(PackedField))
        PackedField{.value_size = static_cast<uint32_t>(value.size()),
                    .name_size = static_cast<uint16_t>(name.size()),
                    .id = head.fields.id(i)};
  }
  return packed;
}

void UnpackRequest(H2HeadBytes& packed, std::string_view scheme, RequestHead& head) {
  const auto& from = *std::launder(reinterpret_cast<const PackedRequest*>(packed.data()));
  const auto* const fields =
      std::launder(reinterpret_cast<const PackedField*>(packed.data() + sizeof(PackedRequest)));
  const char* at = packed.data() + sizeof(PackedRequest) + from.fields * sizeof(PackedField);
  const auto take = [&at](size_t size) {
    return std::string_view(std::exchange(at, at + size), size);
  };
  head.version = Version::kHttp2;
  head.scheme = scheme;
  head.body = from.body;
  head.content_length = from.content_length;
  head.expects_continue = from.expects_continue != 0;
  head.accepts_trailers = from.accepts_trailers != 0;
  size_t text = 0;
  for (std::string_view* const part :
       {&head.method, &head.authority, &head.host, &head.path, &head.upgrade})
    *part = take(from.text_sizes[text++]);
  head.fields.Clear();
  head.fields.Bind(packed.data());
  for (size_t i = 0; i < from.fields; ++i) {
    const std::string_view name = take(fields[i].name_size);
    head.fields.Append(name, take(fields[i].value_size), fields[i].id);
  }
}

Error ReadResponse(const H2Block& block, bool to_head, std::string_view accept, H2HeadBytes& bytes,
                   ResponseHead& head) {
  if (block.too_large) return PodBad("the response head is too long");
  const std::span<char> all = bytes.Take(block.bytes.size() + kConnectRoom);
  std::copy(block.bytes.begin(), block.bytes.end(), all.begin());
  const BlockReader reader(block, all);
  head.status = 0;
  head.version = Version::kHttp2;
  head.fields.Clear();
  head.fields.Bind(all.data());
  std::optional<uint64_t> length;
  for (size_t i = 0; i < reader.size(); ++i) {
    const std::string_view name = reader.name(i);
    const std::string_view value = reader.value(i);
    if (name == ":status") {
      if (value.size() != 3 || !AllAre(value, kDigitChar)) return PodBad("no status");
      head.status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
      continue;
    }
    if (!IsFieldValue(value)) return PodBad("a control character in a field");
    const HeaderId id = IdOf(name);
    if (id == HeaderId::kContentLength) {
      if (length) return PodBad("several content-length fields");
      length = ParseContentLength(value);
      if (!length) return PodBad("content-length is no plain number");
    }
    head.fields.Append(name, value, id);
  }
  if (head.status < 100) return PodBad("no status");
  if (!accept.empty())
    AppendMade("sec-websocket-accept", accept, all.last(kConnectRoom), head.fields);
  const bool no_body = block.end || to_head || head.status == 204 || head.status == 304;
  head.body = no_body ? BodyKind::kNone : length ? BodyKind::kLength : BodyKind::kStreamed;
  head.content_length = length.value_or(0);
  return kFine;
}

void ReadTrailers(const H2Block& block, H2HeadBytes& bytes, Trailers& trailers) {
  const std::span<char> all = bytes.Take(block.bytes.size());
  std::copy(block.bytes.begin(), block.bytes.end(), all.begin());
  const BlockReader reader(block, all);
  trailers.Clear();
  trailers.Bind(all.data());
  for (size_t i = 0; i < reader.size(); ++i) {
    if (!IsFieldValue(reader.value(i))) continue;
    trailers.Append(reader.name(i), reader.value(i), IdOf(reader.name(i)));
  }
}

// ---- out ----------------------------------------------------------------------------------------

namespace {

/// Written from the head itself, or not at all (RFC 9113 section 8.2.2).
constexpr uint64_t kOurs = BitOf(HeaderId::kHost) | BitOf(HeaderId::kContentLength) |
                           BitOf(HeaderId::kTransferEncoding) | BitOf(HeaderId::kConnection) |
                           BitOf(HeaderId::kKeepAlive) | BitOf(HeaderId::kProxyConnection) |
                           BitOf(HeaderId::kUpgrade) | BitOf(HeaderId::kTe) |
                           BitOf(HeaderId::kExpect) | BitOf(HeaderId::kHttp2Settings);
/// Different each time: not worth a place in the peer's table.
constexpr uint64_t kEachAnew = BitOf(HeaderId::kXRequestId) | BitOf(HeaderId::kTraceparent) |
                               BitOf(HeaderId::kTracestate) | BitOf(HeaderId::kGrpcTimeout) |
                               BitOf(HeaderId::kServerTiming) | BitOf(HeaderId::kXRequestTimeout);

constexpr bool In(uint64_t set, HeaderId id) {
  return id != HeaderId::kOther && (set & BitOf(id)) != 0;
}

void AddField(std::string_view name, std::string_view value, HeaderId id, H2FieldList& list) {
  if (In(kOurs, id)) return;
  const std::string_view lower = id != HeaderId::kOther ? NameOf(id) : list.Lower(name);
  if (In(kEachAnew, id)) return list.AddUnindexed(lower, value);
  list.Add(lower, value);
}

void AddFields(const HeaderMap& fields, const HeadPatch& patch, bool upgraded, H2FieldList& list) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (patch.dropped(i)) continue;
    const HeaderId id = fields.id(i);
    // The handshake of RFC 6455 has no key in HTTP/2 (RFC 8441 section 5).
    const bool handshake = upgraded && id == HeaderId::kOther &&
                           (EqualsIgnoreCase(fields.name(i), "sec-websocket-key") ||
                            EqualsIgnoreCase(fields.name(i), "sec-websocket-accept"));
    if (!handshake) AddField(fields.name(i), fields.value(i), id, list);
  }
  for (const HeadPatch::Addition& addition : patch.additions())
    AddField(addition.name, addition.value, IdOf(addition.name), list);
}

void AddLength(BodyKind body, uint64_t length, H2FieldList& list) {
  if (body == BodyKind::kLength) list.Add("content-length", list.Number(length));
}

}  // namespace

std::string_view H2FieldList::Number(uint64_t number) {
  const auto [end, error] = std::to_chars(room_.data(), room_.data() + room_.size(), number);
  full_ = full_ || error != std::errc();
  if (full_) return {};
  const auto size = static_cast<size_t>(end - room_.data());
  const std::string_view text(room_.data(), size);
  room_ = room_.subspan(size);
  return text;
}

std::string_view H2FieldList::Lower(std::string_view name) {
  full_ = full_ || name.size() > room_.size();
  if (full_) return {};
  std::transform(name.begin(), name.end(), room_.begin(), &LowerCase);
  const std::string_view text(room_.data(), name.size());
  room_ = room_.subspan(name.size());
  return text;
}

void WriteRequest(const RequestHead& head, const HeadPatch& patch, H2FieldList& list) {
  const bool connect = !head.upgrade.empty();
  list.Add(":method", connect ? std::string_view("CONNECT") : head.method);
  if (connect) list.Add(":protocol", "websocket");
  list.Add(":scheme", head.scheme);
  list.Add(":authority", head.authority);
  list.Add(":path", head.path);
  AddFields(head.fields, patch, connect, list);
  BodyKind body = head.body;
  // An empty body that was said to be one stays said (RFC 9110 section 8.6).
  if (body == BodyKind::kNone && !connect && head.fields.has(HeaderId::kContentLength))
    body = BodyKind::kLength;
  AddLength(body, head.body == BodyKind::kNone ? 0 : head.content_length, list);
  if (head.accepts_trailers) list.Add("te", "trailers");
}

void WriteResponse(const ResponseHead& head, const HeadPatch& patch, bool to_head,
                   H2FieldList& list) {
  const bool upgraded = head.status == 101;
  list.Add(":status", list.Number(static_cast<uint64_t>(upgraded ? 200 : head.status)));
  AddFields(head.fields, patch, upgraded, list);
  if (upgraded || head.status < 200) return;
  if (to_head || head.status == 304) {
    if (const auto told = head.fields.Find(HeaderId::kContentLength))
      list.Add("content-length", *told);
  } else if (head.status != 204) {
    AddLength(head.body, head.content_length, list);
  }
}

void WriteTrailers(const Trailers& trailers, H2FieldList& list) {
  for (size_t i = 0; i < trailers.size(); ++i) {
    // Framing, routing and authentication never come after the body (RFC 9110 section 6.5.1).
    const HeaderId id = trailers.id(i);
    const bool harmless = id == HeaderId::kOther || id == HeaderId::kGrpcStatus ||
                          id == HeaderId::kGrpcMessage || id == HeaderId::kServerTiming;
    if (harmless) AddField(trailers.name(i), trailers.value(i), id, list);
  }
}

}  // namespace rouse::http
