#include "proxy/control/endpoint_guard.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace rouse::proxy {

bool EndpointGuard::Parse(std::string_view text, Bytes& bytes) {
  const std::string address(text);
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) {
    bytes = {};
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(bytes.data() + 12, &v4, 4);
    return true;
  }
  return inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1;
}

bool EndpointGuard::In(const Bytes& address, const Range& range) {
  const size_t whole = static_cast<size_t>(range.bits) / 8;
  if (!std::equal(address.begin(), address.begin() + static_cast<ptrdiff_t>(whole),
                  range.prefix.begin())) {
    return false;
  }
  const int rest = range.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return ((address[whole] ^ range.prefix[whole]) & mask) == 0;
}

absl::StatusOr<EndpointGuard> EndpointGuard::Make(const std::vector<std::string>& allowed,
                                                  const std::vector<std::string>& refused) {
  EndpointGuard guard;
  for (const std::string& text : allowed) {
    const size_t slash = text.find('/');
    Range range{};
    const bool address = Parse(std::string_view(text).substr(0, slash), range.prefix);
    const bool v4 = text.find(':') == std::string::npos;
    const int most = v4 ? 32 : 128;
    int bits = most;
    bool length = true;
    if (slash != std::string::npos) {
      const char* end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data() + slash + 1, end, bits);
      length = parsed.ec == std::errc() && parsed.ptr == end && bits >= 0 && bits <= most;
    }
    if (!address || !length) {
      return absl::InvalidArgumentError("'" + text + "' is no address range, such as 127.0.0.0/8");
    }
    range.bits = v4 ? bits + 96 : bits;
    guard.allowed_.push_back(range);
  }
  for (const std::string& text : refused) {
    Bytes bytes{};
    if (Parse(text, bytes)) guard.refused_.push_back(bytes);
  }
  return guard;
}

bool EndpointGuard::Allows(std::string_view address) const {
  Bytes bytes{};
  if (!Parse(address, bytes)) return false;
  if (std::find(refused_.begin(), refused_.end(), bytes) != refused_.end()) return false;
  for (const Range& range : allowed_) {
    if (In(bytes, range)) return true;
  }
  static const std::vector<Range> kNever = [] {
    std::vector<Range> ranges;
    for (const auto& [text, bits] : {std::pair{"127.0.0.0", 8 + 96},
                                     {"169.254.0.0", 16 + 96},
                                     {"0.0.0.0", 8 + 96},
                                     {"224.0.0.0", 3 + 96},
                                     {"::1", 128},
                                     {"::", 128},
                                     {"fe80::", 10},
                                     {"ff00::", 8}}) {
      Range range{};
      Parse(text, range.prefix);
      range.bits = bits;
      ranges.push_back(range);
    }
    return ranges;
  }();
  return std::none_of(kNever.begin(), kNever.end(),
                      [&](const Range& range) { return In(bytes, range); });
}

}  // namespace rouse::proxy
