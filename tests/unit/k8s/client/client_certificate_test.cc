// Client certificates that are renewed under a client, over real TLS.
#include <map>

#include <catch2/catch.hpp>

#include "k8s/api_client.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/control/test_certificates.h"

namespace rouse::k8s {
namespace {

using Subjects = std::vector<std::string>;

constexpr const char* kOld = "CN=rouse test client,O=rouse";
constexpr const char* kFresh = "CN=fresh,O=rouse";

/// A server that knows two authorities of clients and refuses one client as the API does, by 401.
struct Certified : control::OnLoopback {
  control::ScriptedService service;
  std::unique_ptr<control::HttpListener> listener;
  Subjects subjects;
  SimClock minutes;  ///< the credentials' own
  std::map<std::string, std::string> files;
  std::optional<Credentials> credentials;
  std::optional<ApiClient> client;

  Certified() {
    service.on_request = [this](control::ScriptedService::Taken taken) {
      subjects.push_back(taken.request.client_subject);
      const bool refused = taken.request.client_subject == kOld;
      taken.responder->Respond(refused ? 401 : 200, {}, "{}");
    };
    control::ListenOptions options;
    options.tls =
        control::ServerTls{control::kServerCertificate, control::kServerKey,
                           std::string(control::kTestAuthority) + control::kClientAuthority};
    listener = Listen(service, options);
  }
  ClusterAccess Access() {
    ClusterAccess access;
    access.origin = At(listener->port());
    access.origin.tls.emplace();
    access.origin.tls->ca_pem = control::kTestAuthority;
    return access;
  }
  void Begin(ClusterAccess access) {
    credentials.emplace(
        minutes, std::move(access),
        [this](const std::string& path) -> absl::StatusOr<std::string> { return files.at(path); });
    ApiClientOptions options;
    options.component = "test";
    client.emplace(*network, *credentials, options);
  }
  void BeginWithFiles(const char* certificate, const char* key) {
    files = {{"/c", certificate}, {"/k", key}};
    ClusterAccess access = Access();
    access.certificate_file = "/c";
    access.key_file = "/k";
    Begin(std::move(access));
  }
  absl::Status Ask() {
    std::optional<absl::Status> end;
    ApiRequest request;
    request.path = "/api/v1/pods";
    const auto call = client->Send(
        std::move(request), [&](absl::StatusOr<std::string> reply) { end = reply.status(); });
    REQUIRE(Until([&] { return end.has_value(); }));
    return *end;
  }
};

TEST_CASE("an expired client certificate is refused, and its renewal taken up within a minute") {
  Certified f;
  f.BeginWithFiles(control::kExpiredClient, control::kRotatedKey);
  CHECK(absl::IsUnavailable(f.Ask()));
  f.files["/c"] = control::kFreshClient;
  f.minutes.Advance(std::chrono::seconds(60));
  CHECK(f.Ask().ok());
  CHECK(f.subjects == Subjects{kFresh});
}

TEST_CASE("a certificate that the API answers 401 is read again, and the next shown at once") {
  Certified f;
  f.BeginWithFiles(control::kClientCertificate, control::kClientKey);
  CHECK(absl::IsUnauthenticated(f.Ask()));
  f.subjects.clear();
  f.files = {{"/c", control::kFreshClient}, {"/k", control::kRotatedKey}};
  CHECK(f.Ask().ok());
  CHECK(f.subjects == Subjects{kOld, kFresh});
}

TEST_CASE("a plugin's certificate is shown, and its next one on connections of its own") {
  Certified f;
  ClusterAccess access = f.Access();
  access.plugin.emplace();
  f.Begin(std::move(access));
  int runs = 0;
  f.credentials->UsePlugin(
      std::make_unique<ExecCredentials>(f.network->loop(), f.log, 1, [&](ExecDone done) {
        ExecCredential given;
        given.certificate_pem = ++runs == 1 ? control::kClientCertificate : control::kFreshClient;
        given.key_pem = runs == 1 ? control::kClientKey : control::kRotatedKey;
        f.network->loop().Post([done = std::move(done), given = std::move(given)]() mutable {
          done(std::move(given));
        });
        return std::make_unique<ExecRun>();
      }));
  // For a 401 the plugin is run again, though not within a moment of its last run.
  REQUIRE(f.Until([&] { return f.Ask().ok(); }));
  CHECK(runs == 2);
  CHECK(f.subjects.front() == kOld);
  CHECK(f.subjects.back() == kFresh);
}

}  // namespace
}  // namespace rouse::k8s
