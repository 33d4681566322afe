#pragma once
// What:  LocalApi: a LocalCluster served over a real socket, and calls to it.
// Owner: one test case.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_split.h>
#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "k8s/local/local_cluster.h"
#include "tests/support/control/on_loopback.h"

namespace rouse::k8s::local {

struct LocalApi : control::OnLoopback {
  struct Reply {
    int status = 0;
    std::string text;
    control::Headers headers;
    absl::Status end;
    [[nodiscard]] Json json() const {
      absl::StatusOr<Json> value = ParseJson(text);
      INFO(text);
      REQUIRE(value.ok());
      return *value;
    }
    [[nodiscard]] std::string At(JsonPath path) const { return TextAt(json(), path); }
    [[nodiscard]] std::string version() const { return At({"metadata", "resourceVersion"}); }
  };

  /// A watch that is open; its lines as they have come.
  struct Watch {
    control::Recorder recorder;
    std::unique_ptr<control::HttpCall> call;
    [[nodiscard]] std::vector<Json> events() const {
      std::vector<Json> events;
      const std::vector<std::string> lines = absl::StrSplit(recorder.body, '\n', absl::SkipEmpty());
      for (const std::string& line : lines) {
        absl::StatusOr<Json> value = ParseJson(line);
        if (value.ok()) events.push_back(*value);
      }
      return events;
    }
    /// `ADDED a`, ...
    [[nodiscard]] std::vector<std::string> Lines() const {
      std::vector<std::string> lines;
      for (const Json& event : events()) {
        lines.push_back(TextAt(event, {"type"}) + " " +
                        TextAt(event, {"object", "metadata", "name"}));
      }
      return lines;
    }
  };

  std::unique_ptr<LocalCluster> cluster;
  std::unique_ptr<control::HttpClient> client;
  std::string token;

  explicit LocalApi(LocalClusterOptions options = {}) {
    cluster = std::make_unique<LocalCluster>(*network, log, std::move(options));
    REQUIRE(cluster->Start().ok());
    client = network->NewClient(At(cluster->port()));
  }

  control::HttpRequest Request(std::string method, std::string target) const {
    control::HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    if (!token.empty()) request.headers.push_back({"Authorization", "Bearer " + token});
    return request;
  }
  Reply Call(std::string method, std::string target, std::string body = {},
             std::string type = "application/json") {
    control::Recorder recorder;
    control::HttpRequest request = Request(std::move(method), std::move(target));
    if (!body.empty()) request.headers.push_back({"Content-Type", std::move(type)});
    request.body = std::move(body);
    const auto call = client->Start(std::move(request), recorder.Handlers());
    REQUIRE(Until([&] { return recorder.ended(); }));
    return {recorder.status, recorder.body, recorder.headers, recorder.end};
  }
  Reply Get(std::string target) { return Call("GET", std::move(target)); }
  Reply Merge(std::string target, std::string body) {
    return Call("PATCH", std::move(target), std::move(body), "application/merge-patch+json");
  }
  std::unique_ptr<Watch> Open(std::string target) {
    auto watch = std::make_unique<Watch>();
    control::HttpRequest request = Request("GET", std::move(target));
    request.limits.idle_timeout = Duration::max();
    watch->call = client->Start(std::move(request), watch->recorder.Handlers());
    REQUIRE(Until([&] { return watch->recorder.status != 0 || watch->recorder.ended(); }));
    return watch;
  }
  bool Sees(Watch& watch, std::vector<std::string> lines) {
    return Until([&] { return watch.Lines() == lines; });
  }
};

inline constexpr const char* kConfigMaps = "/api/v1/namespaces/default/configmaps";
inline constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";

inline std::string ConfigMapText(const std::string& name, const std::string& label = "x") {
  return R"({"metadata":{"name":")" + name + R"(","labels":{"l":")" + label + R"("}}})";
}

inline std::string DeploymentBody(const std::string& name, int replicas) {
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"replicas":)" +
         std::to_string(replicas) + R"(,"selector":{"matchLabels":{"app":")" + name +
         R"("}},"template":{"metadata":{"labels":{"app":")" + name +
         R"("}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
}

}  // namespace rouse::k8s::local
