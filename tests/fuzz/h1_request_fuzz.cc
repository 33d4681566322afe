// Whatever bytes come: the verdict does not depend on how they are cut, and what is accepted is
// safe to forward. Our own writer's form of it parses to the same request.

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/http/h1_head.h"
#include "common/http/h1_writer.h"

namespace {

using namespace rouse;        // NOLINT: one small program
using namespace rouse::http;  // NOLINT

struct Parsed {
  ParseStep step = ParseStep::kMore;
  ErrorKind error = ErrorKind::kNone;
  size_t head_bytes = 0;
  std::vector<char> bytes;
  RequestHead head;
};

void Parse(std::string_view bytes, size_t each, Parsed& parsed) {
  RequestParser parser{HeadLimits{}};
  for (size_t cut = std::min(each, bytes.size());;) {
    std::vector<char> next(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    std::copy(parsed.bytes.begin(), parsed.bytes.end(), next.begin());
    parsed.bytes = std::move(next);
    parsed.step = parser.Parse(parsed.bytes, parsed.head);
    if (parsed.step != ParseStep::kMore || cut == bytes.size()) break;
    cut = std::min(cut + each, bytes.size());
  }
  parsed.error = parser.error().kind;
  if (parsed.step == ParseStep::kDone) parsed.head_bytes = parser.head_bytes();
}

void CheckSafe(const RequestHead& head) {
  const auto clean = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  };
  CHECK(!head.method.empty() && clean(head.method));
  CHECK(head.path == "*" || (head.path.starts_with('/') && clean(head.path)));
  CHECK(!head.host.empty() && clean(head.authority) && head.host.find('/') == std::string::npos);
  CHECK(head.path.substr(0, head.path.find('?')).find("/../") == std::string_view::npos);
  for (size_t i = 0; i < head.fields.size(); ++i) {
    CHECK(!head.fields.name(i).empty() && clean(head.fields.name(i)));
    CHECK(head.fields.value(i).find_first_of(std::string_view("\r\n\0", 3)) ==
          std::string_view::npos);
  }
}

void CheckForwarded(const RequestHead& head) {
  std::vector<char> out(256 * 1024);
  const size_t size = WriteRequestHead(head, {}, out);
  CHECK(size > 0);
  out.resize(size);
  RequestParser parser{
      HeadLimits{.fields_max = 110, .field_bytes_max = 20'000, .head_bytes_max = 80'000}};
  RequestHead again;
  CHECK(parser.Parse(out, again) == ParseStep::kDone);
  CHECK(parser.head_bytes() == size);
  CHECK(again.method == head.method && again.path == head.path);
  CHECK(again.authority == head.authority && again.host == head.host);
  CHECK(again.body == head.body && again.content_length == head.content_length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Parsed whole;
  Parse(bytes, std::max<size_t>(size, 1), whole);
  Parsed cut;
  const size_t each = size > 2048 ? 97 : 1 + (size > 0 ? data[size - 1] % 3u : 0);
  Parse(bytes, each, cut);
  CHECK(cut.step == whole.step && cut.error == whole.error);
  CHECK(cut.head_bytes == whole.head_bytes);
  if (whole.step == ParseStep::kDone) {
    CHECK(cut.head.path == whole.head.path && cut.head.host == whole.head.host);
    CheckSafe(whole.head);
    CheckForwarded(whole.head);
  }
  return 0;
}
