#include "common/http/target.h"

#include <string>

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "common/http/framing.h"
#include "common/http/h1_body.h"
#include "common/http/h1_writer.h"
#include "common/http/syntax.h"

namespace rouse::http {
namespace {

TEST_CASE("normalising a normal path changes nothing, whatever it was made from") {
  Random random(7);
  const std::string_view pieces[] = {"/", "a", "..", ".", "%2e", "%2E", "%41", ";x", "?", "b"};
  for (int round = 0; round < 20'000; ++round) {
    std::string path = "/";
    for (uint64_t i = random.Below(10); i > 0; --i) path += pieces[random.Below(10)];
    const std::string before = path;
    const auto once = NormalisePath(std::span<char>(path));
    if (!once) continue;
    std::string copy(*once);
    const auto twice = NormalisePath(std::span<char>(copy));
    const bool stable = twice.has_value() && *twice == *once && once->starts_with('/');
    if (!stable) FAIL_CHECK(before << " -> " << *once);
  }
}

TEST_CASE("an authority's address ends where its bytes do, not at a NUL") {
  std::string whole = "[::1]:80";
  CHECK(ParseAuthority(std::span<char>(whole)).has_value());
  std::string cut("[::1\0x]:80", 10);
  CHECK_FALSE(ParseAuthority(std::span<char>(cut)).has_value());
}

TEST_CASE("control characters are found at any place") {
  for (size_t size = 0; size < 70; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::string text(size, '\xff');
      text[at] = at % 2 == 0 ? '\x7f' : '\n';
      CHECK(FindControl(text, 0) == at);
      CHECK(FindControl(text, at) == at);
      CHECK(FindControl(text, at + 1) == size);
    }
    CHECK(FindControl(std::string(size, '\t'), 0) == size);
  }
}

TEST_CASE("lists are split at commas, blanks around members dropped") {
  CHECK(ListHas("a, B ,c", "b"));
  CHECK_FALSE(ListHas("a b", "b"));
  CHECK_FALSE(ListHas("", "b"));
  std::string_view rest = ",a,";
  std::string_view member;
  int members = 0;
  while (NextListMember(rest, member)) ++members;
  CHECK(members == 3);
}

TEST_CASE("chunk headers are lower-case hexadecimal without leading zeros") {
  std::array<char, kChunkHeaderMax> out{};
  const auto written = [&](uint64_t size) {
    return std::string(out.data(), WriteChunkHeader(size, out));
  };
  CHECK(written(1) == "1\r\n");
  CHECK(written(0xabc0) == "abc0\r\n");
  CHECK(written(UINT64_MAX) == "ffffffffffffffff\r\n");
}

TEST_CASE("trailers carry nothing that frames or routes") {
  const std::string bytes = "grpc-status0content-length5x-sumabhosth";
  const std::string_view text = bytes;
  Trailers trailers;
  trailers.Bind(bytes.data());
  trailers.Append(text.substr(0, 11), text.substr(11, 1), HeaderId::kGrpcStatus);
  trailers.Append(text.substr(12, 14), text.substr(26, 1), HeaderId::kContentLength);
  trailers.Append(text.substr(27, 5), text.substr(32, 2), HeaderId::kOther);
  trailers.Append(text.substr(34, 4), text.substr(38, 1), HeaderId::kHost);
  std::array<char, 200> out{};
  CHECK(std::string_view(out.data(), WriteLastChunk(&trailers, out)) ==
        "0\r\ngrpc-status: 0\r\nx-sum: ab\r\n\r\n");
}

TEST_CASE("a head that does not fit is not written at all") {
  RequestHead head;
  head.method = "GET";
  head.path = "/0123456789";
  head.authority = "h";
  std::array<char, 64> out{};
  const size_t size = WriteRequestHead(head, {}, out);
  CHECK(size > 0);
  for (size_t room = 0; room < size; ++room) {
    CHECK(WriteRequestHead(head, {}, std::span<char>(out).first(room)) == 0);
  }
}

TEST_CASE("fields that we own are written once, whatever a patch adds") {
  RequestHead head;
  head.method = "POST";
  head.path = "/";
  head.authority = "h";
  head.body = BodyKind::kLength;
  head.content_length = 3;
  HeadPatch patch;
  patch.Add("Host", "other");
  patch.Add("content-length", "4");
  patch.Add("Transfer-Encoding", "chunked");
  patch.Add("via", "1.1 us");
  std::array<char, 200> out{};
  CHECK(std::string_view(out.data(), WriteRequestHead(head, patch, out)) ==
        "POST / HTTP/1.1\r\nhost: h\r\nvia: 1.1 us\r\ncontent-length: 3\r\n\r\n");
}

TEST_CASE("framing without fields is none for requests, until close for responses") {
  const HeaderMap none;
  CHECK(FramingOfRequest(none, Version::kHttp11)->kind == BodyKind::kNone);
  CHECK(FramingOfResponse(none, Version::kHttp11, 200, false)->kind == BodyKind::kUntilClose);
  CHECK(FramingOfResponse(none, Version::kHttp11, 204, false)->kind == BodyKind::kNone);
  CHECK(FramingOfResponse(none, Version::kHttp11, 200, true)->kind == BodyKind::kNone);
}

}  // namespace
}  // namespace rouse::http
