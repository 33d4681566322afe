#pragma once
// What:   the request target and the authority: what a request asks for, validated and normalised,
//         so that routing, logging and forwarding all read the same (security.md T01-T21, H01-H07).
// Owner:  pure functions over the bytes of the head, which they rewrite in place where they shorten
//         it.
// Limits: name 253 bytes, label 63 (RFC 1035).
// Never:  decodes a percent-encoding, except to see a dot segment.

#include <optional>
#include <span>
#include <string_view>

namespace rouse::http {

struct Authority {
  std::string_view text;  ///< host and port, lower case, an empty port removed
  std::string_view
      host;  ///< lower case, without port and trailing dot; an IPv6 literal in its brackets
  std::string_view port;  ///< digits; empty where none was given
};

/// Validates a Host field's value, or the authority of an absolute target, lowering its case in
/// place.
[[nodiscard]] std::optional<Authority> ParseAuthority(std::span<char> bytes);

/// The same host and port, where a missing port is `default_port`.
[[nodiscard]] bool SameAuthority(const Authority& a, const Authority& b,
                                 std::string_view default_port);

/// Validates path and query (it begins with '/') and removes dot segments of the path in place.
/// nullopt where a byte or an encoding is illegal, or it climbs above the root.
[[nodiscard]] std::optional<std::string_view> NormalisePath(std::span<char> bytes);

}  // namespace rouse::http
