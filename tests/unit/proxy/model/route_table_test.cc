#include "proxy/model/route_table.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "proxy/model/route.h"

namespace rouse::proxy {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

uint32_t Matched(const RouteTable& table, std::string_view host, std::string_view path) {
  const Route* route = table.Match(host, path);
  return route == nullptr ? kNone : route->workload;
}

TEST_CASE("An exact host goes before the longest wildcard, and that before the star") {
  const RouteTable table({{"*", "/", 1},
                          {"*.example.com", "/", 2},
                          {"*.b.example.com", "/", 3},
                          {"a.b.example.com", "/", 4}});
  table.CheckInvariants();
  CHECK(Matched(table, "a.b.example.com", "/") == 4);
  CHECK(Matched(table, "x.b.example.com", "/") == 3);
  CHECK(Matched(table, "x.y.b.example.com", "/") == 3);
  CHECK(Matched(table, "b.example.com", "/") == 2);
  CHECK(Matched(table, "example.com", "/") == 1);
  CHECK(Matched(table, "notexample.com", "/") == 1);
  CHECK(Matched(table, ".example.com", "/") == 1);
  CHECK(Matched(table, "", "/") == 1);
}

TEST_CASE("Without a star an unknown host has no route") {
  const RouteTable table({{"a.example.com", "/", 1}});
  CHECK(Matched(table, "b.example.com", "/") == kNone);
  CHECK(Matched(RouteTable({}), "a", "/") == kNone);
}

TEST_CASE("The longest prefix wins, and ends at a segment's end") {
  const RouteTable table({{"h", "/", 0}, {"h", "/api", 1}, {"h", "/api/v1/", 2}});
  CHECK(Matched(table, "h", "/") == 0);
  CHECK(Matched(table, "h", "/apix") == 0);
  CHECK(Matched(table, "h", "/api") == 1);
  CHECK(Matched(table, "h", "/api/") == 1);
  CHECK(Matched(table, "h", "/api/v10") == 1);
  CHECK(Matched(table, "h", "/api/v1") == 2);
  CHECK(Matched(table, "h", "/api/v1/x") == 2);
  CHECK(Matched(table, "h", "/api/v1?x=/api/v2") == 2);
  CHECK(Matched(table, "h", "*") == 0);
}

TEST_CASE("A host whose prefixes do not match falls back to the next pattern") {
  const RouteTable table({{"a.x.com", "/only", 1}, {"*.x.com", "/", 2}});
  CHECK(Matched(table, "a.x.com", "/only/this") == 1);
  CHECK(Matched(table, "a.x.com", "/other") == 2);
}

TEST_CASE("Of two routes with one host and prefix the first stays") {
  const RouteTable table({{"h", "/a", 1}, {"h", "/a/", 2}, {"h", "/a", 3}});
  CHECK(table.routes().size() == 1);
  CHECK(Matched(table, "h", "/a") == 1);
}

/// The rule, written down the slow way.
uint32_t Slow(const std::vector<Route>& routes, const std::string& host, const std::string& path) {
  const Route* best = nullptr;
  const auto trimmed = [](std::string p) {
    while (!p.empty() && p.back() == '/') p.pop_back();
    return p;
  };
  const auto host_rank = [&](const Route& r) -> size_t {
    if (r.host == host) return 100000;
    if (r.host == "*") return 1;
    if (!r.host.starts_with("*.")) return 0;
    const std::string suffix = r.host.substr(1);
    return host.size() > suffix.size() && host.ends_with(suffix) ? suffix.size() + 1 : 0;
  };
  for (const Route& route : routes) {
    const std::string prefix = trimmed(route.path_prefix);
    const bool covers =
        path.starts_with(prefix) &&
        (prefix.empty() || path.size() == prefix.size() || path[prefix.size()] == '/');
    if (!covers || host_rank(route) == 0) continue;
    if (best == nullptr || host_rank(route) > host_rank(*best) ||
        (host_rank(route) == host_rank(*best) &&
         prefix.size() > trimmed(best->path_prefix).size())) {
      best = &route;
    }
  }
  return best == nullptr ? kNone : best->workload;
}

TEST_CASE("Matching agrees with the rule written the slow way") {
  Random random(4);
  const auto label = [&] { return std::string(1, static_cast<char>('a' + random.Below(3))); };
  const auto path = [&] {
    std::string out;
    for (uint64_t i = random.Below(4); i > 0; --i)
      out += "/" + label() + (random.Below(4) ? "" : "b");
    return out.empty() ? "/" : out;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Route> routes;
    const uint64_t count = random.Below(60);
    for (uint32_t i = 0; i < count; ++i) {
      std::string host = label();
      for (uint64_t n = random.Below(3); n > 0; --n) host += "." + label();
      if (random.Below(3) == 0) host = "*." + host;
      if (random.Below(12) == 0) host = "*";
      routes.push_back({host, path(), i});
    }
    const RouteTable table(routes);
    table.CheckInvariants();
    for (int i = 0; i < 100; ++i) {
      std::string host = label();
      for (uint64_t n = random.Below(4); n > 0; --n) host += "." + label();
      const std::string at = path();
      INFO("host " << host << " path " << at);
      REQUIRE(Matched(table, host, at) == Slow(routes, host, at));
    }
  }
}

}  // namespace
}  // namespace rouse::proxy
