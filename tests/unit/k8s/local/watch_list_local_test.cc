// The client's watcher towards rouse-local, with servers that stream lists and such that do not.
#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "k8s/api_client.h"
#include "k8s/local/local_cluster.h"
#include "k8s/objects/service.h"
#include "k8s/watcher.h"
#include "tests/support/control/sim_network.h"

namespace rouse::k8s::local {
namespace {

struct Names final : WatchListener<Service> {
  std::map<std::string, std::string> known;
  int synced = 0;
  void OnUpsert(Service service) override {
    known[service.meta.name] = service.meta.resource_version;
  }
  void OnDelete(const ObjectKey& key, const std::string&) override { known.erase(key.name); }
  void OnSynced() override { ++synced; }
};

/// rouse-local and a watcher of its Services, on simulated time.
struct Watched {
  SimClock clock;
  std::vector<std::string> lines;
  obs::Log log{clock, {.sink = [this](std::string_view line) { lines.emplace_back(line); }}};
  control::SimNetwork network{clock, 3};
  LocalCluster cluster{network, log, {}};
  std::optional<Credentials> credentials;
  std::optional<ApiClient> client;
  Names names;
  std::optional<Watcher<Service>> watcher;

  Watched() {
    REQUIRE(cluster.Start().ok());
    for (const char* name : {"a", "b", "c"}) Put(name);
    ClusterAccess access;
    access.origin = {"127.0.0.1", cluster.port(), std::nullopt};
    credentials.emplace(clock, access);
    ApiClientOptions options;
    options.component = "test";
    client.emplace(network, *credentials, options);
    watcher.emplace(*client, log, 1, names);
  }
  void Put(const std::string& name) {
    REQUIRE(cluster
                .Apply("{apiVersion: v1, kind: Service, metadata: {name: " + name +
                       "}, spec: {ports: [{port: 80}]}}")
                .ok());
  }
  void Fault(const char* spec) { REQUIRE(cluster.server().faults().Add(*ParseJson(spec)).ok()); }
  void Start(Duration patience) {
    watcher->Start();
    network.RunFor(patience);
    REQUIRE(names.synced == 1);
    CHECK(names.known.size() == 3);
    Put("d");
    network.RunFor(std::chrono::seconds(1));
    CHECK(names.known.size() == 4);
  }
};

TEST_CASE("a list is streamed by one call, which goes on as the watch") {
  Watched f;
  f.Start(std::chrono::seconds(1));
  CHECK(f.client->counters().calls == 1);
  f.Fault(R"({"cutWatches":true})");
  f.Put("e");
  f.network.RunFor(std::chrono::seconds(1));
  CHECK(f.names.known.size() == 5);
  CHECK(f.names.synced == 1);
  CHECK(f.client->counters().calls == 2);
}

TEST_CASE("a server with streamed lists switched off is listed at once, and from then on") {
  Watched f;
  f.Fault(R"({"streamedLists":"refuse"})");
  f.Start(std::chrono::seconds(1));
  CHECK(f.client->counters().calls == 3);  // refused, list, watch
  f.Fault(R"({"forgetHistory":true,"cutWatches":true})");
  f.Put("e");
  f.network.RunFor(std::chrono::seconds(40));
  CHECK(f.names.known.size() == 5);
  CHECK(f.watcher->counters().streamed == 1);
}

TEST_CASE("a server that came before streamed lists is listed after ten seconds") {
  Watched f;
  f.Fault(R"({"streamedLists":"ignore"})");
  f.Start(std::chrono::seconds(12));
  CHECK(f.watcher->counters().lists == 2);
}

}  // namespace
}  // namespace rouse::k8s::local
