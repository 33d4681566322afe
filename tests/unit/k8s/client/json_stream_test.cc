#include "k8s/json_stream.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::k8s {
namespace {

/// Feeds `pieces` and collects the documents.
struct Cutter {
  JsonStream stream;
  std::vector<std::string> documents;
  explicit Cutter(JsonStreamLimits limits = {}) : stream(limits) {}
  absl::Status Feed(std::string_view piece) {
    JsonStream::OnDocument take = [this](std::string_view document) {
      documents.emplace_back(document);
      return true;
    };
    return stream.Feed(piece, take);
  }
};

const std::vector<std::string>& Documents() {
  static const std::vector<std::string> documents{
      R"({})",
      R"({"type":"ADDED","object":{"a":[1,2,{"b":null}]}})",
      R"({"text":"braces } ] { [ and a quote \" and a backslash \\"})",
      R"({"ends with a backslash":"\\"})",
      R"({"two":"\\\"}"})",
      "{\"line\":\n  \"break inside\",\r\n\t\"x\": [ ]}",
      R"({"utf":"größe \u007d 漢字"})",
      R"({"deep":[[[[[[[[[[{"x":1}]]]]]]]]]]})",
  };
  return documents;
}

std::string Joined(std::string_view between) {
  std::string body;
  for (const std::string& document : Documents()) body.append(document).append(between);
  return body;
}

TEST_CASE("a watch body is cut into its documents, whatever stands between them") {
  for (const char* between : {"\n", "", "\r\n", " \n\n\t "}) {
    Cutter cutter;
    REQUIRE(cutter.Feed(Joined(between)).ok());
    CHECK(cutter.documents == Documents());
    CHECK(cutter.stream.Finish().ok());
  }
}

TEST_CASE("a body that arrives byte by byte gives the same documents") {
  Cutter cutter;
  for (const char c : Joined("\n")) REQUIRE(cutter.Feed({&c, 1}).ok());
  CHECK(cutter.documents == Documents());
  CHECK(cutter.stream.Finish().ok());
}

TEST_CASE("a body split anywhere gives the same documents") {
  Random random(7);
  const std::string body = Joined("\n");
  for (int round = 0; round < 500; ++round) {
    Cutter cutter;
    for (size_t at = 0; at < body.size();) {
      const size_t size = 1 + random.Below(40);
      REQUIRE(cutter.Feed(std::string_view(body).substr(at, size)).ok());
      at += size;
    }
    REQUIRE(cutter.documents == Documents());
  }
}

TEST_CASE("a body that ends inside a document says so") {
  const std::string body = Joined("");
  Cutter cutter;
  REQUIRE(cutter.Feed(body.substr(0, body.size() - 1)).ok());
  CHECK(cutter.documents.size() == Documents().size() - 1);
  CHECK(absl::IsDataLoss(cutter.stream.Finish()));
}

TEST_CASE("a document may be as large as the limit and not a byte larger") {
  const std::string document = R"({"x":")" + std::string(92, 'y') + R"("})";
  REQUIRE(document.size() == 100);
  for (const size_t piece : {size_t{1}, size_t{33}, size_t{100}}) {
    Cutter fits({100, 64});
    Cutter tight({99, 64});
    absl::Status refused;
    for (size_t at = 0; at < document.size(); at += piece) {
      REQUIRE(fits.Feed(document.substr(at, piece)).ok());
      if (refused.ok()) refused = tight.Feed(document.substr(at, piece));
    }
    CHECK(fits.documents.size() == 1);
    CHECK(absl::IsResourceExhausted(refused));
    CHECK(tight.documents.empty());
    CHECK(absl::IsResourceExhausted(tight.Feed("{}")));
  }
}

TEST_CASE("documents nested beyond the limit are refused") {
  Cutter cutter({1000, 4});
  CHECK(cutter.Feed(R"({"a":[[[1]]]})").ok());
  CHECK(absl::IsInvalidArgument(cutter.Feed(R"({"a":[[[[1]]]]})")));
}

TEST_CASE("bytes that cannot be JSON end the stream with an error") {
  for (const char* bad : {"x", "[1]", "\"text\"", "{]", "{\"a\":[}", "}", "<html>"}) {
    CAPTURE(bad);
    Cutter cutter;
    CHECK(absl::IsInvalidArgument(cutter.Feed(bad)));
    CHECK(cutter.documents.empty());
    CHECK_FALSE(cutter.stream.Finish().ok());
  }
}

TEST_CASE("a reader that has enough gets no further document") {
  JsonStream stream;
  int seen = 0;
  JsonStream::OnDocument once = [&](std::string_view) { return ++seen < 2; };
  CHECK(stream.Feed("{}{}{}", once).ok());
  CHECK(seen == 2);
}

}  // namespace
}  // namespace rouse::k8s
