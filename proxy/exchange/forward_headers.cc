#include "proxy/exchange/forward_headers.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include "common/base/short_copy.h"
#include "common/net/tls_peer.h"

namespace rouse::proxy {
namespace {

using http::BitOf;
using http::HeaderId;
using http::HeaderMap;
using http::HeadPatch;

/// Never passed on in either direction: hop-by-hop (RFC 9110 section 7.6.1), or written by the
/// codec.
constexpr uint64_t kHopByHop = BitOf(HeaderId::kConnection) | BitOf(HeaderId::kKeepAlive) |
                               BitOf(HeaderId::kProxyConnection) | BitOf(HeaderId::kTe) |
                               BitOf(HeaderId::kUpgrade) | BitOf(HeaderId::kProxyAuthorization) |
                               BitOf(HeaderId::kHttp2Settings) | BitOf(HeaderId::kTransferEncoding);

/// Request only. `Proxy` is httpoxy (N12); Expect is ours to answer, once a slot is granted (X01).
constexpr uint64_t kRequestDrop =
    kHopByHop | BitOf(HeaderId::kContentLength) | BitOf(HeaderId::kHost) |
    BitOf(HeaderId::kExpect) | BitOf(HeaderId::kProxy) | BitOf(HeaderId::kForwarded) |
    BitOf(HeaderId::kXForwardedFor) | BitOf(HeaderId::kXForwardedProto) |
    BitOf(HeaderId::kXForwardedHost) | BitOf(HeaderId::kXForwardedPort) |
    BitOf(HeaderId::kXForwardedClientCert) | BitOf(HeaderId::kXEnvoyTimeout) |
    BitOf(HeaderId::kXRequestId) | BitOf(HeaderId::kVia) | BitOf(HeaderId::kGrpcTimeout) |
    BitOf(HeaderId::kXRequestTimeout);

/// Request, from an untrusted peer (K05).
constexpr uint64_t kUntrustedDrop =
    BitOf(HeaderId::kXRealIp) | BitOf(HeaderId::kXOriginalUrl) | BitOf(HeaderId::kXRewriteUrl);

constexpr uint64_t kResponseDrop = kHopByHop | BitOf(HeaderId::kProxyAuthenticate) |
                                   BitOf(HeaderId::kXRequestId) | BitOf(HeaderId::kVia);

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool StartsWithIgnoreCase(std::string_view text, std::string_view lower_prefix) {
  if (text.size() < lower_prefix.size()) return false;
  for (size_t i = 0; i < lower_prefix.size(); ++i)
    if (ToLower(text[i]) != lower_prefix[i]) return false;
  return true;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Cuts the first member off a comma-separated list.
std::string_view NextMember(std::string_view& list) {
  const size_t comma = list.find(',');
  const std::string_view member = Trim(list.substr(0, comma));
  list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  return member;
}

/// Calls `see(value)` for every line of one known field, in order.
template <typename See>
void ForEach(const HeaderMap& fields, HeaderId id, See see) {
  if (!fields.has(id)) return;
  for (size_t i = 0; i < fields.size(); ++i)
    if (fields.id(i) == id) see(fields.value(i));
}

/// Fields named in Connection go no further (K02). Linear in the list also where it is absurdly
/// long (K04).
void DropNominated(const HeaderMap& fields, HeadPatch& patch) {
  constexpr size_t kFew = 8;
  absl::InlinedVector<std::string_view, kFew> names;
  ForEach(fields, HeaderId::kConnection, [&](std::string_view list) {
    while (!list.empty()) {
      const std::string_view name = NextMember(list);
      if (name.empty() || http::EqualsIgnoreCase(name, "close") ||
          http::EqualsIgnoreCase(name, "keep-alive"))
        continue;
      names.push_back(name);
    }
  });
  if (names.empty()) return;
  if (names.size() <= kFew) {
    for (size_t i = 0; i < fields.size(); ++i)
      for (const std::string_view name : names)
        if (http::EqualsIgnoreCase(fields.name(i), name)) patch.Drop(i);
    return;
  }
  absl::flat_hash_set<std::string> set;
  std::string lower;
  for (const std::string_view name : names) {
    lower.resize(name.size());
    std::transform(name.begin(), name.end(), lower.begin(), ToLower);
    set.insert(lower);
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string_view name = fields.name(i);
    lower.resize(name.size());
    std::transform(name.begin(), name.end(), lower.begin(), ToLower);
    if (set.contains(lower)) patch.Drop(i);
  }
}

/// An underscore name that a CGI-like server would read as one of the fields that decide framing,
/// routing or identity: dropped whatever the policy.
bool ImitatesSecurityField(std::string_view name) {
  constexpr size_t kLongest = 32;
  if (name.size() > kLongest) return false;
  char dashed[kLongest];
  for (size_t i = 0; i < name.size(); ++i) dashed[i] = name[i] == '_' ? '-' : ToLower(name[i]);
  const std::string_view text(dashed, name.size());
  const HeaderId id = http::IdOf(text);
  if (id != HeaderId::kOther) return (kRequestDrop | kUntrustedDrop) & BitOf(id);
  return text.starts_with("x-rouse-") || text.starts_with("x-envoy-");
}

/// Eight hex digits at once, each a byte: the nibbles are spread out, and those above nine moved on
/// to the letters.
uint64_t HexDigits(uint32_t bits) {
  constexpr uint64_t kEach = 0x0101010101010101;
  uint64_t spread = bits;
  spread = (spread | spread << 16) & 0x0000ffff0000ffff;
  spread = (spread | spread << 8) & 0x00ff00ff00ff00ff;
  spread = (spread | spread << 4) & (kEach * 0x0f);
  const uint64_t letters = ((spread + kEach * 6) >> 4) & kEach;
  return spread + kEach * '0' + letters * ('a' - '0' - 10);
}

bool IsRequestIdChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool IsValidRequestId(std::string_view id) {
  constexpr size_t kRequestIdMax = 128;
  return !id.empty() && id.size() <= kRequestIdMax &&
         std::all_of(id.begin(), id.end(), IsRequestIdChar);
}

/// An address as it stands in X-Forwarded-For; loose on purpose: what matters is that nothing else
/// gets in.
bool LooksLikeAddress(std::string_view text) {
  constexpr size_t kAddressMax = 64;
  if (text.empty() || text.size() > kAddressMax) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' ||
           c == ':' || c == '[' || c == ']' || c == '%';
  });
}

/// How often our name stands in Via.
size_t TimesInVia(const HeaderMap& fields, std::string_view via) {
  size_t times = 0;
  ForEach(fields, HeaderId::kVia, [&](std::string_view list) {
    while (!list.empty()) {
      std::string_view member = NextMember(list);  // "1.1 rouse (comment)"
      const size_t space = member.find(' ');
      if (space == std::string_view::npos) continue;
      member = Trim(member.substr(space + 1));
      if (member.substr(0, member.find(' ')) == via) ++times;
    }
  });
  return times;
}

/// All lines of a list field and then `last`, as one value.
std::string_view Appended(const HeaderMap& fields, HeaderId id, std::string_view last,
                          ValueStore& values) {
  std::string_view joined;
  ForEach(fields, id, [&](std::string_view value) {
    value = Trim(value);
    if (!value.empty()) joined = joined.empty() ? value : values.Concat({joined, ", ", value});
  });
  if (joined.empty() || last.empty()) return joined.empty() ? last : joined;
  return values.Concat({joined, ", ", last});
}

/// The part of X-Forwarded-For behind the last malformed entry (K06), and then the peer.
std::string_view ForwardedForOf(const HeaderMap& fields, std::string_view peer,
                                ValueStore& values) {
  std::string_view all = Appended(fields, HeaderId::kXForwardedFor, peer, values);
  size_t end = all.size();
  while (true) {
    const size_t comma = end == 0 ? std::string_view::npos : all.rfind(',', end - 1);
    const size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    if (!LooksLikeAddress(Trim(all.substr(begin, end - begin))))
      return end == all.size() ? peer : Trim(all.substr(end + 1));
    if (comma == std::string_view::npos) return all;
    end = comma;
  }
}

/// One element of Forwarded (RFC 7239 section 4): IPv6 and ports need quotes.
std::string_view ForwardedElement(const http::RequestHead& head, std::string_view peer,
                                  ValueStore& values) {
  constexpr size_t kAround = 32;  // what is not a value
  const bool v6 = peer.find(':') != std::string_view::npos;
  const bool quote_host = head.authority.find(':') != std::string_view::npos;  // a port, or IPv6
  const size_t most = kAround + peer.size() + head.authority.size() + head.scheme.size();
  char* const begin = values.Take(most);
  char* at = ShortCopy(begin, "for=");
  if (v6) at = ShortCopy(at, "\"[");
  at = ShortCopy(at, peer);
  if (v6) at = ShortCopy(at, "]\"");
  at = ShortCopy(at, ";host=");
  if (quote_host) *at++ = '"';
  at = ShortCopy(at, head.authority);
  if (quote_host) *at++ = '"';
  at = ShortCopy(at, ";proto=");
  at = ShortCopy(at, head.scheme);
  const auto size = static_cast<size_t>(at - begin);
  values.GiveBack(begin, most, most - size);
  return {begin, size};
}

std::string_view Decimal(uint64_t number, ValueStore& values) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  return values.Copy({digits, static_cast<size_t>(end - digits)});
}

