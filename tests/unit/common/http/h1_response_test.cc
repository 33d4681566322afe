// Rows R of the response cases that concern heads.

#include <catch2/catch.hpp>

#include "tests/unit/common/http/h1_cases.h"

namespace rouse::http::testing {
namespace {

struct ResponseCase {
  const char* id;
  std::string bytes;
  std::string summary;  ///< empty: a protocol error
  bool to_head = false;
};

void CheckResponses(const std::vector<ResponseCase>& cases) {
  for (const ResponseCase& row : cases) {
    INFO(row.id << ": " << row.bytes.substr(0, 200));
    const Verdict verdict = JudgeResponse(row.bytes, row.to_head);
    CHECK(verdict.summary == row.summary);
    const bool refused = row.summary.empty();
    CHECK(verdict.step == (refused ? ParseStep::kFailed : ParseStep::kDone));
    CHECK(CodeOf(verdict.error) ==
          CodeOf(refused ? ErrorKind::kUpstreamProtocol : ErrorKind::kNone));
  }
}

std::string Ok(const std::string& lines) { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n"; }

TEST_CASE("a pod's response has one length") {
  CheckResponses({
      {"R00", Ok("Content-Length: 5\r\n"), "200 length 5"},
      {"R00", Ok("Content-Length: 0\r\n"), "200 length 0"},
      {"R00", Ok("Transfer-Encoding: chunked\r\n"), "200 chunked"},
      {"R10", Ok(""), "200 close close"},
      {"R00", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length 5 close"},
      {"R00", Ok("Content-Length: 5\r\nConnection: close\r\n"), "200 length 5 close"},
      {"R01", Ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), ""},
      {"R01", Ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), ""},
      {"R01", Ok("Content-Length: 5\r\nContent-Length: 6\r\n"), ""},
      {"R01", Ok("Content-Length: 5, 6\r\n"), ""},
      {"R01", Ok("Content-Length: x\r\n"), ""},
      {"R01", Ok("Content-Length:\r\n"), ""},
      {"R01", Ok("Content-Length: -5\r\n"), ""},
      {"R01", Ok("Content-Length: 9223372036854775808\r\n"), ""},
      {"R01", Ok("Transfer-Encoding: gzip\r\n"), ""},
      {"R01", Ok("Transfer-Encoding: chunked, gzip\r\n"), ""},
      {"R01", Ok("Transfer-Encoding: xchunked\r\n"), ""},
      {"R01", Ok("Transfer-Encoding:\r\n"), ""},
      {"R01", Ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), ""},
      {"R01", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
  });
}

TEST_CASE("responses that cannot have a body have none") {
  CheckResponses({
      {"R06", "HTTP/1.1 204 No Content\r\n\r\n", "204 none"},
      {"R06", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 none"},
      {"R06", Ok("Content-Length: 5\r\n"), "200 none", true},
      {"R06", Ok("Transfer-Encoding: chunked\r\n"), "200 none", true},
      {"R06", Ok(""), "200 none", true},
      {"R07", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 none"},
      {"R07", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "204 none"},
      {"R08", "HTTP/1.1 100 Continue\r\n\r\n", "100 none"},
      {"R08", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: x\r\n\r\n", "103 none"},
      {"R08",
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
       "101 none"},
  });
}

TEST_CASE("status lines are read to the letter") {
  const std::string rest = "\r\nContent-Length: 0\r\n\r\n";
  std::vector<ResponseCase> cases = {
      {"R02", "HTTP/1.1 200" + rest, "200 length 0"},
      {"R02", "HTTP/1.1 200 " + rest, "200 length 0"},
      {"R02", "HTTP/1.1 200 Fine\tby \xc3\xa9 me" + rest, "200 length 0"},
      {"R02", "HTTP/1.1 599 Odd" + rest, "599 length 0"},
      {"R02", "\r\n\r\n", ""},
      {"R02", Bytes("HTTP/1.1 200 O\0K\r\n\r\n"), ""},
      {"R02", "HTTP/1.1 200 OK\n\n", ""},
      {"R02", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", ""},
      {"R02", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", ""},
      {"R02", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", ""},
      {"R02", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", ""},
      {"R02", Bytes("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"), ""},
  };
  for (const char* line : {"HTTP/1.1 20 OK",   "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK",
                           "HTTP/1.1 000 OK",  "HTTP/1.1  200 OK", "HTTP/1.1 2x0 OK",
                           "HTTP/1.1 200\tOK", "HTTP/1.1 200O",    "HTTP/1.1",
                           "HTTP/1.1 ",        "HTTP/2 200",       "HTTP/2.0 200 OK",
                           "HTTP/1.2 200 OK",  "HTTP/0.9 200 OK",  "http/1.1 200 OK",
                           "ICY 200 OK",       "200 OK",           " HTTP/1.1 200 OK",
                           "HTTP/1.1\t200 OK", "HTTP/1.1 -20 OK",  "hello"}) {
    cases.push_back({"R02", line + rest, ""});
  }
  CheckResponses(cases);
}

TEST_CASE("a pod's head has limits") {
  std::string fields;
  for (int i = 0; i < 200; ++i) fields += "a: b\r\n";
  CheckResponses({
      {"R03", Ok(fields), "200 close close"},
      {"R03", Ok(fields + "a: b\r\n"), ""},
      {"R03", Ok("a: " + std::string(70 * 1024, 'b') + "\r\n"), ""},
      {"R03", "HTTP/1.1 200 " + std::string(70 * 1024, 'b') + "\r\n\r\n", ""},
      {"R03", "HTTP/1.1 200 OK\r\n" + std::string(1 << 20, 'b'), ""},
  });
}

}  // namespace
}  // namespace rouse::http::testing
