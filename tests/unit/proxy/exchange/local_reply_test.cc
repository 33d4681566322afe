#include "proxy/exchange/local_reply.h"

#include "tests/unit/proxy/exchange/heads.h"

namespace rouse::proxy {
namespace {

using testing::FieldOf;
using testing::ParsedRequest;
using testing::Written;

struct Reply {
  explicit Reply(ErrorKind kind, std::string_view fields = "",
                 std::string_view line = "GET / HTTP/1.1")
      : request(fields, line) {
    BuildLocalReply(
        {kind, Side::kLocal, false, "detail"},
        {.request = &request.head, .request_id = "id-1", .retry_after = std::chrono::seconds(7)},
        values, reply);
    text = Written(reply.head, reply.patch);
  }
  ParsedRequest request;
  ValueStore values;
  LocalReply reply;
  std::string text;
};

TEST_CASE("each kind of error has its status, and closes where the framing is in doubt") {
  struct Row {
    ErrorKind kind;
    int status;
    bool close;
  };
  const Row rows[] = {
      {ErrorKind::kBadRequest, 400, true},         {ErrorKind::kTargetTooLong, 414, true},
      {ErrorKind::kHeadTooLarge, 431, true},       {ErrorKind::kBodyTooLarge, 413, true},
      {ErrorKind::kMethodNotAllowed, 405, true},   {ErrorKind::kNotImplemented, 501, true},
      {ErrorKind::kVersionUnsupported, 505, true}, {ErrorKind::kExpectationFailed, 417, true},
      {ErrorKind::kLoopDetected, 508, false},      {ErrorKind::kHeadTimeout, 408, true},
      {ErrorKind::kBodyTimeout, 408, true},        {ErrorKind::kDownstreamClosed, 499, true},
      {ErrorKind::kDownstreamTimeout, 499, true},  {ErrorKind::kNoRoute, 404, false},
      {ErrorKind::kWorkloadGone, 503, false},      {ErrorKind::kParkedFull, 503, false},
      {ErrorKind::kParkedBytesFull, 503, false},   {ErrorKind::kColdStartTimeout, 504, false},
      {ErrorKind::kDeadlineExceeded, 504, false},  {ErrorKind::kNoAutoscaler, 503, false},
      {ErrorKind::kDraining, 503, true},           {ErrorKind::kOverloaded, 503, true},
      {ErrorKind::kConnectRefused, 502, false},    {ErrorKind::kConnectTimeout, 504, false},
      {ErrorKind::kUpstreamReset, 502, false},     {ErrorKind::kUpstreamProtocol, 502, false},
      {ErrorKind::kUpstreamTruncated, 502, false}, {ErrorKind::kResponseStartTimeout, 504, false},
      {ErrorKind::kUpstreamTimeout, 504, false},   {ErrorKind::kInternal, 500, true},
      {ErrorKind::kMisdirected, 421, false},       {ErrorKind::kUpstreamTls, 502, false},
      {ErrorKind::kNotHome, 503, false},
  };
  CHECK(std::size(rows) == kErrorKinds - 1);  // all but kNone
  for (const Row& row : rows) {
    INFO(CodeOf(row.kind));
    CHECK(RowOf(row.kind).status == row.status);
    CHECK(RowOf(row.kind).close == row.close);
    CHECK(RowOf(row.kind).grpc <= 16);
  }
}

TEST_CASE("an error says its code, its request, and when to come again") {
  const Reply reply(ErrorKind::kParkedFull);
  CHECK(reply.reply.head.status == 503);
  CHECK(FieldOf(reply.text, "x-rouse-error") == "parked_full");
  CHECK(FieldOf(reply.text, "x-request-id") == "id-1");
  CHECK(FieldOf(reply.text, "retry-after") == "7");
  CHECK(FieldOf(reply.text, "cache-control") == "no-store");
  CHECK(reply.reply.body.starts_with("parked_full: "));
  CHECK(reply.reply.head.content_length == reply.reply.body.size());
  CHECK(FieldOf(Reply(ErrorKind::kNoRoute).text, "retry-after").empty());
  CHECK(FieldOf(Reply(ErrorKind::kMethodNotAllowed).text, "allow") == kAllowedMethods);
}

TEST_CASE("the body is JSON for those who accept it") {
  for (const char* accept :
       {"Accept: application/json\r\n", "Accept: text/html, application/problem+json\r\n"}) {
    const Reply reply(ErrorKind::kNoRoute, accept);
    CHECK(FieldOf(reply.text, "content-type") == "application/json");
    CHECK(reply.reply.body ==
          "{\"error\":\"no_route\",\"message\":\"nothing is routed "
          "here\",\"request_id\":\"id-1\"}\n");
  }
  CHECK(FieldOf(Reply(ErrorKind::kNoRoute, "Accept: */*\r\n").text, "content-type")
            .starts_with("text/plain"));
}

TEST_CASE("a HEAD request is told the length and gets no body") {
  const Reply reply(ErrorKind::kNoRoute, "", "HEAD / HTTP/1.1");
  CHECK(reply.reply.body.empty());
  CHECK(reply.reply.head.content_length > 0);
}

TEST_CASE("gRPC gets a trailers-only answer") {
  const Reply reply(ErrorKind::kColdStartTimeout, "Content-Type: application/grpc+proto\r\n",
                    "POST / HTTP/1.1");
  CHECK(reply.reply.head.status == 200);
  CHECK(FieldOf(reply.text, "grpc-status") == "14");
  CHECK(FieldOf(reply.text, "grpc-message").starts_with("cold_start_timeout"));
  CHECK(reply.reply.body.empty());
  CHECK(Reply(ErrorKind::kNoRoute, "Content-Type: application/grpc-web\r\n").reply.head.status ==
        404);
}

TEST_CASE("a reply can be made without a head") {
  ValueStore values;
  LocalReply reply;
  BuildLocalReply({ErrorKind::kBadRequest, Side::kDownstream, false, ""}, ReplyContext(), values,
                  reply);
  CHECK(reply.head.status == 400);
  CHECK(reply.close);
}

}  // namespace
}  // namespace rouse::proxy
