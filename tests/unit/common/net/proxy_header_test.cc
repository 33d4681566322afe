#include "common/net/proxy_header.h"

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

using Step = ProxyHeader::Step;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

/// Feeds as asked: the verdict, and how many bytes were taken.
struct Fed {
  ProxyHeader header;
  size_t taken = 0;
};
Fed Feed(const std::string& bytes) {
  Fed fed{.header = ParseProxyHeader({}), .taken = 0};
  while (fed.header.step == Step::kMore) {
    REQUIRE(fed.header.needs > 0);
    if (fed.taken + fed.header.needs > bytes.size()) return fed;
    fed.taken += fed.header.needs;
    fed.header = ParseProxyHeader(std::string_view(bytes).substr(0, fed.taken));
  }
  return fed;
}

std::string V2(char command, char family, const std::string& rest) {
  return kSignature + command + family + static_cast<char>(rest.size() >> 8) +
         static_cast<char>(rest.size() & 0xff) + rest;
}
const std::string kFour("\xc0\0\2\1\xc0\0\2\2\x30\x39\0\x50", 12);

TEST_CASE("both versions say who the client is, and not a byte more is taken") {
  struct Row {
    std::string header;
    std::string client;
  };
  const Row rows[] = {
      {"PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n", "192.0.2.1:12345"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "1.1.1.1:1"},
      {"PROXY TCP6 2001:db8::1 2001:db8::2 12345 443\r\n", "[2001:db8::1]:12345"},
      {"PROXY TCP6 ffff:f...f:ffff 1 2\r\n", "bad"},
      {"PROXY UNKNOWN\r\n", ""},
      {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ""},
      {V2('\x21', '\x11', kFour), "192.0.2.1:12345"},
      {V2('\x21', '\x11', kFour + std::string("\x04\0\x01x", 4)), "192.0.2.1:12345"},
      {V2('\x20', '\0', ""), ""},
      {V2('\x20', '\x11', kFour), ""},
      {V2('\x21', '\0', ""), ""},
      {V2('\x21', '\x21',
          std::string("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16) +
              std::string("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16) +
              std::string("\x30\x39\0\x50", 4)),
       "[2001:db8::1]:12345"},
  };
  for (const Row& row : rows) {
    INFO(row.header);
    const Fed fed = Feed(row.header + "GET / HTTP/1.1\r\n\r\n");
    if (row.client == "bad") {
      CHECK(fed.header.step == Step::kFailed);
      continue;
    }
    CHECK(fed.header.step == Step::kDone);
    CHECK(fed.taken == row.header.size());
    CHECK((fed.header.client ? fed.header.client->text() : std::string()) == row.client);
  }
}

TEST_CASE("what the specification does not allow is refused") {
  const std::string rows[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03pppppppp",
      "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\rX\n",
      "PROXY TCP4 2001:db8::1 2001:db8::2 12345 80\r\n",
      "PROXY TCP6 192.0.2.1 192.0.2.2 12345 80\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 012 80\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n",
      "PROXY TCP4 192.0.2.1  192.0.2.2 1 80\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 80 \r\n",
      "PROXY TCP5 192.0.2.1 192.0.2.2 1 80\r\n",
      "PROXY tcp4 192.0.2.1 192.0.2.2 1 80\r\n",
      "proxy TCP4 192.0.2.1 192.0.2.2 1 80\r\n",
      "PROXY UNKNOWN " + std::string(120, 'x') + "\r\n",
      "PROXY \r\n         ",
      V2('\x31', '\x11', kFour),                   // version 3
      V2('\x22', '\x11', kFour),                   // unknown command
      V2('\x21', '\x12', kFour),                   // datagram
      V2('\x21', '\x31', std::string(216, 'x')),   // a socket of this machine
      V2('\x21', '\x11', kFour.substr(0, 11)),     // too short
      V2('\x21', '\x11', std::string(2049, 'x')),  // too long
  };
  for (const std::string& row : rows) {
    INFO(row);
    CHECK(Feed(row + std::string(4096, 'y')).header.step == Step::kFailed);
  }
}

TEST_CASE("a header that stops half way is neither good nor bad") {
  for (const std::string& whole :
       {std::string("PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n"), V2('\x21', '\x11', kFour)})
    for (size_t size = 0; size < whole.size(); ++size)
      CHECK(Feed(whole.substr(0, size)).header.step == Step::kMore);
}

}  // namespace
}  // namespace rouse::net
