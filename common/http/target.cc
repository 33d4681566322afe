#include "common/http/target.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <arpa/inet.h>

#include "common/http/syntax.h"

namespace rouse::http {
namespace {

bool ValidPort(std::string_view port) {
  if (port.size() > 5) return false;
  uint32_t value = 0;
  for (const char c : port) {
    if (!IsA(c, kDigitChar)) return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  return value <= 65535;
}

/// The characters of a name in lower case; zero for what is none.
constexpr std::array<char, 256> MakeHostLower() {
  std::array<char, 256> lower{};
  for (size_t c = 0; c < lower.size(); ++c) {
    const bool valid = (internal::kClasses[c] & kHostChar) != 0;
    if (valid) lower[c] = LowerCase(static_cast<char>(c));
  }
  return lower;
}
constexpr std::array<char, 256> kHostLower = MakeHostLower();

/// Lowers a name, up to a colon or the end, and judges it: labels that are neither empty nor too
/// long, of the right characters, with at most one dot at its end. Returns its length with that
/// dot.
std::optional<size_t> ReadName(std::span<char> bytes) {
  constexpr size_t kNameMax = 253;
  constexpr size_t kLabelMax = 63;
  size_t label = 0;
  size_t at = 0;
  for (; at < bytes.size() && bytes[at] != ':'; ++at) {
    const char c = kHostLower[static_cast<uint8_t>(bytes[at])];
    if (c == '\0') return std::nullopt;
    bytes[at] = c;
    if (c != '.') {
      if (++label > kLabelMax) return std::nullopt;
      continue;
    }
    if (label == 0) return std::nullopt;
    label = 0;
  }
  const bool dot = label == 0;
  if (at == 0 || at - (dot ? 1 : 0) > kNameMax) return std::nullopt;
  return at;
}

bool ValidIpv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN + 1> copy{};
  if (text.size() >= copy.size() || text.find('\0') != std::string_view::npos) return false;
  std::copy(text.begin(), text.end(), copy.begin());
  in6_addr address{};
  return inet_pton(AF_INET6, copy.data(), &address) == 1;
}

/// How many bytes at `at` spell one dot, plainly or as %2e; 0 where they do not.
size_t DotAt(std::string_view path, size_t at) {
  if (at < path.size() && path[at] == '.') return 1;
  const bool encoded = at + 2 < path.size() && path[at] == '%' && path[at + 1] == '2' &&
                       LowerCase(path[at + 2]) == 'e';
  return encoded ? 3 : 0;
}

/// The number of dots that a segment consists of (1 or 2); 0 for any other segment. What follows a
/// ';' is a parameter that some servers cut off, so "..;x" counts as "..".
int DotsOf(std::string_view segment) {
  const std::string_view name = segment.substr(0, segment.find(';'));
  const size_t first = DotAt(name, 0);
  if (first == 0) return 0;
  if (first == name.size()) return 1;
  const size_t second = DotAt(name, first);
  return second != 0 && first + second == name.size() ? 2 : 0;
}

bool ValidEncodings(std::string_view text) {
  for (size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 3)) {
    if (at + 2 >= text.size()) return false;
    const uint8_t high = HexValue(text[at + 1]);
    const uint8_t low = HexValue(text[at + 2]);
    if (high == kNotHex || low == kNotHex) return false;
    if (high == 0 && low == 0) return false;
  }
  return true;
}

/// Rewrites the path without its dot segments; nullopt where it climbs above the root.
std::optional<size_t> RemoveDotSegments(std::span<char> path) {
  size_t written = 0;
  size_t read = 0;
  while (read < path.size()) {
    size_t end = read + 1;
    while (end < path.size() && path[end] != '/') ++end;
    const std::string_view segment(path.data() + read + 1, end - read - 1);
    const int dots = DotsOf(segment);
    const bool last = end == path.size();
    if (dots != 0 && segment.find(';') != std::string_view::npos) return std::nullopt;
    if (dots == 2) {
      if (written == 0) return std::nullopt;
      do --written;
      while (path[written] != '/');
    }
    if (dots == 0) {
      std::memmove(path.data() + written, path.data() + read, end - read);
      written += end - read;
    } else if (last) {
      path[written++] = '/';
    }
    read = end;
  }
  if (written == 0) path[written++] = '/';
  return written;
}

}  // namespace

std::optional<Authority> ParseAuthority(std::span<char> bytes) {
  const std::string_view text(bytes.data(), bytes.size());
  std::string_view host;
  std::string_view rest;
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    for (char& c : bytes.first(close)) c = LowerCase(c);
    if (!ValidIpv6(text.substr(1, close - 1))) return std::nullopt;
    host = text.substr(0, close + 1);
    rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return std::nullopt;
  } else {
    const std::optional<size_t> name = ReadName(bytes);
    if (!name) return std::nullopt;
    host = text.substr(0, *name);
    rest = text.substr(*name);
    if (host.back() == '.') host.remove_suffix(1);
  }
  const bool colon = !rest.empty();
  const std::string_view port = colon ? rest.substr(1) : rest;
  if (!ValidPort(port)) return std::nullopt;
  return Authority{colon && port.empty() ? text.substr(0, text.size() - 1) : text, host, port};
}

bool SameAuthority(const Authority& a, const Authority& b, std::string_view default_port) {
  const auto port = [&](const Authority& of) { return of.port.empty() ? default_port : of.port; };
  return a.host == b.host && port(a) == port(b);
}

std::optional<std::string_view> NormalisePath(std::span<char> bytes) {
  const std::string_view text(bytes.data(), bytes.size());
  if (text.empty() || text[0] != '/' || !AllAre(text, kTargetChar)) return std::nullopt;
  if (text.find('%') != std::string_view::npos && !ValidEncodings(text)) return std::nullopt;
  const size_t query = std::min(text.find('?'), text.size());
  const std::string_view path = text.substr(0, query);
  const bool dots =
      path.find("/.") != std::string_view::npos || path.find("/%2") != std::string_view::npos;
  if (!dots) return text;
  const auto length = RemoveDotSegments(bytes.subspan(0, query));
  if (!length) return std::nullopt;
  std::memmove(bytes.data() + *length, bytes.data() + query, bytes.size() - query);
  return std::string_view(bytes.data(), *length + bytes.size() - query);
}

}  // namespace rouse::http
