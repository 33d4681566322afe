// The scanners against the plain loops that say what they mean.

#include "common/http/syntax.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "common/http/h1_head.h"
#include "common/http/h1_writer.h"
#include "common/http/header_map.h"
#include "common/http/scan.h"

namespace rouse::http {
namespace {

constexpr int kRounds = 20'000;

/// Mostly of one kind, so that runs are long, and now and then any byte at all.
std::string RandomText(Random& random, std::string_view usual) {
  std::string text(random.Below(70), ' ');
  const uint64_t odd = 1 + random.Below(64);
  for (char& c : text) {
    const bool any = random.Below(odd) == 0;
    c = static_cast<char>(any ? random.Below(256) : usual[random.Below(usual.size())]);
  }
  return text;
}

size_t PlainFindControl(std::string_view text, size_t from) {
  for (; from < text.size(); ++from) {
    const auto c = static_cast<uint8_t>(text[from]);
    if ((c < 0x20 && c != '\t') || c == 0x7f) break;
  }
  return from;
}

bool PlainAlnumHyphen(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/// The text in memory of exactly its size, so that the address sanitizer sees a read beyond it.
std::unique_ptr<char[]> Exact(std::string_view text) {
  auto copy = std::make_unique<char[]>(text.size());
  std::copy(text.begin(), text.end(), copy.get());
  return copy;
}

TEST_CASE("the search for control characters finds what a plain loop finds") {
  Random random(1);
  for (int i = 0; i < kRounds; ++i) {
    const std::string text = RandomText(random, "abc \t=;/\x80\xff");
    const auto bytes = Exact(text);
    const size_t from = random.Below(text.size() + 1);
    REQUIRE(FindControl({bytes.get(), text.size()}, from) == PlainFindControl(text, from));
  }
}

TEST_CASE("letters, digits and hyphens are skipped up to the first other byte") {
  for (int c = 0; c < 256; ++c) {
    // Each byte at each place of a full step.
    for (size_t at = 0; at < 16; ++at) {
      std::string text(16, 'a');
      text[at] = static_cast<char>(c);
      const size_t want = PlainAlnumHyphen(static_cast<char>(c)) ? 16 : at;
      REQUIRE(SkipAlnumHyphen(text) == want);
    }
  }
  Random random(2);
  for (int i = 0; i < kRounds; ++i) {
    const std::string text = RandomText(random, "abyzABYZ0189-");
    const auto bytes = Exact(text);
    size_t want = 0;
    while (want < text.size() && PlainAlnumHyphen(text[want])) ++want;
    const size_t got = SkipAlnumHyphen({bytes.get(), text.size()});
    // It may leave the rest of a text to the caller, but only what no full step covers.
    REQUIRE(got <= want);
    REQUIRE((got == want || text.size() - got < 16));
  }
}

TEST_CASE("case is folded as a plain loop folds it") {
  Random random(3);
  for (int i = 0; i < kRounds; ++i) {
    const std::string a = RandomText(random, "azAZ@[`{-09");
    std::string b = a;
    for (char& c : b) {
      if (random.Below(2) == 0) c = static_cast<char>(c ^ 0x20);
    }
    bool want = true;
    for (size_t at = 0; at < a.size(); ++at) want = want && LowerCase(a[at]) == LowerCase(b[at]);
    REQUIRE(EqualsIgnoreCase(a, b) == want);
    REQUIRE(EqualsIgnoreCase(a, a));
  }
}

TEST_CASE("a name one byte away from a known one is not known") {
  for (size_t i = 0; i < static_cast<size_t>(HeaderId::kOther); ++i) {
    const std::string known(NameOf(static_cast<HeaderId>(i)));
    for (size_t at = 0; at < known.size(); ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string name = known;
        name[at] = static_cast<char>(c);
        HeaderId want = HeaderId::kOther;
        for (size_t id = 0; id < static_cast<size_t>(HeaderId::kOther); ++id) {
          bool same = NameOf(static_cast<HeaderId>(id)).size() == name.size();
          for (size_t j = 0; same && j < name.size(); ++j)
            same = LowerCase(name[j]) == NameOf(static_cast<HeaderId>(id))[j];
          if (same) want = static_cast<HeaderId>(id);
        }
        REQUIRE(IdOf(name) == want);
      }
    }
  }
}

TEST_CASE("lines that are copied as they stand come out as those that are written field by field") {
  Random random(4);
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n";
    const size_t count = random.Below(12);
    for (size_t field = 0; field < count; ++field) {
      const std::string_view names[] = {"X-One",      "Accept", "Connection", "X_Two",
                                        "Keep-Alive", "cookie", "Via",        "x"};
      const std::string_view between[] = {":", ": ", ":  ", ":\t", ": "};
      const std::string_view behind[] = {"", "", " ", "\t"};
      bytes += names[random.Below(std::size(names))];
      bytes += between[random.Below(std::size(between))];
      bytes += random.Below(4) == 0 ? "" : "value";
      bytes += behind[random.Below(std::size(behind))];
      bytes += "\r\n";
    }
    bytes += "\r\n";
    RequestHead head;
    RequestParser parser({});
    REQUIRE(parser.Parse(bytes, head) == ParseStep::kDone);
    RequestHead field_by_field = head;
    field_by_field.fields.Clear();
    HeadPatch patch;
    for (size_t field = 0; field < head.fields.size(); ++field) {
      field_by_field.fields.Append(head.fields.name(field), head.fields.value(field),
                                   head.fields.id(field));
      if (random.Below(4) == 0) patch.Drop(field);
    }
    std::array<char, 1024> fast{};
    std::array<char, 1024> plain{};
    const size_t size = WriteRequestHead(head, patch, fast);
    REQUIRE(size > 0);
    REQUIRE(std::string_view(fast.data(), size) ==
            std::string_view(plain.data(), WriteRequestHead(field_by_field, patch, plain)));
  }
}

}  // namespace
}  // namespace rouse::http
