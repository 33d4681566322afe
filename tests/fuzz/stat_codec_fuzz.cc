// Whatever a proxy sends: refused, or decoded to a report that encodes and decodes to itself.

#include <string_view>

#include "common/base/check.h"
#include "common/wire/stat_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rouse::wire;  // NOLINT: one small program
  const auto report = Decode({reinterpret_cast<const char*>(data), size});
  if (!report.ok()) return 0;
  const auto again = Decode(Encode(*report));
  CHECK(again.ok());
  CHECK(*again == *report);
  return 0;
}
