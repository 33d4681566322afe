// Whatever a chunked body says: the same bytes, the same end and the same verdict however it is
// cut.

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/http/h1_chunks.h"

namespace {

using namespace rouse;        // NOLINT: one small program
using namespace rouse::http;  // NOLINT

struct Decoded {
  ChunkDecoder::Step step = ChunkDecoder::Step::kMore;
  std::string body;
  size_t consumed = 0;
  size_t trailers = 0;
};

Decoded Decode(std::string_view bytes, size_t each) {
  ChunkDecoder decoder(Side::kDownstream);
  Decoded decoded;
  for (size_t begin = 0; begin < bytes.size();) {
    const std::string_view part = bytes.substr(begin, each);
    const std::vector<char> held(part.begin(), part.end());
    std::string_view input(held.data(), held.size());
    while (!input.empty()) {
      size_t consumed = 0;
      std::string_view data;
      decoded.step = decoder.Next(input, consumed, data);
      CHECK(consumed <= input.size() && data.size() <= consumed);
      decoded.body += data;
      decoded.consumed += consumed;
      input.remove_prefix(consumed);
      if (decoded.step == ChunkDecoder::Step::kEnd) {
        decoded.trailers = decoder.trailers().size();
        return decoded;
      }
      if (decoded.step == ChunkDecoder::Step::kFailed) {
        CHECK(!decoder.error().ok());
        return decoded;
      }
    }
    begin += part.size();
  }
  decoded.step = ChunkDecoder::Step::kMore;
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Decoded whole = Decode(bytes, std::max<size_t>(size, 1));
  const Decoded cut = Decode(bytes, 1 + (size > 0 ? data[size - 1] % 5u : 0));
  CHECK(cut.step == whole.step);
  if (whole.step == ChunkDecoder::Step::kFailed) return 0;
  CHECK(cut.body == whole.body && cut.consumed == whole.consumed);
  CHECK(cut.trailers == whole.trailers);
  return 0;
}
