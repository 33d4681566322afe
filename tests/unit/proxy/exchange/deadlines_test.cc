#include "proxy/exchange/deadlines.h"

#include "tests/unit/proxy/exchange/heads.h"

namespace rouse::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ParsedRequest;

TEST_CASE("grpc-timeout is read as gRPC writes it, and nothing else is") {
  CHECK(ParseGrpcTimeout("1H") == 1h);
  CHECK(ParseGrpcTimeout("2M") == 2min);
  CHECK(ParseGrpcTimeout("3S") == 3s);
  CHECK(ParseGrpcTimeout("99999999m") == 99999999ms);
  CHECK(ParseGrpcTimeout("5u") == 5us);
  CHECK(ParseGrpcTimeout("6n") == 6ns);
  for (const char* bad : {"", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1SS", " 1S"}) {
    INFO(bad);
    CHECK_FALSE(ParseGrpcTimeout(bad).has_value());
  }
}

TEST_CASE("x-request-timeout takes milliseconds, seconds and minutes") {
  CHECK(ParseRequestTimeout("1500ms") == 1500ms);
  CHECK(ParseRequestTimeout("2s") == 2s);
  CHECK(ParseRequestTimeout("2") == 2s);
  CHECK(ParseRequestTimeout("3m") == 3min);
  for (const char* bad : {"", "ms", "-1s", "1h", "1.5s", "1234567890", "1 s"}) {
    INFO(bad);
    CHECK_FALSE(ParseRequestTimeout(bad).has_value());
  }
}

TEST_CASE("Envoy's timeout is milliseconds, and zero is none") {
  CHECK(ParseEnvoyTimeout("250") == 250ms);
  for (const char* bad : {"", "0", "-1", "1.5", "15s", "1234567890"}) {
    INFO(bad);
    CHECK_FALSE(ParseEnvoyTimeout(bad).has_value());
  }
}

TEST_CASE("the earliest of client's and workload's deadlines counts, and holding ends by itself") {
  const TimePoint start = TimePoint(100s);
  WorkloadPolicy policy;
  policy.hold_timeout = 60s;
  SECTION("nobody asks") {
    const ParsedRequest request("");
    const Deadlines deadlines = DeadlinesOf(request.head, policy, start);
    CHECK(deadlines.hold == start + 60s);
    CHECK(deadlines.exchange == kNever);
    CHECK(deadlines.Remaining(start).grpc == 0s);
    CHECK(deadlines.Remaining(start).request == 0s);
  }
  SECTION("both fields and the policy") {
    policy.request_timeout = 5s;
    const ParsedRequest request("grpc-timeout: 10S\r\nX-Request-Timeout: 7s\r\n");
    const Deadlines deadlines = DeadlinesOf(request.head, policy, start);
    CHECK(deadlines.exchange == start + 5s);
    CHECK(deadlines.Remaining(start + 3s).grpc == 7s);
    CHECK(deadlines.Remaining(start + 3s).request == 4s);
    CHECK(deadlines.Remaining(start + 20s).request > 0s);  // passed: still said, as almost nothing
  }
  SECTION("Envoy's timeout, where it is believed") {
    const ParsedRequest request("x-envoy-expected-rq-timeout-ms: 1500\r\n");
    CHECK(DeadlinesOf(request.head, policy, start).exchange == kNever);
    const Deadlines deadlines = DeadlinesOf(request.head, policy, start, true);
    CHECK(deadlines.exchange == start + 1500ms);
    CHECK(deadlines.Remaining(start + 1s).envoy == 500ms);
  }
  SECTION("what cannot be read is ignored") {
    const ParsedRequest request("grpc-timeout: soon\r\n");
    CHECK(DeadlinesOf(request.head, policy, start).exchange == kNever);
  }
}

}  // namespace
}  // namespace rouse::proxy
