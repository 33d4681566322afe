#include "common/http/header_map.h"

#include <string>

#include <catch2/catch.hpp>

#include "common/http/message.h"

namespace rouse::http {
namespace {

TEST_CASE("every known name has its id in any case, and no other name has one") {
  for (size_t i = 0; i < static_cast<size_t>(HeaderId::kOther); ++i) {
    const auto id = static_cast<HeaderId>(i);
    std::string name(NameOf(id));
    CHECK(IdOf(name) == id);
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    CHECK(IdOf(name) == id);
    CHECK(IdOf(name + "x") == HeaderId::kOther);
    name[name.size() / 2] = '!';
    CHECK(IdOf(name) == HeaderId::kOther);
  }
  CHECK(IdOf("") == HeaderId::kOther);
  CHECK(IdOf(std::string(300, 'a')) == HeaderId::kOther);
  CHECK(NameOf(HeaderId::kOther).empty());
}

TEST_CASE("case is ignored for letters only") {
  CHECK(EqualsIgnoreCase("Keep-Alive", "keep-aLIVE"));
  CHECK_FALSE(EqualsIgnoreCase("a@", "a`"));
  CHECK_FALSE(EqualsIgnoreCase("a", "ab"));
}

TEST_CASE("a map finds fields by id and name, and moves with its bytes") {
  std::string bytes = "Host: a\nX-B: 1\nx-b: 2\n";
  HeaderMap map;
  map.Bind(bytes.data());
  const std::string_view text = bytes;
  map.Append(text.substr(0, 4), text.substr(6, 1), HeaderId::kHost);
  map.Append(text.substr(8, 3), text.substr(13, 1), HeaderId::kOther);
  map.Append(text.substr(15, 3), text.substr(20, 1), HeaderId::kOther);
  const std::string copy = bytes;
  map.Rebase(copy.data());
  bytes.assign(bytes.size(), '?');
  CHECK(map.has(HeaderId::kHost));
  CHECK_FALSE(map.has(HeaderId::kVia));
  CHECK(map.Find(HeaderId::kHost) == "a");
  CHECK(map.Find("X-b") == "1");
  CHECK_FALSE(map.Find("x-c").has_value());
  CHECK(map.heap_bytes() == 0);
  map.Clear();
  CHECK(map.size() == 0);
  CHECK_FALSE(map.has(HeaderId::kHost));
}

TEST_CASE("a patch remembers what to drop, up to the last field") {
  HeadPatch patch;
  patch.Drop(0);
  patch.Drop(199);
  CHECK(patch.dropped(0));
  CHECK(patch.dropped(199));
  CHECK_FALSE(patch.dropped(64));
}

TEST_CASE("idempotent methods are those of RFC 9110, in their exact spelling") {
  for (const char* method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
    CHECK(IsIdempotent(method));
  for (const char* method : {"POST", "PATCH", "get", "SLUDGE", ""})
    CHECK_FALSE(IsIdempotent(method));
}

}  // namespace
}  // namespace rouse::http
