#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "proxy/exchange/local_reply.h"

namespace rouse::proxy {
namespace {

TEST_CASE("the README names every error with its status") {
  std::ifstream file("proxy/README.md");  // runners start in the root
  std::stringstream text;
  text << file.rdbuf();
  const std::string readme = text.str();
  REQUIRE_FALSE(readme.empty());
  for (size_t i = 1; i < kErrorKinds; ++i) {
    const ReplyRow& row = RowOf(static_cast<ErrorKind>(i));
    const std::string line = "| `" + std::string(CodeOf(row.kind)) + "` | " +
                             std::to_string(row.status) + " | " + std::to_string(row.grpc) + " | ";
    INFO(line);
    CHECK(readme.find(line) != std::string::npos);
  }
}

}  // namespace
}  // namespace rouse::proxy
