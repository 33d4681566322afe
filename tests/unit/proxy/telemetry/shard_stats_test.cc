#include "proxy/telemetry/shard_stats.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("Codes fall into classes") {
  CHECK(CodeClassOf(200) == CodeClass::k2xx);
  CHECK(CodeClassOf(101) == CodeClass::k1xx);
  CHECK(CodeClassOf(599) == CodeClass::k5xx);
  CHECK(CodeClassOf(0) == CodeClass::kNone);
  CHECK(CodeClassOf(600) == CodeClass::kNone);
  CHECK(NameOf(CodeClass::k4xx) == "4xx");
}

TEST_CASE("Shards merge into sums, and endpoints into what each sees") {
  WorkloadStats one;
  one.requests[static_cast<size_t>(CodeClass::k2xx)].Add(3);
  one.parked_total.Add(2);
  one.parked.Set(1);
  one.concurrency.Set(4);
  one.endpoints_ready.Set(5);
  one.wait.Observe(std::chrono::milliseconds(3));
  WorkloadStats two = one;
  two.endpoints_ready.Set(4);
  two.Merge(one);
  CHECK(two.requests[static_cast<size_t>(CodeClass::k2xx)].value == 6);
  CHECK(two.parked_total.value == 4);
  CHECK(two.parked.value == 2);
  CHECK(two.concurrency.value == 8);
  CHECK(two.endpoints_ready.value == 5);
  CHECK(two.wait.count() == 2);

  ShardStats shard;
  shard.dials.Add(7);
  shard.errors[static_cast<size_t>(ErrorKind::kParkedFull)].Add(1);
  ShardStats other = shard;
  other.Merge(shard);
  CHECK(other.dials.value == 14);
  CHECK(other.errors[static_cast<size_t>(ErrorKind::kParkedFull)].value == 2);
}

TEST_CASE("The page carries workload, code and kind as labels") {
  WorkloadStats workload;
  workload.requests[static_cast<size_t>(CodeClass::k5xx)].Add(1);
  ShardStats shard;
  shard.errors[static_cast<size_t>(ErrorKind::kColdStartTimeout)].Add(9);
  obs::MetricPage page;
  workload.AddTo(page, {"ns", "fn"});
  shard.AddTo(page);
  const std::string text = page.Text();
  CHECK_THAT(text, Contains("rouse_proxy_requests_total{workload=\"ns/fn\",code=\"5xx\"} 1"));
  CHECK_THAT(text, Contains("rouse_proxy_errors_total{kind=\"cold_start_timeout\"} 9"));
  CHECK_THAT(text, Contains("rouse_proxy_cold_start_seconds_bucket"));
}

TEST_CASE("Every metric of the page is a row of the table, once, with help") {
  WorkloadStats workload;
  workload.requests[0].Add(1);
  ShardStats shard;
  shard.errors[1].Add(1);
  shard.tls_13.Add(1);
  obs::MetricPage page;
  workload.AddTo(page, {"ns", "fn"});
  shard.AddTo(page);
  const std::string table = MetricTable();
  std::istringstream lines(page.Text());
  std::set<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    std::istringstream words(line.substr(7));
    std::string name;
    std::string kind;
    words >> name >> kind;
    CHECK(seen.insert(name).second);
    const std::string row = "| `" + name + "` | " + kind + " |";
    INFO(row);
    CHECK(table.find(row) != std::string::npos);
    CHECK(table.find(row) == table.rfind(row));
  }
  const auto rows = std::count(table.begin(), table.end(), '\n') - 2;
  CHECK(static_cast<size_t>(rows) == seen.size());
}

}  // namespace
}  // namespace rouse::proxy
