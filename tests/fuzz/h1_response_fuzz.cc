// Whatever a pod says: one verdict however it is cut, and one length of its body.

#include <algorithm>
#include <vector>

#include "common/base/check.h"
#include "common/http/h1_head.h"

namespace {

using namespace rouse;        // NOLINT: one small program
using namespace rouse::http;  // NOLINT

struct Verdict {
  ParseStep step = ParseStep::kMore;
  ErrorKind error = ErrorKind::kNone;
  size_t head_bytes = 0;
  int status = 0;
  BodyKind body = BodyKind::kNone;
  uint64_t length = 0;
  bool keep_alive = false;
  bool operator==(const Verdict&) const = default;
};

Verdict Judge(std::string_view bytes, size_t each, bool to_head) {
  ResponseParser parser{kResponseLimits};
  ResponseHead head;
  ParseStep step = ParseStep::kMore;
  for (size_t cut = std::min(each, bytes.size());;) {
    std::vector<char> held(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    step = parser.Parse(held, to_head, head);
    if (step == ParseStep::kDone) {
      CHECK(head.status >= 100 && head.status <= 999);
      const bool coded = head.fields.has(HeaderId::kTransferEncoding);
      const bool sized = head.fields.has(HeaderId::kContentLength);
      CHECK(!(coded && sized) || head.status < 200 || head.status == 204);
      return {step,
              {},
              parser.head_bytes(),
              head.status,
              head.body,
              head.content_length,
              parser.keep_alive()};
    }
    if (step == ParseStep::kFailed) return {step, parser.error().kind};
    if (cut == bytes.size()) return {};
    cut = std::min(cut + each, bytes.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const bool to_head = size > 0 && data[size - 1] % 2 == 1;
  const Verdict whole = Judge(bytes, std::max<size_t>(size, 1), to_head);
  const size_t each = size > 2048 ? 89 : 1 + (size > 1 ? data[size / 2] % 3u : 0);
  CHECK(Judge(bytes, each, to_head) == whole);
  return 0;
}