/// A trusted peer's single value where there is one that is plain text, else ours.
std::string_view TrustedOr(const HeaderMap& fields, HeaderId id, bool trusted,
                           std::string_view ours) {
  if (!trusted || !fields.has(id)) return ours;
  const std::string_view theirs = fields.Find(id).value_or("");
  return theirs.empty() ? ours : theirs;
}

/// Marks what goes no further.
void DropRequestFields(const HeaderMap& fields, const ForwardPolicy& policy, HeadPatch& patch) {
  const bool trusted = policy.trusted_hops > 0;
  const uint64_t drop = trusted ? kRequestDrop : kRequestDrop | kUntrustedDrop;
  for (size_t i = 0; i < fields.size(); ++i) {
    const HeaderId id = fields.id(i);
    if (id != HeaderId::kOther) {
      if (drop & BitOf(id)) patch.Drop(i);
      continue;
    }
    const std::string_view name = fields.name(i);
    const char first = ToLower(name.front());
    if (first == 'x' && (StartsWithIgnoreCase(name, "x-rouse-") ||
                         (!trusted && StartsWithIgnoreCase(name, "x-envoy-")))) {
      patch.Drop(i);
    } else if (std::memchr(name.data(), '_', name.size()) != nullptr) {
      if (policy.underscores != Underscores::kPass || ImitatesSecurityField(name)) patch.Drop(i);
    }
  }
  if (fields.has(HeaderId::kConnection)) DropNominated(fields, patch);
}

