#include "common/http/h2_heads.h"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace rouse::http {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// A block as the codec would tell it.
struct TestBlock {
  explicit TestBlock(const Fields& from, bool ends = true) : end(ends) {
    for (const auto& [name, value] : from) {
      fields.push_back({static_cast<uint32_t>(bytes.size()),
                        static_cast<uint32_t>(bytes.size() + name.size()),
                        static_cast<uint32_t>(value.size()), static_cast<uint16_t>(name.size())});
      bytes += name + value;
    }
  }
  [[nodiscard]] H2Block view() const { return {.bytes = bytes, .fields = fields, .end = end}; }
  std::string bytes;
  std::vector<H2Block::Field> fields;
  bool end;
};

struct Read {
  explicit Read(const Fields& fields, bool end = true, const HeadLimits& limits = {})
      : error(ReadRequest(TestBlock(fields, end).view(), limits, "http", random, bytes, head)) {}
  Random random{3};
  H2HeadBytes bytes;
  RequestHead head;
  Error error;
};

Fields With(Fields more) {
  Fields fields = {{":method", "POST"},
                   {":scheme", "http"},
                   {":authority", "A.example:80"},
                   {":path", "/x/../y?q"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

std::string Written(std::span<const H2Field> fields) {
  std::string out;
  for (const H2Field& field : fields)
    out += std::string(field.name) + "=" + std::string(field.value) + "\n";
  return out;
}

TEST_CASE("a request is validated and normalised as HTTP/1's are") {
  const Read read(With({{"x-a", "b"}, {"cookie", "c=1"}, {"cookie", "d=2"}, {"x_y", "z"}}));
  REQUIRE(read.error.ok());
  CHECK(read.head.method == "POST");
  CHECK(read.head.host == "a.example");
  CHECK(read.head.authority == "a.example:80");
  CHECK(read.head.path == "/y?q");
  CHECK(read.head.version == Version::kHttp2);
  CHECK(read.head.fields.Find(HeaderId::kCookie) == "c=1; d=2");
  CHECK(read.head.fields.Find("x-a") == "b");
  CHECK_FALSE(read.head.fields.Find("x_y"));
}

TEST_CASE("a head that was packed comes back as it was, and takes but its text and a little") {
  const Fields many = With({{"x-a", "b"},
                            {"cookie", "c=1"},
                            {"content-length", "7"},
                            {"expect", "100-continue"},
                            {"x-empty", ""},
                            {"accept", "text/html"},
                            {"x-long", std::string(3000, 'l')}});
  const Read read(many, false);
  REQUIRE(read.error.ok());
  H2HeadBytes packed = PackRequest(read.head);
  RequestHead head;
  UnpackRequest(packed, "http", head);
  CHECK(head.method == read.head.method);
  CHECK(head.scheme == "http");
  CHECK(head.authority == read.head.authority);
  CHECK(head.host == read.head.host);
  CHECK(head.path == read.head.path);
  CHECK(head.upgrade.empty());
  CHECK(head.version == Version::kHttp2);
  CHECK(head.body == BodyKind::kLength);
  CHECK(head.content_length == 7);
  CHECK(head.expects_continue);
  CHECK(head.accepts_trailers);
  REQUIRE(head.fields.size() == read.head.fields.size());
  size_t text = 0;
  for (size_t i = 0; i < head.fields.size(); ++i) {
    CHECK(head.fields.name(i) == read.head.fields.name(i));
    CHECK(head.fields.value(i) == read.head.fields.value(i));
    CHECK(head.fields.id(i) == read.head.fields.id(i));
    CHECK(head.fields.has(head.fields.id(i)) == read.head.fields.has(head.fields.id(i)));
    text += head.fields.name(i).size() + head.fields.value(i).size();
  }
  CHECK(packed.size() < text + 150);
}

TEST_CASE("how long a body is follows from content-length and the end of the stream") {
  CHECK(Read(With({})).head.body == BodyKind::kNone);
  CHECK(Read(With({}), false).head.body == BodyKind::kStreamed);
  const Read sized(With({{"content-length", "7"}}), false);
  CHECK(sized.head.body == BodyKind::kLength);
  CHECK(sized.head.content_length == 7);
  CHECK_FALSE(Read(With({{"content-length", "7"}})).error.ok());
  CHECK(Read(With({{"content-length", "0"}})).error.ok());
}

TEST_CASE("a method that begins HTTP/2's preface is none") {
  Fields fields = With({});
  fields[0].second = "PRI";
  CHECK(Read(fields).error.kind == ErrorKind::kBadRequest);
}

TEST_CASE("underscores follow the policy, and never read as a known name") {
  HeadLimits limits;
  limits.underscores_pass = true;
  const Read read(With({{"x_y", "1"}, {"content_length", "2"}, {"x_forwarded_for", "3"}}), true,
                  limits);
  CHECK(read.head.fields.Find("x_y") == "1");
  CHECK(read.head.fields.size() == 1);
}

TEST_CASE("an extended CONNECT is what HTTP/1 calls an upgrade") {
  Fields fields = With({{":protocol", "websocket"}, {"sec-websocket-version", "13"}});
  fields[0].second = "CONNECT";
  const Read read(fields, false);
  REQUIRE(read.error.ok());
  CHECK(read.head.method == "GET");
  CHECK(read.head.upgrade == "websocket");
  CHECK(read.head.body == BodyKind::kNone);
  CHECK(read.head.fields.Find("sec-websocket-key")->size() == 24);
  std::vector<char> room(1000);
  H2FieldList list(room);
  WriteRequest(read.head, {}, list);
  const std::string written = Written(list.fields());
  CHECK(written.starts_with(":method=CONNECT\n:protocol=websocket\n:scheme=http\n"));
  CHECK(written.find("sec-websocket-key") == std::string::npos);
}

TEST_CASE("what is written has lower-case names and no field of HTTP/1's connections") {
  const std::string text =
      "X-A"
      "b"
      "Connection"
      "close"
      "Content-Length"
      "5";
  ResponseHead head{.status = 200, .body = BodyKind::kLength, .content_length = 5};
  head.fields.Bind(text.data());
  const std::string_view view(text);
  head.fields.Append(view.substr(0, 3), view.substr(3, 1), HeaderId::kOther);
  head.fields.Append(view.substr(4, 10), view.substr(14, 5), HeaderId::kConnection);
  head.fields.Append(view.substr(19, 14), view.substr(33, 1), HeaderId::kContentLength);
  HeadPatch patch;
  patch.Add("X-Request-Id", "r");
  std::vector<char> room(1000);
  H2FieldList list(room);
  WriteResponse(head, patch, false, list);
  CHECK(Written(list.fields()) == ":status=200\nx-a=b\nx-request-id=r\ncontent-length=5\n");
  CHECK_FALSE(list.fields()[2].indexed);
}

TEST_CASE("a list says where its room did not suffice") {
  std::vector<char> room(4);
  H2FieldList list(room);
  CHECK(list.Number(123) == "123");
  CHECK_FALSE(list.full());
  (void)list.Lower("Too-Long");
  CHECK(list.full());
}

TEST_CASE("responses: bodies, and faults that are the pod's") {
  const auto read = [](const Fields& fields, bool end, bool to_head, ResponseHead& head,
                       H2HeadBytes& bytes) {
    return ReadResponse(TestBlock(fields, end).view(), to_head, {}, bytes, head);
  };
  H2HeadBytes bytes;
  ResponseHead head;
  REQUIRE(read({{":status", "200"}, {"content-length", "9"}}, false, false, head, bytes).ok());
  CHECK(head.body == BodyKind::kLength);
  CHECK(head.content_length == 9);
  REQUIRE(read({{":status", "200"}}, false, true, head, bytes).ok());
  CHECK(head.body == BodyKind::kNone);
  CHECK(read({{"a", "b"}}, true, false, head, bytes).kind == ErrorKind::kUpstreamProtocol);
  CHECK(read({{":status", "2x0"}}, true, false, head, bytes).side == Side::kUpstream);
}

TEST_CASE("trailers carry what may come behind a body, and no more") {
  H2HeadBytes bytes;
  Trailers trailers;
  ReadTrailers(TestBlock({{"grpc-status", "0"}, {"x-sum", "1"}, {"host", "b"}}).view(), bytes,
               trailers);
  std::vector<char> room(1000);
  H2FieldList list(room);
  WriteTrailers(trailers, list);
  CHECK(Written(list.fields()) == "grpc-status=0\nx-sum=1\n");
}

}  // namespace
}  // namespace rouse::http
