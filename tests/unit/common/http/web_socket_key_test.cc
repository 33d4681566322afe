#include "common/http/web_socket_key.h"

#include <string>

#include <catch2/catch.hpp>

namespace rouse::http {
namespace {

std::string Text(const auto& array) { return {array.data(), array.size()}; }

TEST_CASE("the answer to a key is RFC 6455's") {
  // Section 1.3; the others from `printf KEY+GUID | openssl sha1 -binary | base64`.
  CHECK(Text(AcceptOf("dGhlIHNhbXBsZSBub25jZQ==")) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(Text(AcceptOf("x3JJHMbDL1EzLkh9GBhXDw==")) == "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST_CASE("a key is 16 bytes in base64, and another each time") {
  Random random(7);
  const std::string first = Text(MakeWebSocketKey(random));
  CHECK(first.size() == 24);
  CHECK(first.ends_with("=="));
  CHECK(first != Text(MakeWebSocketKey(random)));
}

}  // namespace
}  // namespace rouse::http
