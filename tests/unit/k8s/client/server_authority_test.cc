// An API server whose certificate comes of a new authority, over real TLS.
#include <map>

#include <catch2/catch.hpp>

#include "k8s/api_client.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/net/test_pki.h"

namespace rouse::k8s {
namespace {

using std::chrono::seconds;

struct Rotating : control::OnLoopback {
  net::testing::TestAuthority before{"before"};
  net::testing::TestAuthority after{"after"};
  control::ScriptedService service;
  std::unique_ptr<control::HttpResponder> watched;
  control::ServerTls shown = Certify(before);
  std::unique_ptr<control::HttpListener> listener;
  SimClock minutes;  ///< the credentials' own
  std::map<std::string, std::string> files{{"/ca", before.pem()}};
  std::optional<Credentials> credentials;
  std::optional<ApiClient> client;

  Rotating() {
    service.on_request = [this](control::ScriptedService::Taken taken) {
      if (taken.request.target.find("watch") == std::string::npos) {
        // So that each call shakes hands.
        taken.responder->Respond(200, {{"Connection", "close"}}, "{}");
        return;
      }
      watched = std::move(taken.responder);
      watched->Begin(200, {});
    };
    control::ListenOptions options;
    options.tls = shown;
    options.tls_again = [this] { return shown; };
    options.tls_again_after = Duration::zero();
    listener = Listen(service, options);
    ClusterAccess access;
    access.origin = At(listener->port());
    access.origin.tls.emplace();
    access.ca_file = "/ca";
    credentials.emplace(
        minutes, access,
        [this](const std::string& path) -> absl::StatusOr<std::string> { return files.at(path); });
    ApiClientOptions client_options;
    client_options.component = "test";
    client.emplace(*network, *credentials, client_options);
  }
  static control::ServerTls Certify(net::testing::TestAuthority& authority) {
    const net::testing::TestCertificate made = authority.Issue({.names = {"127.0.0.1"}});
    return {made.chain_pem, made.key_pem, ""};
  }
  absl::Status Ask() {
    std::optional<absl::Status> end;
    ApiRequest request;
    request.path = "/api/v1/pods";
    const auto call =
        client->Send(std::move(request),
                     [&](const absl::StatusOr<std::string>& reply) { end = reply.status(); });
    REQUIRE(Until([&] { return end.has_value(); }));
    return *end;
  }
};

TEST_CASE("a server's new authority is trusted once the file has it, without a restart") {
  Rotating f;
  CHECK(f.Ask().ok());
  f.shown = Rotating::Certify(f.after);
  CHECK(absl::IsUnavailable(f.Ask()));
  f.minutes.Advance(seconds(1));
  CHECK(absl::IsUnavailable(f.Ask()));
  f.files["/ca"] = f.after.pem();
  f.minutes.Advance(seconds(1));
  // Not a minute later, though the file was read a second ago: the server could not be trusted.
  CHECK(f.Ask().ok());
  f.shown = Rotating::Certify(f.before);
  CHECK(absl::IsUnavailable(f.Ask()));
}

TEST_CASE("an authority's file that is read in time loses no call, and cuts no watch") {
  Rotating f;
  int opens = 0;
  std::vector<std::string> events;
  bool ended = false;
  WatchHandlers handlers;
  handlers.on_open = [&] { ++opens; };
  handlers.on_event = [&](const WatchEvent& event) { events.emplace_back(event.object); };
  handlers.on_end = [&](const absl::Status&) { ended = true; };
  const auto watch = f.client->Watch(ResourceType{"", "v1", "pods", "Pod"}, "",
                                     {"", "", "1", seconds(300)}, std::move(handlers));
  REQUIRE(f.Until([&] { return opens == 1; }));
  f.files["/ca"] = f.before.pem() + f.after.pem();
  f.minutes.Advance(seconds(60));
  CHECK(f.Ask().ok());
  f.shown = Rotating::Certify(f.after);
  CHECK(f.Ask().ok());
  f.files["/ca"] = f.after.pem();
  f.minutes.Advance(seconds(60));
  CHECK(f.Ask().ok());
  CHECK(f.watched->Write("{\"type\":\"ADDED\",\"object\":{}}\n").ok());
  REQUIRE(f.Until([&] { return events.size() == 1; }));
  CHECK_FALSE(ended);
}

}  // namespace
}  // namespace rouse::k8s
