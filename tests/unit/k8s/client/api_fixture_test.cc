// The fixture of this folder's tests, and a test that it does what they take for granted.
#include "tests/unit/k8s/client/api_fixture.h"

#include <catch2/catch.hpp>

namespace rouse::k8s {
namespace {

ClusterAccess TestAccess() {
  ClusterAccess access;
  access.origin.host = "api";
  access.origin.port = 6443;
  access.base_path = "/base";
  access.token_file = "/token";
  return access;
}

FileReader ReaderOf(std::map<std::string, std::string>& files) {
  return [&files](const std::string& path) -> absl::StatusOr<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return absl::NotFoundError("cannot read " + path);
    return found->second;
  };
}

obs::Log::Options LogOptions(std::vector<std::string>& lines) {
  obs::Log::Options options;
  options.sink = [&lines](std::string_view line) { lines.emplace_back(line); };
  return options;
}

control::ListenOptions ListenAt(const std::string& host, uint16_t port) {
  control::ListenOptions options;
  options.host = host;
  options.port = port;
  return options;
}

ApiClientOptions ClientOptions(const ApiLimits& limits) {
  ApiClientOptions options;
  options.component = "test";
  options.version = "9.9";
  options.limits = limits;
  return options;
}

}  // namespace

ApiFixture::ApiFixture(uint64_t seed, ApiLimits limits)
    : network(clock, seed),
      log(clock, LogOptions(log_lines)),
      files{{"/token", "secret-1\n"}},
      listener(*network.Listen(ListenAt("api", 6443), service)),
      credentials(clock, TestAccess(), ReaderOf(files)),
      client(network, credentials, ClientOptions(limits)) {}

control::ScriptedService::Taken ApiFixture::Take() {
  Settle();
  REQUIRE_FALSE(service.taken.empty());
  control::ScriptedService::Taken taken = std::move(service.taken.front());
  service.taken.pop_front();
  return taken;
}

control::IncomingRequest ApiFixture::Answer(int status, std::string body,
                                            control::Headers headers) {
  control::ScriptedService::Taken taken = Take();
  taken.responder->Respond(status, std::move(headers), std::move(body));
  Settle();
  return std::move(taken.request);
}

std::string StatusText(int code, const std::string& reason, const std::string& message) {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" + message +
         R"(","reason":")" + reason + R"(","code":)" + std::to_string(code) + "}";
}

std::string PathOf(const control::IncomingRequest& request) {
  return request.target.substr(0, request.target.find('?'));
}

std::string QueryOf(const control::IncomingRequest& request, const std::string& key) {
  size_t at = request.target.find('?');
  while (at != std::string::npos) {
    const size_t next = request.target.find('&', at + 1);
    const std::string part = request.target.substr(at + 1, next - at - 1);
    if (part.rfind(key + "=", 0) == 0) return part.substr(key.size() + 1);
    at = next;
  }
  return "-";
}

std::string ServiceText(const std::string& name, const std::string& version,
                        const std::string& uid) {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"ns","uid":")" + uid +
         R"(","resourceVersion":")" + version + R"("},"spec":{"ports":[{"port":80}]}})";
}

std::string ListText(const std::string& version, const std::vector<std::string>& items,
                     const std::string& continue_token) {
  std::string text = R"({"kind":"List","metadata":{"resourceVersion":")" + version +
                     R"(","continue":")" + continue_token + R"("},"items":[)";
  for (const std::string& item : items) text += item + (&item == &items.back() ? "" : ",");
  return text + "]}";
}

std::string EventText(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}

std::string BookmarkText(const std::string& version, bool initial_end) {
  const std::string mark =
      initial_end ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "";
  return EventText("BOOKMARK", R"({"kind":"Service","metadata":{"resourceVersion":")" + version +
                                   "\"" + mark + "}}");
}

namespace {

TEST_CASE("the fixture finds a query's values and builds lists that can be split") {
  control::IncomingRequest request;
  request.target = "/a/b?watch=1&x=&labelSelector=a%3Db";
  CHECK(PathOf(request) == "/a/b");
  CHECK(QueryOf(request, "watch") == "1");
  CHECK(QueryOf(request, "x").empty());
  CHECK(QueryOf(request, "labelSelector") == "a%3Db");
  CHECK(QueryOf(request, "label") == "-");
}

}  // namespace
}  // namespace rouse::k8s
