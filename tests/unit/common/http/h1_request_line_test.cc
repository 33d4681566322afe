// Rows L, V, T and H of the request cases: request line, version, target, Host.

#include <catch2/catch.hpp>

#include "tests/unit/common/http/h1_cases.h"

namespace rouse::http::testing {
namespace {

void CheckRequests(const std::vector<Case>& cases) { CHECK(Misjudged(cases) == ""); }

constexpr ErrorKind kBad = ErrorKind::kBadRequest;
constexpr ErrorKind kNot = ErrorKind::kNotImplemented;
constexpr ErrorKind kVersion = ErrorKind::kVersionUnsupported;

TEST_CASE("request lines are read to the letter") {
  CheckRequests({
      {"L00", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", {}, "GET h / none"},
      {"L01", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", {}, "GET h / none"},
      {"L01", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", {}, "GET h / none"},
      {"L02", "\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L03", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L03", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L04", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L04", "GET\v/ HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L04", "GET /\fHTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L04", "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L05", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L05", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L05", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L05", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", kBad},
      {"L06", "GET /\r\n", kBad},
      {"L06", "GET /\r\n\r\n", kBad},
      {"L07", "GET HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L07", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L08", "GET? / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L08", "G=\":<> / HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L08", Bytes("GE\0T / HTTP/1.1\r\nHost: h\r\n\r\n"), kBad},
      {"L09", "get / HTTP/1.1\r\nHost: h\r\n\r\n", {}, "get h / none"},
      {"L09", "SLUDGE / HTTP/1.1\r\nHost: h\r\n\r\n", {}, "SLUDGE h / none"},
      {"L10",
       std::string(32, 'M') + " / HTTP/1.1\r\nHost: h\r\n\r\n",
       {},
       std::string(32, 'M') + " h / none"},
      {"L10", std::string(33, 'M') + " / HTTP/1.1\r\nHost: h\r\n\r\n", kNot},
      {"L11", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", kBad},
      {"L11", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", kBad},
      {"L13", Bytes("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), kBad},
      {"L14", "GET / HTTP/1.1\nHost: h\r\n\r\n", kBad},
      {"L14", "GET / HTTP/1.1\rHost: h\r\n\r\n", kBad},
      {"L14", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", kBad},
      {"L15", Bytes("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), kBad},
      {"L15", Bytes("GET / HTTP/1.1\0\r\nHost: h\r\n\r\n"), kBad},
      {"L16", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", ErrorKind::kMethodNotAllowed},
      {"L16", "TRACE / HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nContent-Length: 1\r\n\r\nx",
       ErrorKind::kMethodNotAllowed},
      {"L17", "CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\nGET / HTTP/1.1\r\n",
       ErrorKind::kMethodNotAllowed},
      {"L18", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", {}, "OPTIONS h * none"},
      {"L18", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
      {"L18", "OPTIONS */x HTTP/1.1\r\nHost: h\r\n\r\n", kBad},
  });
}

TEST_CASE("versions other than 1.0 and 1.1 are refused") {
  const auto with = [](const std::string& version) {
    return "GET / " + version + "\r\nHost: h\r\n\r\n";
  };
  CheckRequests({
      {"V01", with("HTTP/1.2"), kVersion},
      {"V01", with("HTTP/1.9"), kVersion},
      {"V02", with("HTTP/2.0"), kVersion},
      {"V02", with("HTTP/9.9"), kVersion},
      {"V02", with("HTTP/0.9"), kVersion},
      {"V03", with("HTTP/1"), kBad},
      {"V03", with("HTTP/01.1"), kBad},
      {"V03", with("HTTP/1.01"), kBad},
      {"V03", with("HTTP/1."), kBad},
      {"V03", with("HTTP/ 1.1"), kBad},
      {"V03", with("http/1.1"), kBad},
      {"V03", with("HTTP/1.1x"), kBad},
      {"V03", with("HTTP/4294967297.1"), kBad},
      {"V03", with("HTTP"), kBad},
      {"V04", "GET / HTTP/1.0\r\n\r\n", kBad},
      {"V04", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", {}, "GET h / none close 1.0"},
      {"V04",
       "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
       {},
       "GET h / none 1.0"},
  });
}

Case Target(const char* id, const std::string& target, const std::string& path) {
  return {id, "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n", {}, "GET h " + path + " none"};
}

Case BadTarget(const char* id, const std::string& target, ErrorKind error = kBad) {
  return {id, "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n", error};
}

TEST_CASE("targets come out in origin form, normalised once") {
  CheckRequests({
      Target("T01", "http://h/p", "/p"),
      Target("T01", "HTTP://H/p?q", "/p?q"),
      Target("T01", "http://h", "/"),
      Target("T01", "http://h?q=1", "/?q=1"),
      Target("T01", "http://h:80/p", "/p"),
      Target("T07", "//evil/x", "//evil/x"),
      Target("T12", "/a%0d%0ab", "/a%0d%0ab"),
      Target("T14", "/a/../b", "/b"),
      Target("T14", "/a/./b", "/a/b"),
      Target("T14", "/a/%2e%2e/b", "/b"),
      Target("T14", "/a/.%2e/b", "/b"),
      Target("T14", "/a/%2E./b", "/b"),
      Target("T14", "/a/%2e/b", "/a/b"),
      Target("T14", "/a/..", "/"),
      Target("T14", "/a/b/.", "/a/b/"),
      Target("T14", "/a/b/..?x=/../y", "/a/?x=/../y"),
      Target("T14", "/...", "/..."),
      Target("T14", "/.well-known/x", "/.well-known/x"),
      Target("T14", "/a/..b/.c", "/a/..b/.c"),
      Target("T16", "/a%2Fb%5Cc%252Fd", "/a%2Fb%5Cc%252Fd"),
      Target("T17", "/a//b", "/a//b"),
      Target("T17", "/a//../b", "/a/b"),
      Target("T18", "/%c0%af", "/%c0%af"),
      Target("T18", "/%c0%ae%c0%ae/", "/%c0%ae%c0%ae/"),
      Target("T20", "/" + std::string(8000, 'a'), "/" + std::string(8000, 'a')),
      Target("T21", "/" + std::string(16 * 1024 - 1, 'a'), "/" + std::string(16 * 1024 - 1, 'a')),
  });
}

TEST_CASE("targets that two readers could read differently are refused") {
  CheckRequests({
      BadTarget("T02", "http://other/p"),
      BadTarget("T02", "http://h:81/p"),
      BadTarget("T04", "http://a@h/"),
      BadTarget("T05", "https://h/"),
      BadTarget("T05", "ftp://h/"),
      BadTarget("T05", "http:/h/"),
      BadTarget("T05", "http:///p"),
      BadTarget("T06", "h:80"),
      BadTarget("T06", "admin"),
      BadTarget("T06", "@x/"),
      BadTarget("T06", "?q"),
      BadTarget("T08", "/a#frag"),
      BadTarget("T08", "http://h#frag"),
      BadTarget("T09", "/a b"),
      BadTarget("T10", "/a\x80"),
      BadTarget("T10", "/a\xff"),
      BadTarget("T10", "/a\"b"),
      BadTarget("T10", "/a<b"),
      BadTarget("T10", "/a>b"),
      BadTarget("T10", "/a\\b"),
      BadTarget("T10", "/a^b"),
      BadTarget("T10", "/a`b"),
      BadTarget("T10", "/a{b"),
      BadTarget("T10", "/a|b"),
      BadTarget("T10", "/a}b"),
      BadTarget("T10", "/a\x7f"),
      BadTarget("T10", "/a\x01"),
      BadTarget("T10", "/?a\\b"),
      BadTarget("T11", "/%00"),
      BadTarget("T11", "/a?b=%00"),
      BadTarget("T13", "/%zz"),
      BadTarget("T13", "/%4"),
      BadTarget("T13", "/%"),
      BadTarget("T13", "/a%4/b"),
      BadTarget("T15", "/../x"),
      BadTarget("T15", "/.."),
      BadTarget("T15", "/%2e%2e/%2e%2e/x"),
      BadTarget("T15", "/a/../../b"),
      BadTarget("T19", "/..;/x"),
      BadTarget("T19", "/a;b=1/..;/"),
      BadTarget("T19", "/a/.;x=1/b"),
      BadTarget("T19", "/a/%2e%2e;x/b"),
      BadTarget("T21", "/" + std::string(16 * 1024, 'a'), ErrorKind::kTargetTooLong),
      BadTarget("T21", "/" + std::string(100 * 1024, 'a'), ErrorKind::kTargetTooLong),
      {"Z05", "GET /" + std::string(1 << 20, 'a'), ErrorKind::kTargetTooLong},
  });
}

Case Host(const char* id, const std::string& host, const std::string& authority) {
  return {id, "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", {}, "GET " + authority + " / none"};
}

Case BadHost(const char* id, const std::string& host) {
  return {id, "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", kBad};
}

TEST_CASE("a Host names one authority") {
  const std::string label(63, 'a');
  CheckRequests({
      Host("H00", "a.b-c_d.example:8080", "a.b-c_d.example:8080"),
      Host("H00", "10.0.0.1", "10.0.0.1"),
      Host("H03", "a:", "a"),
      Host("H04", "[::1]", "[::1]"),
      Host("H04", "[2001:DB8::1]:8080", "[2001:db8::1]:8080"),
      Host("H04", "[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
      Host("H05", "ExAmPlE.COM", "example.com"),
      Host("H06", label + ".a", label + ".a"),
  });
}

TEST_CASE("hosts that are missing, doubled or malformed are refused") {
  const std::string longest = std::string(63, 'a') + "." + std::string(63, 'a') + "." +
                              std::string(63, 'a') + "." + std::string(62, 'a');
  CheckRequests({
      {"H01", "GET / HTTP/1.1\r\n\r\n", kBad},
      {"H01", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", kBad},
      {"H01", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", kBad},
      {"H01", "GET / HTTP/1.1\r\nHost:\r\n\r\n", kBad},
      {"H01", "GET / HTTP/1.1\r\nHost:   \r\n\r\n", kBad},
      BadHost("H02", "a, b"),
      BadHost("H02", "a,b"),
      BadHost("H02", "a/b"),
      BadHost("H02", "a?b"),
      BadHost("H02", "u@a"),
      BadHost("H02", "a b"),
      BadHost("H02", "a\x01"),
      BadHost("H02", Bytes("a\0b")),
      BadHost("H02", "a%20b"),
      BadHost("H02", "\"a\""),
      BadHost("H02", "'a'"),
      BadHost("H02", "a$b"),
      BadHost("H02", "a;b"),
      BadHost("H02", "(a)"),
      BadHost("H02", "a*"),
      BadHost("H02", "a\xc3\xa9"),
      BadHost("H03", "a:x"),
      BadHost("H03", "a:65536"),
      BadHost("H03", "a:000080"),
      BadHost("H03", "a:1:2"),
      BadHost("H03", "a.:1.2"),
      BadHost("H03", "a:-1"),
      BadHost("H03", ":80"),
      BadHost("H04", "[::1"),
      BadHost("H04", "::1]"),
      BadHost("H04", "::1"),
      BadHost("H04", "[[::1]]"),
      BadHost("H04", "x[::1]"),
      BadHost("H04", "[::1]x"),
      BadHost("H04", "[::1]."),
      BadHost("H04", "[::g]"),
      BadHost("H04", "[1:2:3]"),
      BadHost("H04", "[::12345]"),
      BadHost("H04", "[]"),
      BadHost("H04", "[fe80::1%25eth0]"),
      BadHost("H04", "[::ffff:1.2.3.256]"),
      BadHost("H06", "."),
      BadHost("H06", "..a"),
      BadHost("H06", "a..b"),
      BadHost("H06", "a.."),
      BadHost("H06", ".a"),
      BadHost("H06", std::string(64, 'a')),
      BadHost("H06", longest),
      {"H07", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", kBad},
      {"H07", "GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n", kBad},
      {"H07", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", kBad},
  });
}

TEST_CASE("the host to match has no port, no trailing dot and no capitals") {
  std::string bytes = "GET / HTTP/1.1\r\nHost: Fn.NS.:8080\r\n\r\n";
  RequestParser parser{HeadLimits{}};
  RequestHead head;
  REQUIRE(parser.Parse(std::span<char>(bytes), head) == ParseStep::kDone);
  CHECK(head.host == "fn.ns");
  CHECK(head.scheme == "http");
}

}  // namespace
}  // namespace rouse::http::testing
