#include "common/net/proxy_header.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace rouse::net {
namespace {

using Step = ProxyHeader::Step;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kV1Start = "PROXY ";
/// `PROXY UNKNOWN\r\n`, the shortest header of all; version 2's fixed part is one byte longer.
constexpr size_t kShortest = 15;
constexpr size_t kV2Fixed = 16;

constexpr ProxyHeader kBad{.step = Step::kFailed, .needs = 0, .client = std::nullopt};

ProxyHeader More(size_t bytes) {
  return {.step = Step::kMore, .needs = bytes, .client = std::nullopt};
}
ProxyHeader Done(std::optional<SocketAddress> client) {
  return {.step = Step::kDone, .needs = 0, .client = client};
}

/// The next word and the single space behind it; nothing where there is none.
std::string_view TakeWord(std::string_view& text) {
  const size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  return word;
}

std::optional<uint16_t> Port(std::string_view text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  const bool zeros = text.size() > 1 && text.front() == '0';
  if (text.empty() || error != std::errc() || at != end || zeros) return std::nullopt;
  return port;
}

/// Of the family that the header names, and no other.
std::optional<SocketAddress> Address(std::string_view ip, uint16_t port, bool v6) {
  if ((ip.find(':') != std::string_view::npos) != v6) return std::nullopt;
  return SocketAddress::Parse(ip, port);
}

/// `TCP4 1.2.3.4 5.6.7.8 1000 80`, without the line's end.
ProxyHeader ParseLine(std::string_view line) {
  const std::string_view family = TakeWord(line);
  if (family == "UNKNOWN") return Done(std::nullopt);
  if (family != "TCP4" && family != "TCP6") return kBad;
  const bool v6 = family == "TCP6";
  const std::string_view from = TakeWord(line);
  const std::string_view to = TakeWord(line);
  const std::optional<uint16_t> from_port = Port(TakeWord(line));
  const std::optional<uint16_t> to_port = Port(line);
  if (!from_port || !to_port || !Address(to, *to_port, v6)) return kBad;
  const std::optional<SocketAddress> client = Address(from, *from_port, v6);
  return client ? Done(client) : kBad;
}

ProxyHeader ParseV1(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end != std::string_view::npos) {
    if (end + 1 != bytes.size() || end + 1 > kProxyV1Max || bytes[end - 1] != '\r') return kBad;
    const std::string_view line = bytes.substr(kV1Start.size(), end - 1 - kV1Start.size());
    return line.find('\r') == std::string_view::npos ? ParseLine(line) : kBad;
  }
  const bool at_end = bytes.back() == '\r';
  const size_t needs = at_end ? 1 : 2;
  return bytes.size() + needs <= kProxyV1Max ? More(needs) : kBad;
}

std::optional<SocketAddress> BinaryAddress(const char* bytes, const char* port, bool v6) {
  char text[INET6_ADDRSTRLEN] = {};
  if (inet_ntop(v6 ? AF_INET6 : AF_INET, bytes, text, sizeof text) == nullptr) return std::nullopt;
  uint16_t number = 0;
  std::memcpy(&number, port, sizeof number);
  return SocketAddress::Parse(text, ntohs(number));
}

ProxyHeader ParseV2(std::string_view bytes) {
  if (bytes.size() < kV2Fixed) return More(kV2Fixed - bytes.size());
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned command = byte(12);
  const unsigned family = byte(13);
  const size_t length = static_cast<size_t>(byte(14)) << 8 | byte(15);
  if (command != 0x20 && command != 0x21) return kBad;  // version 2; LOCAL or PROXY
  if (kV2Fixed + length > kProxyV2Max) return kBad;
  if (bytes.size() < kV2Fixed + length) return More(kV2Fixed + length - bytes.size());
  if (bytes.size() > kV2Fixed + length) return kBad;
  if (command == 0x20 || family == 0x00) return Done(std::nullopt);
  const bool v6 = family == 0x21;
  if (!v6 && family != 0x11) return kBad;  // a stream over IPv4 or IPv6
  const size_t size = v6 ? 16 : 4;
  if (length < 2 * size + 4) return kBad;
  const char* const at = bytes.data() + kV2Fixed;
  const std::optional<SocketAddress> client = BinaryAddress(at, at + 2 * size, v6);
  return client ? Done(client) : kBad;
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  const size_t common = std::min(bytes.size(), kSignature.size());
  if (bytes.substr(0, common) == kSignature.substr(0, common) && !bytes.empty()) {
    if (bytes.size() < kShortest) return More(kShortest - bytes.size());
    return ParseV2(bytes);
  }
  const size_t start = std::min(bytes.size(), kV1Start.size());
  if (bytes.substr(0, start) != kV1Start.substr(0, start)) return kBad;
  if (bytes.size() < kShortest) {
    if (bytes.find('\n') != std::string_view::npos) return kBad;
    return More(kShortest - bytes.size());
  }
  return ParseV1(bytes);
}

}  // namespace rouse::net
