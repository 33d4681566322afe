// Rows of security.md 3.2 that need forged handshakes: hellos made byte by byte, and what the proxy
// says to them.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_tls_rig.h"

namespace rouse::proxy::testing {
namespace {

std::string Number(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
std::string Sized(const std::string& text, int bytes) { return Number(text.size(), bytes) + text; }
std::string Extension(int type, const std::string& body) {
  return Number(type, 2) + Sized(body, 2);
}
std::string Name(const std::string& name) { return '\0' + Sized(name, 2); }
std::string ServerName(const std::string& entries) { return Extension(0, Sized(entries, 2)); }

/// A hello that OpenSSL accepts as TLS 1.2 unless told otherwise.
struct Hello {
  int version = 0x0303;
  std::vector<int> ciphers = {0xc02b, 0xc02f};  // ECDHE with AES-128-GCM
  std::string compressions = std::string(1, '\0');
  std::string extensions = Extension(10, Sized(Number(0x0017, 2), 2)) +     // P-256
                           Extension(11, Sized(std::string(1, '\0'), 1)) +  // uncompressed
                           Extension(13, Sized(Number(0x0403, 2), 2));      // ECDSA with SHA-256
  std::string more = {};

  [[nodiscard]] std::string Message() const {
    std::string suites;
    for (const int cipher : ciphers) suites += Number(static_cast<size_t>(cipher), 2);
    const std::string body = Number(static_cast<size_t>(version), 2) + std::string(32, 'r') +
                             Sized("", 1) + Sized(suites, 2) + Sized(compressions, 1) +
                             Sized(extensions + more, 2);
    return '\1' + Sized(body, 3);
  }
  /// In records of at most `piece` bytes.
  [[nodiscard]] std::string Records(size_t piece = 16384) const {
    const std::string message = Message();
    std::string out;
    for (size_t at = 0; at < message.size(); at += piece)
      out += std::string("\x16\x03\x01", 3) + Sized(message.substr(at, piece), 2);
    return out;
  }
};

enum class Verdict { kServed, kAlert, kClosed };

/// What the first record that comes back is; `alert` its description.
Verdict Say(TlsProxyRig& rig, const std::string& bytes, int* alert = nullptr) {
  TlsWireClient& client = rig.Dial({});
  client.SendRaw(bytes);
  (void)rig.Until([&] { return client.received().size() >= 7 || client.ended(); });
  const std::string& got = client.received();
  if (got.size() >= 7 && got[0] == '\x15') {
    if (alert != nullptr) *alert = static_cast<unsigned char>(got[6]);
    return Verdict::kAlert;
  }
  if (!got.empty() && got[0] == '\x16') return Verdict::kServed;
  return Verdict::kClosed;
}

TEST_CASE("the forged hello is one that is served") {
  TlsProxyRig rig;
  CHECK(Say(rig, Hello{}.Records()) == Verdict::kServed);
  Hello named;
  named.more = ServerName(Name("fn.example"));
  CHECK(Say(rig, named.Records()) == Verdict::kServed);
}

TEST_CASE("TL01: old versions, weak ciphers and compression get an alert and no handshake") {
  TlsProxyRig rig;
  struct Row {
    const char* what;
    Hello hello;
  };
  std::vector<Row> rows;
  for (const int version : {0x0300, 0x0301, 0x0302})
    rows.push_back({"an old version", {.version = version, .more = {}}});
  for (const int cipher : {0x0003, 0x0008, 0x0005, 0x000a, 0x002f, 0x003c, 0x009c, 0xc013, 0xc023,
                           0x009e, 0x0000, 0x0018, 0xc018})
    rows.push_back({"a weak cipher", {.ciphers = {cipher}, .more = {}}});
  rows.push_back({"no null compression", {.compressions = "\1", .more = {}}});
  for (const Row& row : rows) {
    INFO(row.what << " " << row.hello.version << " " << row.hello.ciphers[0]);
    CHECK(Say(rig, row.hello.Records()) == Verdict::kAlert);
  }
  // Compression beside none is not taken up, and heartbeats are not offered.
  Hello both;
  both.compressions = std::string("\1\0", 2);
  both.more = Extension(15, "\1");
  CHECK(Say(rig, both.Records()) == Verdict::kServed);
  // SSLv2: a two-byte header, then CLIENT-HELLO.
  const std::string v2 =
      std::string("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11) + std::string(37, 'c');
  CHECK(Say(rig, v2) != Verdict::kServed);
  CHECK(rig.upstream().requests().empty());
}

TEST_CASE("TL03: a hello in pieces works, whatever their size") {
  TlsProxyRig rig;
  for (const size_t piece : {1, 2, 7, 64})
    CHECK(Say(rig, Hello{}.Records(piece)) == Verdict::kServed);
}

TEST_CASE("TL03: a hello byte by byte works, and one that never ends is cut") {
  ListenerTraits traits;
  traits.handshake_timeout = std::chrono::seconds(1);
  TlsProxyRig rig({}, ProxyRig::Defaults(), std::move(traits));
  TlsWireClient& slow = rig.Dial({});
  for (const char byte : Hello{}.Records()) {
    slow.SendRaw(std::string(1, byte));
    slow.Step();
    rig.Step();
  }
  CHECK(rig.Until([&] { return !slow.received().empty(); }));
  CHECK(slow.received()[0] == '\x16');
  TlsWireClient& endless = rig.Dial({});
  endless.SendRaw(Hello{}.Records().substr(0, 50));
  CHECK(rig.Until([&] { return endless.ended(); }));
}

TEST_CASE("TL03: names that are none, two, or too long get an alert; so does a huge hello") {
  TlsProxyRig rig;
  const std::string bad[] = {ServerName(Name("a.example") + Name("b.example")),
                             ServerName(Name(std::string("a\0b", 3))),
                             ServerName(Name("192.0.2.1")),
                             ServerName(Name("2001:db8::1")),
                             ServerName(Name(std::string(300, 'a'))),
                             ServerName(Name("")),
                             ServerName(""),
                             Extension(0, "x")};
  for (const std::string& extension : bad) {
    Hello hello;
    hello.more = extension;
    CHECK(Say(rig, hello.Records()) == Verdict::kAlert);
  }
  Hello large;
  large.more = Extension(21, std::string(60000, '\0'));
  CHECK(Say(rig, large.Records()) != Verdict::kClosed);
  std::string huge = '\1' + Number(200'000, 3) + std::string(200'000, 'x');
  std::string records;
  for (size_t at = 0; at < huge.size(); at += 16384)
    records += std::string("\x16\x03\x01", 3) + Sized(huge.substr(at, 16384), 2);
  CHECK(Say(rig, records) != Verdict::kServed);
}

TEST_CASE("TL02: records over the limit are refused before the handshake, too") {
  TlsProxyRig rig;
  int alert = 0;
  const std::string over = std::string("\x16\x03\x01", 3) + Number(16384 + 2049, 2);
  CHECK(Say(rig, over + std::string(16384 + 2049, 'x'), &alert) == Verdict::kAlert);
  CHECK(alert == 22);  // record_overflow
}

TEST_CASE("TL02: a flood of empty records is cut") {
  TlsProxyRig rig;
  std::string empty;
  for (int i = 0; i < 2000; ++i) empty += std::string("\x16\x03\x01\0\0", 5);
  CHECK(Say(rig, empty) != Verdict::kServed);
  CHECK(rig.Until([&] { return rig.plane().sessions().size() == 0; }));
}

TEST_CASE("TL02: 10 000 key updates do not keep a connection") {
  TlsProxyRig rig;
  TlsWireClient& client = rig.Dial({});
  CHECK(Has(rig.AskTls(client, Get()), "HTTP/1.1 200"));
  CHECK(rig.Until([&] {
    client.UpdateKeys(200);
    return client.ended() || rig.plane().sessions().size() == 0;
  }));
}

TEST_CASE("TL14: early data is never taken") {
  TlsProxyRig rig;
  TlsWireClient& first = rig.Dial({});
  CHECK(Has(rig.AskTls(first, Get()), "HTTP/1.1 200"));
  REQUIRE(first.session() != nullptr);
  CHECK(first.early_data_most() == 0);
}

TEST_CASE("TL11: while a flood of handshakes runs, a connection that stands is served") {
  TlsProxyRig rig;
  TlsWireClient& good = rig.Dial({});
  CHECK(Has(rig.AskTls(good, Get()), "HTTP/1.1 200"));
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 20; ++i) {
      TlsWireClient& aborts = rig.Dial({});
      aborts.SendRaw(Hello{}.Records());
      aborts.Step();
    }
    CHECK(Has(rig.AskTls(good, Get()), "HTTP/1.1 200"));
  }
}

}  // namespace
}  // namespace rouse::proxy::testing
