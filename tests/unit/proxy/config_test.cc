#include "proxy/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "common/app/options.h"
#include "proxy/static_view.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {
namespace {

/// A file that goes with the test.
class File {
 public:
  explicit File(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "rouse-config-XXXXXX").string();
    const int fd = mkstemp(name.data());
    REQUIRE(fd >= 0);
    path = name;
    std::ofstream(path) << text;
  }
  ~File() { std::filesystem::remove(path); }
  std::string path;
};

struct Outcome {
  Config config;
  app::Parsed parsed;
};

Outcome Read(const std::string& text, std::vector<std::string> flags = {}) {
  const File file(text);
  Outcome outcome;
  app::Options options("rouse-proxy", "0", "test");
  AddOptions(options, outcome.config);
  flags.push_back("--config=" + file.path);
  outcome.parsed = options.Parse(flags, {});
  return outcome;
}

const std::string kFile = R"(
listeners: [{address: "127.0.0.1:8080"}, {address: "127.0.0.2:8080"}]
health: {address: "127.0.0.1:8081"}
admin: {address: "127.0.0.1:9901"}
shards: 2
workloads:
  - name: ns/fn
    endpoints: ["127.0.0.1:9000", "127.0.0.1:9001"]
    concurrency_limit: 3
    hold_timeout: 1500ms
  - {name: ns/empty, endpoints: []}
routes:
  - {host: "Shop.Example", path: /cart, workload: ns/fn}
  - {host: "*", path: /, workload: ns/empty}
autoscalers: []
)";

TEST_CASE("the static file is read as the design writes it") {
  const Outcome read = Read(kFile);
  INFO(read.parsed.err);
  REQUIRE(read.parsed.run);
  const Config& config = read.config;
  CHECK(config.serving.listeners.listen ==
        std::vector<std::string>{"127.0.0.1:8080", "127.0.0.2:8080"});
  CHECK(config.serving.health == "127.0.0.1:8081");
  CHECK(config.shards == 2);
  CHECK(config.fixed.has_value());
  REQUIRE(config.fixed->workloads.size() == 2);
  CHECK(config.fixed->workloads[0].policy.concurrency_limit == 3);
  CHECK(config.fixed->workloads[0].policy.hold_timeout == std::chrono::milliseconds(1500));
  CHECK(config.fixed->routes[0].host == "shop.example");
}

TEST_CASE("a flag beats the file") {
  const Outcome read = Read(kFile, {"--listen=127.0.0.1:1", "--shards=1"});
  REQUIRE(read.parsed.run);
  CHECK(read.config.serving.listeners.listen == std::vector<std::string>{"127.0.0.1:1"});
  CHECK(read.config.shards == 1);
}

TEST_CASE("connections are taken with their first bytes unless told otherwise") {
  CHECK(Read(kFile).config.sockets.defer_accept);
  CHECK_FALSE(Read(kFile, {"--no-defer-accept"}).config.sockets.defer_accept);
}

TEST_CASE(
    "the fields that are added are those listed, and a misspelt one is named with its nearest") {
  const auto adds = [](const Outcome& outcome, http::HeaderId id) {
    return outcome.config.data_plane.exchange.forward.Adds(id);
  };
  const Outcome plain = Read(kFile);
  for (const http::HeaderId id : kForwardFields) CHECK(adds(plain, id));
  const Outcome two = Read(kFile, {"--forward-fields=x-forwarded-for, via"});
  REQUIRE(two.parsed.run);
  for (const http::HeaderId id : kForwardFields)
    CHECK(adds(two, id) == (id == http::HeaderId::kXForwardedFor || id == http::HeaderId::kVia));
  const Outcome none = Read(kFile, {"--forward-fields="});
  for (const http::HeaderId id : kForwardFields) CHECK_FALSE(adds(none, id));
  const Outcome wrong = Read(kFile, {"--forward-fields=x-forwaded-for"});
  CHECK_FALSE(wrong.parsed.run);
  CHECK_THAT(wrong.parsed.err, Catch::Matchers::Contains("did you mean x-forwarded-for?"));
}

TEST_CASE("a mistake in the file is named with its line and the nearest known key") {
  const auto error = [](const std::string& text) {
    const Outcome read = Read(text);
    CHECK_FALSE(read.parsed.run);
    CHECK(read.parsed.exit_code == 2);
    return read.parsed.err;
  };
  std::string text = error("workloads:\n  - name: ns/fn\n    endpoint: []\n");
  CHECK(text.find("endpoints") != std::string::npos);
  CHECK(text.find(":3") != std::string::npos);
  text = error("workloads: [{name: ns/fn, endpoints: []}]\nroutes: [{workload: ns/fm}]\n");
  CHECK(text.find("did you mean 'ns/fn'") != std::string::npos);
  text = error("workloads:\n- {name: fn}\n");
  CHECK(text.find("NAMESPACE/NAME") != std::string::npos);
  text = error("workloads:\n- {name: ns/fn, endpoints: ['nowhere']}\n");
  CHECK(text.find("nowhere") != std::string::npos);
  text = error("workloads:\n- {name: ns/fn, hold_timeout: 5}\n");
  CHECK(text.find("duration") != std::string::npos);
  text = error("worklods: []\n");
  CHECK(text.find("workloads") != std::string::npos);
}

/// Snapshots of a file, with counters that outlive them.
struct Builder {
  SlotTable slots{2};
  StaticSnapshots snapshots{{[this](const EndpointKey& key) { return slots.Endpoint(key); },
                             [this](const ObjectKey& key) { return slots.Workload(key); }}};
  SnapshotPtr Build(const Config& config) {
    return snapshots.Build(*config.fixed, TimePoint() + std::chrono::seconds(1));
  }
};

TEST_CASE("the file becomes routes and ready endpoints, and places stay when it is read again") {
  Outcome read = Read(kFile);
  REQUIRE(read.parsed.run);
  Builder builder;
  const SnapshotPtr first = builder.Build(read.config);
  const Route* cart = first->routes->Match("shop.example", "/cart/1");
  REQUIRE(cart != nullptr);
  const EndpointSet& set = *first->workloads[cart->workload];
  CHECK(set.workload == ObjectKey{"ns", "fn"});
  REQUIRE(set.endpoints.size() == 2);
  CHECK(set.endpoints[0].state == EndpointState::kReady);
  CHECK(set.endpoints[1].key.port == 9001);
  CHECK(first->workloads[first->routes->Match("other", "/")->workload]->endpoints.empty());

  std::swap(read.config.fixed->workloads[0], read.config.fixed->workloads[1]);
  const SnapshotPtr second = builder.Build(read.config);
  CHECK(second->version == 2);
  CHECK(second->routes->Match("shop.example", "/cart")->workload == cart->workload);
  CHECK(second->workloads[cart->workload]->endpoints[0].slots == set.endpoints[0].slots);
  read.config.fixed->workloads.erase(read.config.fixed->workloads.begin());
  read.config.fixed->routes.pop_back();
  const SnapshotPtr third = builder.Build(read.config);
  CHECK(third->routes->Match("other", "/") == nullptr);
}

}  // namespace
}  // namespace rouse::proxy
