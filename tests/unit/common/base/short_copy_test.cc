#include "common/base/short_copy.h"

#include <string>

#include <catch2/catch.hpp>

namespace rouse {
namespace {

TEST_CASE("a copy of any length is whole and touches nothing beside it") {
  std::string text;
  for (size_t size = 0; size < 100; ++size) {
    INFO(size);
    const std::string exact(text);  // of exactly this size, for the address sanitizer
    std::string to(size + 2, '?');
    CHECK(ShortCopy(to.data() + 1, exact) == to.data() + 1 + size);
    CHECK(to == "?" + text + "?");
    text += static_cast<char>('a' + size % 26);
  }
}

}  // namespace
}  // namespace rouse
