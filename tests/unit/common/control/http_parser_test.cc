#include "common/control/http_parser.h"

#include <catch2/catch.hpp>

namespace rouse::control {
namespace {

struct Read {
  std::vector<HttpHead> heads;
  std::string body;

  HttpParser New(HttpParser::Role role, HttpParser::Limits limits = {}) {
    return HttpParser(role, limits,
                      {[this](HttpHead head) { heads.push_back(std::move(head)); },
                       [this](std::string_view data) { body += data; }});
  }
};

constexpr std::string_view kChunked =
    "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: t\r\n\r\n";

TEST_CASE("a message is the same whole and byte by byte") {
  for (const size_t step : {kChunked.size(), size_t{1}, size_t{7}}) {
    Read read;
    HttpParser parser = read.New(HttpParser::Role::kRequests);
    for (size_t at = 0; at < kChunked.size(); at += step) {
      REQUIRE_FALSE(parser.done());
      REQUIRE(parser.Feed(kChunked.substr(at, step)).ok());
    }
    CHECK(parser.done());
    REQUIRE(read.heads.size() == 1);
    CHECK(read.heads[0].method == "POST");
    CHECK(read.heads[0].target == "/a");
    CHECK(read.heads[0].headers.size() == 2);  // the trailer is not one of them
    CHECK(read.body == "hello world");
    CHECK(parser.keep_alive());
  }
}

TEST_CASE("what follows a message is kept for the next") {
  Read read;
  HttpParser parser = read.New(HttpParser::Role::kRequests);
  REQUIRE(parser.Feed("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.0\r\n\r\nGET").ok());
  CHECK(parser.done());
  CHECK(parser.held() == "GET /2 HTTP/1.0\r\n\r\nGET");
  parser.Next();
  REQUIRE(parser.Feed({}).ok());
  CHECK(parser.done());
  CHECK_FALSE(parser.keep_alive());
  CHECK(read.heads[1].target == "/2");
  CHECK(read.heads[1].version == 10);
  CHECK(parser.TakeHeld() == "GET");
}

TEST_CASE("limits and nonsense end with their own errors") {
  struct Case {
    std::string wire;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nA: " + std::string(2000, 'x'), absl::StatusCode::kResourceExhausted},
      {"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", absl::StatusCode::kOutOfRange},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x'),
       absl::StatusCode::kOutOfRange},
      {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", absl::StatusCode::kInvalidArgument},
      {"GET / HTTP/9.9\r\n\r\n", absl::StatusCode::kInvalidArgument},
      {"GET /\r\n\r\n", absl::StatusCode::kInvalidArgument},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", absl::StatusCode::kInvalidArgument}};
  for (const Case& c : cases) {
    INFO(c.wire.substr(0, 60));
    Read read;
    HttpParser parser = read.New(HttpParser::Role::kRequests, {1000, 100});
    CHECK(parser.Feed(c.wire).code() == c.code);
  }
}

TEST_CASE("the end of a connection completes only a body without a length") {
  Read read;
  HttpParser parser = read.New(HttpParser::Role::kResponses);
  REQUIRE(parser.Feed("HTTP/1.1 200 OK\r\n\r\nabc").ok());
  CHECK_FALSE(parser.done());
  CHECK(parser.FeedEnd().ok());
  CHECK(parser.done());
  Read cut;
  HttpParser other = cut.New(HttpParser::Role::kResponses);
  REQUIRE(other.Feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").ok());
  CHECK_FALSE(other.FeedEnd().ok());
}

TEST_CASE("headers that would break a message are told apart") {
  CHECK(ValidHeader("X-A", "any value\t\xff"));
  CHECK_FALSE(ValidHeader("", "v"));
  CHECK_FALSE(ValidHeader("A B", "v"));
  CHECK_FALSE(ValidHeader("A:", "v"));
  CHECK_FALSE(ValidHeader("A", "v\r\nB: c"));
  CHECK_FALSE(ValidHeader("A", std::string_view("v\0", 2)));
  CHECK(HasToken("keep-alive, Upgrade", "upgrade"));
  CHECK_FALSE(HasToken("keep-alive, Upgraded", "upgrade"));
  CHECK(ReasonOf(404) == "Not Found");
}

}  // namespace
}  // namespace rouse::control
