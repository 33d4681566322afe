#include "common/http/web_socket_key.h"

#include <bit>
#include <cstdint>
#include <span>
#include <string>

namespace rouse::http {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

using Digest = std::array<uint8_t, 20>;
using State = std::array<uint32_t, 5>;

/// One block of 64 bytes (FIPS 180-4 section 6.1.2).
void Absorb(const uint8_t* block, State& state) {
  std::array<uint32_t, 80> w{};
  for (size_t i = 0; i < 16; ++i) {
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  }
  for (size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state;
  for (size_t i = 0; i < 80; ++i) {
    uint32_t f = b ^ c ^ d;
    uint32_t k = 0xca62c1d6;
    if (i < 20) {
      f = (b & c) | (~b & d);
      k = 0x5a827999;
    } else if (i < 40) {
      k = 0x6ed9eba1;
    } else if (i < 60) {
      f = (b & c) | (b & d) | (c & d);
      k = 0x8f1bbcdc;
    }
    const uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

Digest Sha1(std::string text) {
  const uint64_t bits = text.size() * 8;
  text += '\x80';
  while (text.size() % 64 != 56) text += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(bits >> shift);
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (size_t at = 0; at < text.size(); at += 64)
    Absorb(reinterpret_cast<const uint8_t*>(text.data()) + at, state);
  Digest digest{};
  for (size_t i = 0; i < digest.size(); ++i)
    digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

void Base64(std::span<const uint8_t> bytes, char* out) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    const uint32_t word = uint32_t{bytes[i]} << 16 | (left > 1 ? uint32_t{bytes[i + 1]} << 8 : 0) |
                          (left > 2 ? uint32_t{bytes[i + 2]} : 0);
    *out++ = kDigits[word >> 18 & 63];
    *out++ = kDigits[word >> 12 & 63];
    *out++ = left > 1 ? kDigits[word >> 6 & 63] : '=';
    *out++ = left > 2 ? kDigits[word & 63] : '=';
  }
}

}  // namespace

WebSocketKey MakeWebSocketKey(Random& random) {
  std::array<uint8_t, 16> bytes{};
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  WebSocketKey key{};
  Base64(bytes, key.data());
  return key;
}

WebSocketAccept AcceptOf(std::string_view key) {
  const Digest digest = Sha1(std::string(key).append(kGuid));
  WebSocketAccept accept{};
  Base64(digest, accept.data());
  return accept;
}

}  // namespace rouse::http
