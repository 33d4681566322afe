// Feeds a PROXY header as its parser asks for it: it must end, and never ask beyond its limits.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/check.h"
#include "common/net/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using rouse::net::ParseProxyHeader;
  using rouse::net::ProxyHeader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  size_t taken = 0;
  for (;;) {
    const ProxyHeader header = ParseProxyHeader(bytes.substr(0, taken));
    if (header.step != ProxyHeader::Step::kMore) {
      if (header.client) CHECK(!header.client->text().empty());
      break;
    }
    CHECK(header.needs > 0 && taken + header.needs <= rouse::net::kProxyV2Max);
    if (taken + header.needs > size) break;
    taken += header.needs;
  }
  // The rest of the input as if it had all come at once.
  (void)ParseProxyHeader(bytes);
  return 0;
}
