#include "proxy/exchange/hop_headers.h"

#include "tests/unit/proxy/exchange/heads.h"

namespace rouse::proxy {
namespace {

using testing::FieldOf;
using testing::ParsedRequest;
using testing::ParsedResponse;
using testing::Written;

TEST_CASE("what another proxy has forwarded goes on as it is, but for its mark and its hop") {
  const ParsedRequest request(
      "X-Rouse-Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nVia: 1.1 rouse\r\nX-Request-Id: abc\r\n"
      "Connection: keep-alive\r\nX-Request-Timeout: 5s\r\nX-Envoy-Internal: true\r\n");
  ValueStore values;
  http::HeadPatch patch;
  PatchHopped(request.head, {}, {.grpc = {}, .request = std::chrono::seconds(2), .envoy = {}},
              values, patch);
  const std::string sent = Written(request.head, patch);
  for (const auto& [name, value] : {std::pair{"x-rouse-hop", ""},
                                    {"x-forwarded-for", "6.6.6.6"},
                                    {"via", "1.1 rouse"},
                                    {"x-request-id", "abc"},
                                    {"x-request-timeout", "2000ms"},
                                    {"x-envoy-internal", "true"},
                                    {"host", "fn.example"}})
    CHECK(FieldOf(sent, name) == value);
  CHECK(HoppedPolicy().trusted_hops == 1);

  // The home is told all, and the pod what the policy adds.
  http::HeadPatch few;
  PatchHopped(request.head, {.adds = http::BitOf(http::HeaderId::kVia)}, {}, values, few);
  const std::string told = Written(request.head, few);
  CHECK(FieldOf(told, "via") == "1.1 rouse");
  CHECK(FieldOf(told, "x-forwarded-for").empty());
  CHECK(FieldOf(told, "x-request-id").empty());
}

TEST_CASE("what the home has answered goes on as it is") {
  const ParsedResponse response(
      "X-Rouse-Error: parked_full\r\nVia: 1.1 rouse\r\nX-Request-Id: abc\r\nRetry-After: 3\r\n"
      "Keep-Alive: timeout=5\r\nContent-Length: 0\r\n");
  http::HeadPatch patch;
  PatchHopped(response.head, patch);
  const std::string sent = Written(response.head, patch);
  for (const auto& [name, value] : {std::pair{"x-rouse-error", "parked_full"},
                                    {"via", "1.1 rouse"},
                                    {"x-request-id", "abc"},
                                    {"retry-after", "3"},
                                    {"keep-alive", ""}})
    CHECK(FieldOf(sent, name) == value);
}

}  // namespace
}  // namespace rouse::proxy
