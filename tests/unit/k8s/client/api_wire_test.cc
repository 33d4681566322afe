// Calls as the bytes that reach an API server.
#include <catch2/catch.hpp>

#include "k8s/api_client.h"
#include "k8s/objects/service.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_clock.h"

namespace rouse::k8s {
namespace {

struct Wired : control::OnLoopback {
  uint16_t port = 0;
  control::RawSocket listening = control::RawSocket::Listen(&port);
  SimClock minutes;  ///< the credentials' own
  std::optional<Credentials> credentials;
  std::optional<ApiClient> client;
  std::unique_ptr<ApiCall> call;

  Wired() {
    ClusterAccess access;
    access.origin = At(port);
    credentials.emplace(minutes, access);
    ApiClientOptions options;
    options.component = "test";
    options.version = "1";
    client.emplace(*network, *credentials, options);
  }
  /// What a call sends until its last byte, which `end` names.
  std::string Sent(std::unique_ptr<ApiCall> begun, std::string_view end) {
    call = std::move(begun);
    control::RawSocket socket;
    REQUIRE(Until([&] { return (socket = listening.Accept()).open(); }));
    REQUIRE(Until([&] { return socket.Received().ends_with(end); }));
    call = nullptr;
    return socket.Received();
  }
  /// The head of a request for `target`, as it must be to the byte.
  [[nodiscard]] std::string Head(const std::string& target) const {
    return target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
           "\r\nUser-Agent: rouse/1 (linux/amd64) test\r\nAccept: application/json\r\n";
  }
};

TEST_CASE("JSON is asked for and sent, and no encoding is accepted or used, in every call") {
  Wired f;
  CHECK(f.Sent(f.client->Get(Service::kType, {"ns", "fn"}, [](const auto&) {}), "\r\n\r\n") ==
        f.Head("GET /api/v1/namespaces/ns/services/fn") + "\r\n");
  ListHandlers list;
  list.on_item = [](std::string_view) {};
  list.on_end = [](const auto&) {};
  CHECK(f.Sent(f.client->List(Service::kType, "", {"", "", "0"}, std::move(list)), "\r\n\r\n") ==
        f.Head("GET /api/v1/services?resourceVersion=0&resourceVersionMatch=NotOlderThan") +
            "\r\n");
  WatchHandlers watch;
  watch.on_event = [](const WatchEvent&) {};
  watch.on_end = [](const absl::Status&) {};
  CHECK(f.Sent(f.client->Watch(Service::kType, "", {"", "", "17", std::chrono::seconds(300)},
                               std::move(watch)),
               "\r\n\r\n") ==
        f.Head("GET /api/v1/services?watch=1&allowWatchBookmarks=true&timeoutSeconds=300"
               "&resourceVersion=17") +
            "\r\n");
  CHECK(f.Sent(f.client->MergePatch("/apis/x", "{\"a\":1}", CallClass::kWake, [](const auto&) {}),
               "{\"a\":1}") ==
        f.Head("PATCH /apis/x?fieldManager=test") +
            "Content-Type: application/merge-patch+json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
}

}  // namespace
}  // namespace rouse::k8s
