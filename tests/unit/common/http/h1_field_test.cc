// Rows N, F, E, X and U of the request cases: fields, framing, Expect, Upgrade.

#include <catch2/catch.hpp>

#include "tests/unit/common/http/h1_cases.h"

namespace rouse::http::testing {
namespace {

void CheckRequests(const std::vector<Case>& cases) { CHECK(Misjudged(cases) == ""); }

constexpr ErrorKind kBad = ErrorKind::kBadRequest;
constexpr ErrorKind kLarge = ErrorKind::kHeadTooLarge;

/// A GET with these field lines after Host.
Case Fields(const char* id, const std::string& lines, const std::string& summary) {
  return {id, "GET / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n", {}, "GET h / " + summary};
}

Case BadFields(const char* id, const std::string& lines, ErrorKind error = kBad) {
  return {id, "GET / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n", error};
}

Case Post(const char* id, const std::string& lines, const std::string& summary) {
  return {id, "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n", {}, "POST h / " + summary};
}

Case BadPost(const char* id, const std::string& lines, ErrorKind error = kBad) {
  return {id, "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n", error};
}

TEST_CASE("field lines are name, colon, value, CRLF and nothing else") {
  CheckRequests({
      BadFields("N01", "X : y\r\n"),
      BadFields("N01", "X\t: y\r\n"),
      BadFields("N01", "Content-Length : 0\r\n"),
      BadFields("N01", "Transfer-Encoding : chunked\r\n"),
      BadFields("N02", "no colon\r\n"),
      BadFields("N02", "nocolon\r\n"),
      BadFields("N02", ": x\r\n"),
      BadFields("N02", ":\r\n"),
      BadFields("N03", "X[: y\r\n"),
      BadFields("N03", "X(: y\r\n"),
      BadFields("N03", "X{: y\r\n"),
      BadFields("N03", Bytes("X\0: y\r\n")),
      BadFields("N03", "X\x7f: y\r\n"),
      BadFields("N03", "X\x80: y\r\n"),
      BadFields("N03", "X\x85: y\r\n"),
      BadFields("N03", "X\xa0: y\r\n"),
      BadFields("N04", "X: y\r\n z\r\n"),
      BadFields("N04", "X: y\r\n\tz\r\n"),
      BadFields("N04", "X: y\r\n \r\n"),
      {"N04", "GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n", kBad},
      BadFields("N05", "X: y\n"),
      BadFields("N05", "X: y\nY: z\r\n"),
      {"N05", "GET / HTTP/1.1\r\nHost: h\r\n\n", kBad},
      {"N05", "GET / HTTP/1.1\r\nHost: h\n\n", kBad},
      BadFields("N06", "X: a\rb\r\n"),
      BadFields("N06", "X: a\r\r\n"),
      {"N06", "GET / HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n", kBad},
      BadFields("N07", Bytes("X: a\0b\r\n")),
      BadFields("N07", "X: a\x01\r\n"),
      BadFields("N07", "X: a\x7f\r\n"),
      BadFields("N07", "X: a\x1b\r\n"),
      BadFields("N09", "X: a\v\r\n"),
      BadFields("N09", "X: \fa\r\n"),
      Fields("N08", "X: \x80\xff\xc3\xa9\r\n", "none"),
      Fields("N09", "X: \t y \t\r\n", "none"),
      Fields("N10", "Content-Type: a\r\nContent-Type: b\r\n", "none"),
      Fields("N15", "Cookie: a=1\r\nCookie: b=2\r\n", "none"),
  });
}

TEST_CASE("values lose their outer blanks, and only blanks") {
  std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nX: \t a b \t\r\nY:\r\nZ:\xa0z\x85\r\n\r\n";
  RequestParser parser{HeadLimits{}};
  RequestHead head;
  REQUIRE(parser.Parse(std::span<char>(bytes), head) == ParseStep::kDone);
  CHECK(Summary(head.fields) == "|Host=h|X=a b|Y=|Z=\xa0z\x85");
}

TEST_CASE("names with underscores never reach a pod that takes them for hyphens") {
  std::string bytes =
      "GET / HTTP/1.1\r\nHost: h\r\nX_Foo: 1\r\nContent_Length: 5\r\nX_Forwarded_For: 6\r\n"
      "Transfer_Encoding: chunked\r\nA: b\r\n\r\n";
  RequestParser parser{HeadLimits{}};
  RequestHead head;
  REQUIRE(parser.Parse(std::span<char>(bytes), head) == ParseStep::kDone);
  CHECK(Summary(head.fields) == "|Host=h|A=b");
  CHECK(head.body == BodyKind::kNone);

  bytes = "GET / HTTP/1.1\r\nHost: h\r\nX_Foo: 1\r\nContent_Length: 5\r\nX-Real_IP: 6\r\n\r\n";
  RequestParser lenient{HeadLimits{.underscores_pass = true}};
  REQUIRE(lenient.Parse(std::span<char>(bytes), head) == ParseStep::kDone);
  CHECK(Summary(head.fields) == "|Host=h|X_Foo=1");
}

std::string Repeat(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST_CASE("heads beyond a limit earn 431") {
  CheckRequests({
      Fields("N13", Repeat("a: b\r\n", 99), "none"),
      BadFields("N13", Repeat("a: b\r\n", 100), kLarge),
      Fields("N13", "a: " + std::string(16000, 'b') + "\r\n", "none"),
      BadFields("N13", "a: " + std::string(16 * 1024, 'b') + "\r\n", kLarge),
      BadFields("N13", std::string(16 * 1024, 'n') + ": b\r\n", kLarge),
      Fields("N13", Repeat("a: " + std::string(15000, 'b') + "\r\n", 4), "none"),
      BadFields("N13", Repeat("a: " + std::string(15000, 'b') + "\r\n", 5), kLarge),
      BadFields("N14", Repeat("a:\r\n", 10000), kLarge),
      {"Z05", "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1 << 20, 'a'), kLarge},
      {"Z05", "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(1 << 20, 'a'), kLarge},
      {"Z05", std::string(1 << 20, 'A'), ErrorKind::kTargetTooLong},
  });
}

TEST_CASE("the first illegal byte ends the message, without waiting for its line") {
  for (const std::string& start :
       {std::string("\x16"), std::string("GET /\x01"), Bytes("G\0"),
        std::string("GET / HTTP/1.1\r\nHost: h\r\nX \x01"),
        std::string("GET / HTTP/1.1\r\nHost: h\r\nX: a\rb"), std::string("GET / HTTP/1.1\r\r")}) {
    INFO(start);
    CHECK(JudgeRequest(start).step == ParseStep::kFailed);
  }
}

TEST_CASE("a content length is one plain number") {
  std::vector<Case> cases = {
      Post("F00", "Content-Length: 5\r\n", "length 5"),
      Post("F06", "Content-Length: 9223372036854775807\r\n", "length 9223372036854775807"),
      Post("F07", "Content-Length:\t 5 \t\r\n", "length 5"),
      Fields("F08", "Content-Length: 5\r\n", "length 5"),
      BadPost("F02", "Content-Length:\r\nContent-Length: 5\r\n"),
      BadPost("F03", "Content-Length: 5\r\nContent-Length: 6\r\n"),
      BadPost("F04", "Content-Length: 5\r\nContent-Length: 5\r\n"),
      BadPost("F04", "Content-Length: 5\r\ncontent-length: 5\r\n"),
  };
  for (const char* value : {"abc",
                            "5x",
                            "+5",
                            "-1",
                            "-0",
                            "0x5",
                            "0o5",
                            "1_0",
                            "5 5",
                            "5.0",
                            "\xef\xbc\x95",
                            "",
                            "5,",
                            ",5",
                            "5, 6",
                            "5, 5",
                            "5,5",
                            "0005",
                            "00",
                            "9223372036854775808",
                            "18446744073709551616",
                            "1111111111111111111111111111111111111111",
                            "5\v",
                            "\f5",
                            "\xa0"
                            "5"}) {
    cases.push_back(BadPost("F01-F07", std::string("Content-Length: ") + value + "\r\n"));
  }
  cases.push_back(BadPost("F07", "Content-Length: 5" + Bytes("\0") + "\r\n"));
  CheckRequests(cases);
}

TEST_CASE("bytes after a message belong to the next one") {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
  const Verdict verdict = JudgeRequest(head + "GET /next HTTP/1.1\r\n");
  CHECK(verdict.step == ParseStep::kDone);
  CHECK(verdict.head_bytes == head.size());
}

TEST_CASE("the only transfer coding is chunked, once, alone") {
  std::vector<Case> cases = {
      Post("E08", "Transfer-Encoding: chunked\r\n", "chunked"),
      Post("E08", "Transfer-Encoding: Chunked\r\n", "chunked"),
      Post("E08", "transfer-encoding:CHUNKED\r\n", "chunked"),
      Fields("C01", "Transfer-Encoding: chunked\r\n", "chunked"),
      BadPost("E01", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
      BadPost("E01", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
      BadPost("E01", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
      BadPost("E01", "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n"),
      BadPost("E04", "Transfer-Encoding: gzip, chunked\r\n", ErrorKind::kNotImplemented),
      BadPost("E10", "Transfer-Encoding:\r\n chunked\r\n"),
      BadPost("E10", "Transfer-Encoding : chunked\r\n"),
      BadPost("E10", "Transfer-Encoding\t: chunked\r\n"),
      BadPost("E11", "Transfer-Encoding:\r\n"),
      BadPost("E11", "Transfer-Encoding:\r\nContent-Length: 5\r\n"),
      BadPost("E12", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
      BadPost("E12", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
      BadPost("E13", "X: y\nTransfer-Encoding: chunked\r\n"),
      {"E14", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", kBad},
      BadPost("E09", "Transfer-Encoding: chunked" + Bytes("\0") + "\r\n"),
  };
  for (const char* value : {"chunked, identity", "chunked, gzip", "chunked, chunked", "xchunked",
                            "gzip", "identity", ",chunked", "chunked,", ", chunked", "chunked;q=1",
                            "\"chunked\"", "chunked x", "\vchunked", "chunked\f",
                            "\x85"
                            "chunked",
                            "chunked\xa0", "chunked\r", "chunk", "chunkedchunked"}) {
    cases.push_back(BadPost("E03-E09", std::string("Transfer-Encoding: ") + value + "\r\n"));
  }
  CheckRequests(cases);
}

TEST_CASE("expectations are 100-continue or 417") {
  constexpr ErrorKind kExpect = ErrorKind::kExpectationFailed;
  const std::string body = "Content-Length: 5\r\n";
  CheckRequests({
      Post("X01", body + "Expect: 100-continue\r\n", "length 5 expects"),
      Post("X01", body + "Expect: 100-Continue\r\n", "length 5 expects"),
      Post("X01", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "chunked expects"),
      {"X04",
       "POST / HTTP/1.0\r\nHost: h\r\n" + body + "Expect: 100-continue\r\n\r\n",
       {},
       "POST h / length 5 close 1.0"},
      Fields("X04", "Expect: 100-continue\r\n", "none"),
      BadPost("X05", body + "Expect: foo\r\n", kExpect),
      BadPost("X05", body + "Expect: 100-continue, foo\r\n", kExpect),
      BadPost("X05", body + "Expect: y 100-continue\r\n", kExpect),
      BadPost("X05", body + "Expect:\r\n", kExpect),
      BadPost("X05", body + "Expect: 100-continue\r\nExpect: 100-continue\r\n", kExpect),
  });
}

TEST_CASE("the connection field decides what becomes of the connection") {
  CheckRequests({
      Fields("P02", "Connection: close\r\n", "none close"),
      Fields("P02", "Connection: Close\r\n", "none close"),
      Fields("P03", "Connection: keep-alive, close\r\n", "none close"),
      Fields("P03", "Connection: keep-alive\r\nConnection: close\r\n", "none close"),
      Fields("P03", "Connection: x-close, closed\r\n", "none"),
      Fields("K01", "TE: trailers\r\nConnection: te\r\n", "none trailers"),
      Fields("K01", "TE: gzip, trailers\r\n", "none trailers"),
      Fields("K01", "TE: gzip;q=0.5\r\n", "none"),
      Fields("K04", "Connection: " + Repeat("x-hop,", 2000) + "close\r\n", "none close"),
  });
}

TEST_CASE("an upgrade is a GET for websocket without a body") {
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  CheckRequests({
      Fields("U01", upgrade, "none upgrade"),
      Fields("U01", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", "none upgrade"),
      BadFields("U03", upgrade + "Content-Length: 1\r\n"),
      BadFields("U03", upgrade + "Transfer-Encoding: chunked\r\n"),
      Post("U04", upgrade, "none"),
      {"U04", "GET / HTTP/1.0\r\nHost: h\r\n" + upgrade + "\r\n", {}, "GET h / none close 1.0"},
      Fields("U04", "Upgrade: websocket\r\n", "none"),
      Fields("U04", "Connection: upgrade\r\n", "none"),
      Fields("U06", "Connection: upgrade\r\nUpgrade: foo\r\n", "none"),
      Fields("U06", "Connection: upgrade\r\nUpgrade: h2c\r\n", "none"),
      Fields("U07", upgrade + "Sec-WebSocket-Version: 12\r\n", "none upgrade"),
  });
}

TEST_CASE("what random bytes are taken for does not depend on how they arrive") {
  Random random(20261123);
  const std::string seed =
      "POST /a/../b?c=%41 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nConnection: keep-alive\r\n"
      "X: y\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string alphabet = Bytes("\r\n\0 \t:,;/.%0aGH\x80\x7f");
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = seed;
    for (uint64_t edits = 1 + random.Below(3); edits > 0; --edits) {
      const size_t at = random.Below(bytes.size());
      const char byte = alphabet[random.Below(alphabet.size())];
      if (random.Below(2) == 0)
        bytes[at] = byte;
      else if (random.Below(2) == 0)
        bytes.insert(at, 1, byte);
      else
        bytes.erase(at, 1 + random.Below(12));
      if (bytes.empty()) bytes = "G";
    }
    const Verdict whole = FeedRequest(bytes, WholeCut(bytes.size()));
    const bool same = FeedRequest(bytes, EveryByte(bytes.size())) == whole &&
                      FeedRequest(bytes, RandomCuts(bytes.size(), random)) == whole;
    if (!same)
      FAIL_CHECK("round " << round << " as " << whole.summary << CodeOf(whole.error) << ": "
                          << bytes);
  }
}

}  // namespace
}  // namespace rouse::http::testing