/// OPTIONS only (RFC 9110 section 7.6.2); 0 was answered here.
void CountDownMaxForwards(const HeaderMap& fields, ValueStore& values, HeadPatch& patch) {
  const std::string_view text = fields.Find(HeaderId::kMaxForwards).value_or("");
  uint64_t hops = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hops);
  if (error != std::errc() || end != text.data() + text.size() || hops == 0) return;
  for (size_t i = 0; i < fields.size(); ++i)
    if (fields.id(i) == HeaderId::kMaxForwards) patch.Drop(i);
  patch.Add(HeaderId::kMaxForwards, Decimal(hops - 1, values));
}

void AddForwardingFields(const http::RequestHead& head, const http::PeerInfo& peer,
                         const ForwardPolicy& policy, ValueStore& values, HeadPatch& patch) {
  const HeaderMap& fields = head.fields;
  const bool trusted = policy.trusted_hops > 0;
  if (policy.Adds(HeaderId::kXForwardedFor))
    patch.Add(HeaderId::kXForwardedFor,
              trusted ? ForwardedForOf(fields, peer.address, values) : peer.address);
  if (policy.Adds(HeaderId::kXForwardedProto))
    patch.Add(HeaderId::kXForwardedProto,
              TrustedOr(fields, HeaderId::kXForwardedProto, trusted, head.scheme));
  if (policy.Adds(HeaderId::kXForwardedHost))
    patch.Add(HeaderId::kXForwardedHost,
              TrustedOr(fields, HeaderId::kXForwardedHost, trusted, head.authority));
  if (policy.Adds(HeaderId::kXForwardedPort))
    patch.Add(HeaderId::kXForwardedPort, TrustedOr(fields, HeaderId::kXForwardedPort, trusted,
                                                   Decimal(peer.local_port, values)));
  // Who the client is by its certificate: what it says itself counts for nothing (TLS has said it).
  const std::string_view certificate = peer.tls_peer != nullptr
                                           ? std::string_view(peer.tls_peer->client_certificate)
                                           : std::string_view();
  if (trusted && fields.has(HeaderId::kXForwardedClientCert))
    patch.Add(HeaderId::kXForwardedClientCert,
              Appended(fields, HeaderId::kXForwardedClientCert, certificate, values));
  else if (!certificate.empty())
    patch.Add(HeaderId::kXForwardedClientCert, certificate);
  if (policy.Adds(HeaderId::kForwarded)) {
    const std::string_view element = ForwardedElement(head, peer.address, values);
    patch.Add(HeaderId::kForwarded,
              trusted ? Appended(fields, HeaderId::kForwarded, element, values) : element);
  }
}

std::string_view OurVia(http::Version version, std::string_view via, ValueStore& values) {
  const std::string_view received = version == http::Version::kHttp10   ? "1.0 "
                                    : version == http::Version::kHttp11 ? "1.1 "
                                                                        : "2 ";
  char* const room = values.Take(received.size() + via.size());
  ShortCopy(ShortCopy(room, received), via);
  return {room, received.size() + via.size()};
}

/// What either direction is told: the way the message took, and the exchange's id.
void AddViaAndId(const HeaderMap& fields, http::Version version, const ForwardPolicy& policy,
                 std::string_view request_id, ValueStore& values, HeadPatch& patch) {
  if (policy.Adds(HeaderId::kVia)) {
    const std::string_view via = OurVia(version, policy.via, values);
    patch.Add(HeaderId::kVia,
              fields.has(HeaderId::kVia) ? Appended(fields, HeaderId::kVia, via, values) : via);
  }
  if (policy.Adds(HeaderId::kXRequestId)) patch.Add(HeaderId::kXRequestId, request_id);
}

}  // namespace

char* ValueStore::TakeMore(size_t bytes) {
  if (block_ != nullptr || bytes > kBlockBytes) {
    overflow_.emplace_front(bytes, '\0');
    return overflow_.front().data();
  }
  block_ = static_cast<char*>(net::FramePool::Take(kBlockBytes));
  at_ = block_ + bytes;
  end_ = block_ + kBlockBytes;
  return block_;
}

std::string_view ValueStore::Copy(std::string_view text) {
  char* const room = Take(text.size());
  ShortCopy(room, text);
  return {room, text.size()};
}

std::string_view ValueStore::Concat(std::initializer_list<std::string_view> parts) {
  size_t bytes = 0;
  for (const std::string_view part : parts) bytes += part.size();
  char* const room = Take(bytes);
  char* at = room;
  for (const std::string_view part : parts) at = ShortCopy(at, part);
  return {room, bytes};
}

std::string_view ValueStore::ClearBut(std::string_view kept) {
  const absl::InlinedVector<char, 128> copy(kept.begin(), kept.end());
  Clear();
  return Copy({copy.data(), copy.size()});
}

std::string_view RequestIdOf(const http::RequestHead& head, const ForwardPolicy& policy,
                             Random& random, ValueStore& values) {
  if (policy.trusted_hops > 0 && head.fields.has(HeaderId::kXRequestId)) {
    const std::string_view theirs = head.fields.Find(HeaderId::kXRequestId).value_or("");
    if (IsValidRequestId(theirs)) return values.Copy(theirs);  // the head may move while parked
  }
  constexpr size_t kDigits = 32;
  char* const room = values.Take(kDigits);
  for (size_t half = 0; half < 2; ++half) {
    const uint64_t bits = random.Next();
    char* const at = room + half * kDigits / 2;
    const uint64_t low = HexDigits(static_cast<uint32_t>(bits));
    const uint64_t high = HexDigits(static_cast<uint32_t>(bits >> 32));
    std::memcpy(at, &low, sizeof low);
    std::memcpy(at + sizeof low, &high, sizeof high);
  }
  return {room, kDigits};
}

std::string_view ClientAddressOf(const http::RequestHead& head, const http::PeerInfo& peer,
                                 const ForwardPolicy& policy) {
  std::string_view client = peer.address;
  if (policy.trusted_hops == 0 || !head.fields.has(HeaderId::kXForwardedFor)) return client;
  // From the right, over all lines, last line first.
  uint32_t hops = policy.trusted_hops;
  for (size_t i = head.fields.size(); i-- > 0 && hops > 0;) {
    if (head.fields.id(i) != HeaderId::kXForwardedFor) continue;
    std::string_view list = head.fields.value(i);
    while (!list.empty() && hops > 0) {
      const size_t comma = list.rfind(',');
      const bool last = comma == std::string_view::npos;
      const std::string_view entry = Trim(last ? list : list.substr(comma + 1));
      if (!LooksLikeAddress(entry)) return client;
      client = entry;
      --hops;
      list = last ? std::string_view() : list.substr(0, comma);
    }
  }
  return client;
}

Error MayForward(const http::RequestHead& head, const ForwardPolicy& policy) {
  const HeaderMap& fields = head.fields;
  if (fields.has(HeaderId::kVia) && TimesInVia(fields, policy.via) >= 2)
    return {ErrorKind::kLoopDetected, Side::kDownstream, false,
            "this request has been here before"};
  if (policy.underscores != Underscores::kReject) return {};
  for (size_t i = 0; i < fields.size(); ++i)
    if (fields.name(i).find('_') != std::string_view::npos)
      return {ErrorKind::kBadRequest, Side::kDownstream, false, "underscore in a field name"};
  return {};
}

void PatchRequest(const http::RequestHead& head, const http::PeerInfo& peer,
                  const ForwardPolicy& policy, std::string_view request_id,
                  const RemainingTime& remaining, ValueStore& values, http::HeadPatch& patch) {
  const HeaderMap& fields = head.fields;
  DropRequestFields(fields, policy, patch);
  AddForwardingFields(head, peer, policy, values, patch);
  AddViaAndId(fields, head.version, policy, request_id, values, patch);
  if (remaining.grpc > Duration::zero())
    patch.Add(HeaderId::kGrpcTimeout, GrpcTimeoutText(remaining.grpc, values));
  if (remaining.request > Duration::zero()) {
    const auto left = static_cast<uint64_t>(std::max<int64_t>(1, Milliseconds(remaining.request)));
    patch.Add(HeaderId::kXRequestTimeout, values.Concat({Decimal(left, values), "ms"}));
  }
  if (remaining.envoy > Duration::zero())
    patch.Add(HeaderId::kXEnvoyTimeout,
              Decimal(static_cast<uint64_t>(std::max<int64_t>(1, Milliseconds(remaining.envoy))),
                      values));
  if (fields.has(HeaderId::kMaxForwards) && head.method == "OPTIONS")
    CountDownMaxForwards(fields, values, patch);
}

void PatchResponse(const http::ResponseHead& head, const ForwardPolicy& policy,
                   std::string_view request_id, ValueStore& values, http::HeadPatch& patch) {
  const HeaderMap& fields = head.fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const HeaderId id = fields.id(i);
    const bool drop = id != HeaderId::kOther ? (kResponseDrop & BitOf(id)) != 0
                                             : StartsWithIgnoreCase(fields.name(i), "x-rouse-");
    if (drop) patch.Drop(i);
  }
  if (fields.has(HeaderId::kConnection)) DropNominated(fields, patch);
  AddViaAndId(fields, head.version, policy, request_id, values, patch);
}

std::string_view GrpcTimeoutText(Duration timeout, ValueStore& values) {
  constexpr int64_t kMost = 99'999'999;
  const int64_t ns = std::max<int64_t>(timeout.count(), 1'000);
  struct Unit {
    int64_t ns;
    std::string_view letter;
  };
  constexpr Unit kUnits[] = {{1'000, "u"}, {1'000'000, "m"}, {1'000'000'000, "S"}};
  for (const Unit& unit : kUnits)
    if (ns / unit.ns <= kMost)
      return values.Concat({Decimal(static_cast<uint64_t>(ns / unit.ns), values), unit.letter});
  return "99999999S";
}

}  // namespace rouse::proxy
